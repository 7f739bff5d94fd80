"""This version beside an earlier one: ``python -m tests.benchmarks.versions FOLDER [RULE ...]``, a checkout of the earlier one.

Each version runs in a process of its own, on one thread; they take turns, and the processor's time is counted, so that other
work on the machine is not. A row is the median of the ratios of 9 turns: above one, this version is faster. Rules that are named
are run at more lengths, and quantizers both ways; ``all`` stands for every quantizer.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

TURNS, SECONDS = 9, 0.03
QUANTIZERS = ("Affine", "MX", "NVFP4", "NF4", "Blockwise", "TWN")
#: lengths at which quantizers that are named are run: multiples of all blocks, below and above what is worth compiling
NAMED_LENGTHS = (1_024, 102_400, 1_048_576)
LENGTHS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
ROWS: list[tuple[str, str, Any]] = [
    *(("step", name, (length,)) for name in ("AdamW", "Lion", "SGD") for length in LENGTHS),
    *(("step", name, (1000, 1000)) for name in ("LAMB", "AdamP", "NovoGrad", "Adafactor", "DiffGrad")),
    ("step", "Muon", (256, 256)),
    *((way, name, (1 << 20,)) for name in QUANTIZERS for way in ("quantize", "dequantize")),
    ("quantize", "Cast", (1 << 20,)),
]


def rows(names: Sequence[str]) -> list[tuple[str, str, Any]]:
    """The rows of rules that are named, or all that are run where none is.

    Args:
        names: the rules.
    """
    from refgrad.quantizers import Quantizer
    from refgrad.rule import rules

    named = rules(Quantizer) if "all" in names else names
    shapes = [(max(1, n // 1024), min(n, 1024)) for n in NAMED_LENGTHS]
    return [(way, name, s) for name in named for way in ("quantize", "dequantize") for s in shapes] or ROWS


def call(what: str, name: str, shape: tuple[int, ...]) -> Callable[[], object]:
    """What is timed: a step in place, or a quantizer one way."""
    from refgrad.quantizers import Quantizer
    from refgrad.rule import rules

    rule: Any = rules()[name](**({"momentum": 0.9} if name == "SGD" else {}))
    random = np.random.default_rng(0)
    x, g = (random.standard_normal(shape, dtype=np.float32) for _ in range(2))
    if isinstance(rule, Quantizer):
        kept = rule.quantize(x)
        return lambda: rule.quantize(x) if what == "quantize" else rule.dequantize(kept)
    state = rule.init(x)
    rule.step_(x, g, state, backend="numba")
    return lambda: rule.step_(x, g, state, threads=1)


def serve() -> None:
    """For each row that comes in, the median of the processor's seconds of its call."""
    if hasattr(os, "sched_setaffinity"):  # else long arrays are shared with a second thread, which is waited for
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    last, timed = "", None
    for line in sys.stdin:
        if line != last:
            what, name, shape = json.loads(line)
            last, timed = line, call(what, name, tuple(shape))
            timed()
        assert timed is not None
        print(statistics.median(_seconds(timed)), flush=True)


def _seconds(timed: Callable[[], object]) -> Iterator[float]:
    begin, count = time.thread_time(), 0
    while count < 3 or time.thread_time() - begin < SECONDS:
        start = time.thread_time()
        timed()
        yield time.thread_time() - start
        count += 1


def version(folder: Path) -> Callable[[tuple[str, str, Any]], float]:
    """A function that asks the version in a folder for the seconds of a row."""
    process = subprocess.Popen(
        [sys.executable, __file__, "serve"],
        env={**os.environ, "PYTHONPATH": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    given, told = process.stdin, process.stdout
    assert given is not None
    assert told is not None

    def ask(row: tuple[str, str, Any]) -> float:
        given.write(json.dumps(row) + "\n")
        given.flush()
        return float(told.readline())

    return ask


def main() -> None:
    """Print the table."""
    earlier, this = version(Path(sys.argv[1]).resolve()), version(Path(__file__).parents[2])
    print(
        "| what | shape | earlier, microseconds | this version, microseconds | earlier / this |\n|---|---|---|---|---|"
    )
    for row in rows(sys.argv[2:]):
        turns = [(earlier(row), this(row)) for _ in range(TURNS)]
        before, now = (1e6 * statistics.median(side) for side in zip(*turns, strict=True))
        ratio = statistics.median(a / b for a, b in turns)
        shape = " x ".join(map(str, row[2]))
        print(f"| {row[0]}, {row[1]} | {shape} | {before:.1f} | {now:.1f} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
