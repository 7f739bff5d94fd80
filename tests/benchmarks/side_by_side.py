"""Ratios, each measured interleaved in one run, as medians: ``python -m tests.benchmarks.side_by_side [largest size]``."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

from refgrad.optimizers import SGD, AdamW, Lion
from refgrad.optimizers.base import Optimizer
from tests.benchmarks.judging import evaluate, judge_step

SIZES = (1_000, 10_000, 100_000, 1_000_000, 10_000_000, 50_000_000)


#: seconds that one side runs before the other takes its turn
TURN = 0.05


def interleaved(first: Callable[[], object], second: Callable[[], object], seconds: float = 2.0) -> tuple[float, float]:
    """Median seconds of two calls that take turns of `TURN` seconds.

    The first third of each turn is not counted: OpenMP's threads, which torch uses, go on spinning for a while after
    their work is done, and would slow down whoever comes next on a small machine.
    """
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(3):
        first(), second()
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(times[0]) < 5:
        for call, kept in zip((first, second), times, strict=True):
            kept.extend(_turn(call))
    return statistics.median(times[0]), statistics.median(times[1])


def _turn(call: Callable[[], object]) -> list[float]:
    taken: list[float] = []
    end = time.perf_counter() + TURN
    while time.perf_counter() < end or len(taken) < 3:
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return taken[len(taken) // 3 :]


def rules() -> dict[str, Optimizer]:
    """The rules that are timed."""
    return {"AdamW": AdamW(), "Lion": Lion(), "SGD": SGD(momentum=0.9)}


def ours(rule: Optimizer, size: int) -> Callable[[], None]:
    """One step in place on random arrays."""
    random = np.random.default_rng(0)
    p, g = (random.standard_normal(size, dtype=np.float32) for _ in range(2))
    state = rule.init(p)
    rule.step_(p, g, state, backend="numba")
    return lambda: rule.step_(p, g, state)


def torch_fused(kind: str, size: int) -> Callable[[], object]:
    """One fused step of torch's optimizer of the same name on two threads."""
    import torch

    torch.set_num_threads(2)
    p = torch.randn(size, requires_grad=True)
    p.grad = torch.randn(size)
    options = {"momentum": 0.9, "lr": 1e-3} if kind == "SGD" else {}
    return getattr(torch.optim, kind)([p], fused=True, **options).step


TRIAD = """def kernel(n, a_at, b_at, c_at, scalar0):
    a = carray(a_at, (n,))
    b = carray(b_at, (n,))
    c = carray(c_at, (n,))
    s = float32(scalar0)
    for i in range(n):
        a[i] = b[i] + s * c[i]
"""


def triad(size: int) -> Callable[[], None]:
    """a = b + s c over float32 arrays of ``size``, compiled alike, on two threads: 12 bytes moved an element."""
    from refgrad.backends import compiler, thread_pool
    from refgrad.backends.source import KernelSource

    source = KernelSource(TRIAD, ("a", "b", "c"), 1, np.dtype(np.float32))
    kernel = compiler.load(compiler.compile_object(source), source)
    arrays = [np.ones(size, np.float32) for _ in range(3)]

    at = [a.ctypes.data for a in arrays]
    chunks = [kernel.pack(count, *(a + 4 * start for a in at), 0.5) for start, count in thread_pool.split(size, 2)]
    return lambda: thread_pool.run(kernel, chunks, arrays)


def fresh_process(code: str) -> float:
    """Seconds that a line of Python prints in a new process."""
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)


FIRST_KERNEL = """
import numpy as np, time
from refgrad.optimizers import AdamW, Lion
def first(rule):
    p = np.ones(1000, np.float32); state = rule.init(p)
    start = time.perf_counter(); rule.step_(p, p.copy(), state, backend="numba"); return time.perf_counter() - start
a = first(AdamW()); b = first(Lion())
"""
IMPORT = "import numpy, time; start = time.perf_counter(); import refgrad; print(time.perf_counter() - start)"


def main() -> None:
    """Print the tables."""
    limit = int(float(sys.argv[1])) if len(sys.argv) > 1 else SIZES[-1]
    traffic = {"AdamW": 28, "SGD": 20, "Lion": 20}
    print("| rule | elements | refgrad, microseconds | torch fused / refgrad | share of the triad's bandwidth |")
    print("|---|---|---|---|---|")
    for name, rule in rules().items():
        for size in (s for s in SIZES if s <= limit):
            ratio = "-"
            if name != "Lion":
                mine, other = interleaved(ours(rule, size), torch_fused(name, size))
                ratio = f"{other / mine:.2f}"
            mine, base = interleaved(ours(rule, size), triad(size))
            share = (traffic[name] / mine) / (12 / base)
            print(f"| {name} | {size:.0e} | {mine * 1e6:.1f} | {ratio} | {share:.2f} |", flush=True)
    ours(AdamW(), 10), ours(Lion(), 10)
    print(
        f"first kernel from disk {statistics.median(fresh_process(FIRST_KERNEL + 'print(a)') for _ in range(5)):.3f} s"
    )
    print(f"a further kernel {statistics.median(fresh_process(FIRST_KERNEL + 'print(b)') for _ in range(5)):.4f} s")
    print(f"import refgrad over numpy {statistics.median(fresh_process(IMPORT) for _ in range(7)):.3f} s")
    mine, base = interleaved(judge_step(1_000_000), evaluate(1_000_000))
    print(f"judging a step of AdamW on 1e6 elements costs {mine / base:.1f} float64 evaluations")
    print(f"{os.cpu_count()} CPUs")


if __name__ == "__main__":
    main()
