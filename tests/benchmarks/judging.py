"""The cost of judging a step: the rule in float64 NumPy, the oracle's judgement, and the same by a kernel.

python -m tests.benchmarks.judging [elements]    # ratios of processor time in one run, and the memory that each takes
"""

from __future__ import annotations

import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance.judge import Large, Step, judge
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.screened_outputs import summary
from refgrad.oracle.acceptance.screening import screened
from refgrad.tracing import free_values, literal


def _arrays(size: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays = {name: random.standard_normal(size, dtype=np.float32) for name in ("p", "g", "m", "v")}
    arrays["v"] = np.square(arrays["v"])
    return arrays


def evaluate(size: int) -> Callable[[], Any]:
    """The body of AdamW on float64 arrays."""
    arrays = {name: array.astype(np.float64) for name, array in _arrays(size).items()}
    return lambda: literal(AdamW(), arrays, {"t": 3})


def _step(size: int) -> Step:
    rule, arrays = AdamW(), _arrays(size)
    free = free_values((size,), {"t": 3})
    plan = rule.plan((size,), 3)
    after = {n: np.asarray(a) for n, a in literal(rule, arrays, {"t": 3}).items()}
    return Step(plan, dict(zip(plan.free, free, strict=True)), Large(arrays), after)


def judge_step(size: int) -> Callable[[], Any]:
    """All outputs of one step of AdamW, judged as small arrays are."""
    step = _step(size)
    return lambda: _added_up(judge(step, Policy())[0], step)


def screen_step(size: int, threads: int = 2) -> Callable[[], Any]:
    """The same by a kernel."""
    step = _step(size)
    return lambda: _added_up(screened(step, Policy(), threads), step)


def _added_up(judged: Any, step: Step) -> Any:
    """What a verdict takes of it: counts, distances over what is allowed and in units in the last place."""
    return {n: summary(j, step.after[n], step.after[n].dtype) for n, j in judged.items()}


def main() -> None:
    """Print what each costs."""
    size = int(float(sys.argv[1])) if len(sys.argv) > 1 else 10_000_000
    sides = {"as small arrays": judge_step(size), "by a kernel": screen_step(size)}
    spent: dict[str, list[float]] = {name: [] for name in sides}
    memory = {}
    for name, call in sides.items():
        call()  # which also compiles
        tracemalloc.start()
        call()
        memory[name] = tracemalloc.get_traced_memory()[1] / size
        tracemalloc.stop()
    for _ in range(5):
        for name, call in sides.items():
            start = time.process_time()
            call()
            spent[name].append(time.process_time() - start)
    print(f"AdamW, {size:.0e} elements of float32, processor seconds of all threads, medians of 5 turns")
    for name, times in spent.items():
        rate = size / statistics.median(times) / 1e6
        print(f"{name}: {rate:.1f} million elements a second, {memory[name]:.2f} bytes an element beside the arrays")
    slow, fast = map(statistics.median, spent.values())
    print(f"ratio {slow / fast:.1f}")


if __name__ == "__main__":
    main()
