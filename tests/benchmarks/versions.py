"""This version beside earlier ones: ``python -m tests.benchmarks.versions FOLDER ... [RULE ...] [--into FILE]``.

A folder is a checkout of an earlier version. Each version runs in a process of its own, on one thread; they take turns, and the
processor's time is counted, so that other work on the machine is not. A ratio above one: this version is faster. Each is given
twice: the median of the ratios of turns, and the ratio of the lower quartiles of turns' least times (the very least are those of
a moment in which the machine was faster).

Rules that are named are run at more lengths, and quantizers both ways. ``all`` stands for every quantizer at two lengths and for
what is run where nothing is named. A row takes a few seconds: of long calls there are fewer turns, and a call of more than
`LONGEST` seconds is left out, and named. A row that is slower is run again, in processes of its own, which take turns in
another order, and all turns count: where a process finds its arrays decides more of a short call than most changes do. Memory
that is freed stays with a process (glibc): else the same calls take half as long again where each new array is handed out by
the system, and what ran before decides that.

With ``--into`` rows are added to a file, and those that stand there are not run again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

Row = tuple[str, str, tuple[int, ...]]

#: turns at most and at least, the processor's seconds of a turn where calls are short, and about those of a row
TURNS, FEWEST, SECONDS, ROW_SECONDS = 9, 3, 0.03, 2.0
#: the seconds of a call that is left out
LONGEST = 0.2
#: below this ratio a row is run again, so many times
SLOWER, AGAIN = 0.97, 2
#: what glibc hands out by the heap, and keeps there
KEEPS_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 25), "MALLOC_TRIM_THRESHOLD_": str(1 << 30)}
QUANTIZERS = ("Affine", "MX", "NVFP4", "NF4", "Blockwise", "TWN")
#: lengths at which quantizers that are named are run: multiples of all blocks, below and above what is worth compiling
NAMED_LENGTHS = (1_024, 102_400, 1_048_576)
LENGTHS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
ROWS: list[Row] = [
    *(("step", name, (length,)) for name in ("AdamW", "Lion", "SGD") for length in LENGTHS),
    *(("step", name, (1000, 1000)) for name in ("LAMB", "AdamP", "NovoGrad", "Adafactor", "DiffGrad")),
    ("step", "Muon", (256, 256)),
    *((way, name, (1 << 20,)) for name in QUANTIZERS for way in ("quantize", "dequantize")),
    ("quantize", "Cast", (1 << 20,)),
]


def rows(names: Sequence[str]) -> list[Row]:
    """The rows of rules that are named, or all that are run where none is.

    Args:
        names: the rules.
    """
    from refgrad.quantizers import Quantizer
    from refgrad.rule import rules

    if "all" in names:
        return [*_both_ways(list(rules(Quantizer)), NAMED_LENGTHS[:2]), *ROWS]
    return _both_ways(names, NAMED_LENGTHS) or ROWS


def _both_ways(names: Sequence[str], lengths: Sequence[int]) -> list[Row]:
    shapes = [(max(1, n // 1024), min(n, 1024)) for n in lengths]
    return [(way, name, shape) for name in names for shape in shapes for way in ("quantize", "dequantize")]


def call(what: str, name: str, shape: tuple[int, ...]) -> Callable[[], object]:
    """What is timed: a step in place, or a quantizer one way.

    Args:
        what: "step", "quantize" or "dequantize".
        name: the rule's.
        shape: that of the array.
    """
    from refgrad.rule import rules

    if what != "step":
        quantizer, w = _quantizer(name, shape)
        kept = _quantized(name, shape) if what == "dequantize" else None
        return (lambda: quantizer.quantize(w)) if kept is None else (lambda: quantizer.dequantize(kept))
    made: Any = rules()[name]
    rule = made(momentum=0.9) if name == "SGD" else made()
    x, g = _arrays(shape)
    state = rule.init(x)
    rule.step_(x, g, state, backend="numba")
    return lambda: rule.step_(x, g, state, threads=1)


def _arrays(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.standard_normal(shape, dtype=np.float32), random.standard_normal(shape, dtype=np.float32)


@lru_cache(maxsize=1)
def _quantizer(name: str, shape: tuple[int, ...]) -> tuple[Any, np.ndarray]:
    from refgrad.rule import rules

    return rules()[name](), _arrays(shape)[0]


@lru_cache(maxsize=1)
def _quantized(name: str, shape: tuple[int, ...]) -> Any:
    rule, x = _quantizer(name, shape)
    return rule.quantize(x)


def serve() -> None:
    """For each row that comes in a list: of the processor's seconds of its calls the median and the least; null without it."""
    if hasattr(os, "sched_setaffinity"):  # else long arrays are shared with a second thread, which is waited for
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    last, timed = "", None
    for line in sys.stdin:
        first = line != last
        if first:
            last, timed = line, _prepared(*json.loads(line))
        if timed is None:
            print("null", flush=True)
            continue
        times = list(_seconds(timed, 0 if first else SECONDS))
        print(json.dumps([statistics.median(times), min(times)]), flush=True)


def _prepared(what: str, name: str, shape: Sequence[int]) -> Callable[[], object] | None:
    """A call that has run once, so that its kernels are there; None for a rule that a version has not, or has otherwise."""
    try:
        timed = call(what, name, tuple(shape))
        timed()
    except Exception as error:  # an earlier version says what it will
        print(f"{what} {name} {tuple(shape)}: {error!r}", file=sys.stderr)
        return None
    return timed


def _seconds(timed: Callable[[], object], seconds: float) -> Iterator[float]:
    """The seconds of calls: one, and more of them where they are short."""
    begin, count, spent = time.thread_time(), 0, 0.0
    while not count or spent < seconds or (count < 3 and spent < 10 * seconds):
        start = time.thread_time()
        timed()
        yield time.thread_time() - start
        count, spent = count + 1, time.thread_time() - begin


class Version:
    """The version in a folder, in a process of its own.

    Args:
        folder: its checkout.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process = subprocess.Popen(
            [sys.executable, __file__, "serve"],
            env={**os.environ, **KEEPS_MEMORY, "PYTHONPATH": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def seconds(self, row: Row) -> tuple[float, float] | None:
        """Of a turn's calls the median and the least of the processor's seconds; of a row's first turn one call."""
        given, told = self._process.stdin, self._process.stdout
        assert given is not None
        assert told is not None
        given.write(json.dumps(row) + "\n")
        given.flush()
        found = json.loads(told.readline())
        return None if found is None else (found[0], found[1])

    def end(self) -> None:
        """End its process."""
        self._process.communicate()


#: of turns the median and the least of their calls' seconds
Times = list[tuple[float, float]]
#: those of each version; None of one that has not the row
Turns = list[Times | None]


def measured(row: Row, versions: Sequence[Version]) -> Turns | float:
    """The turns of a row; the seconds of this version's call where it is left out.

    Args:
        row: what is run.
        versions: the earlier ones, and this one.
    """
    once = versions[-1].seconds(row)
    if once is None or once[0] > LONGEST:
        return once[0] if once else float("nan")
    here = [*((version, version.seconds(row)) for version in versions[:-1]), (versions[-1], once)]
    slowest = max(first[0] for _, first in here if first)
    count = int(ROW_SECONDS / len(versions) / max(slowest, SECONDS))
    found: Turns = [None if first is None else [] for _, first in here]
    for _ in range(min(TURNS, max(FEWEST, count))):
        for version, turns in zip(versions, found, strict=True):
            if turns is not None:
                turn = version.seconds(row)
                assert turn is not None
                turns.append(turn)
    return found


def again(row: Row, folders: Sequence[Path]) -> Turns:
    """As `measured`, in new processes, which take turns in the other order.

    Args:
        row: what is run.
        folders: those of the versions.
    """
    versions = [Version(folder) for folder in folders]
    try:
        for version in versions:
            version.seconds(row)
        found = measured(row, versions[::-1])
    finally:
        for version in versions:
            version.end()
    return [None for _ in folders] if isinstance(found, float) else found[::-1]


def ratios(found: Turns) -> list[tuple[float, float] | None]:
    """Of each earlier version the median of its turns' ratios, and the ratio of what `low` gives."""
    *earlier, this = found
    if this is None:
        return [None for _ in earlier]
    return [_ratio(turns, this) if turns else None for turns in earlier]


def _ratio(earlier: Times, this: Times) -> tuple[float, float]:
    return statistics.median(a / b for (a, _), (b, _) in zip(earlier, this, strict=True)), low(earlier) / low(this)


def low(turns: Times) -> float:
    """The lower quartile of turns' least times.

    Args:
        turns: of each the median and the least of its calls' seconds.

    >>> low([(5.0, 4.0), (3.0, 2.0), (3.0, 3.0), (1.0, 1.0)])
    2.0
    """
    return sorted(least for _, least in turns)[len(turns) // 4]


def text(row: Row, found: Turns | float) -> str:
    """A row of the table.

    Args:
        row: what was run.
        found: what `measured` gave.
    """
    cells = [f"{row[0]}, {row[1]}", _shape(row)]
    if isinstance(found, float):
        return f"| {' | '.join([*cells, f'left out, {found:.1f} s a call'])} |"
    for turns in found:
        cells.append(f"{1e6 * low(turns):.1f}" if turns else "")
    cells += [f"{pair[0]:.2f}, {pair[1]:.2f}" if pair else "" for pair in ratios(found)]
    return f"| {' | '.join([*cells, str(len(found[-1] or ()))])} |"


def _shape(row: Row) -> str:
    return " x ".join(map(str, row[2]))


def _head(folders: Sequence[Path]) -> str:
    earlier = [folder.name for folder in folders[:-1]]
    times = [f"{name}, microseconds" for name in (*earlier, "this version")]
    heads = ["what", "shape", *times, *(f"{name} / this: median, low" for name in earlier), "turns"]
    return f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}"


def main() -> None:
    """Print the table, and add it to a file where one is named."""
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks.versions")
    options.add_argument("given", nargs="+", metavar="FOLDER | RULE")
    options.add_argument(
        "--into", type=Path, metavar="FILE", help="add rows to a file; those that it has are not run again"
    )
    given = options.parse_args()
    earlier = [Path(each).resolve() for each in given.given if Path(each).is_dir()]
    if not earlier:
        options.error("no folder of an earlier version is named")
    folders = [*earlier, Path(__file__).resolve().parents[2]]
    names = [each for each in given.given if not Path(each).is_dir()]

    def say(line: str) -> None:
        print(line, flush=True)
        if given.into:
            with given.into.open("a") as file:
                file.write(line + "\n")

    had = given.into.read_text() if given.into and given.into.exists() else ""
    if not had:
        say(_head(folders))
    versions = [Version(folder) for folder in folders]
    for row in rows(names):
        if f"| {row[0]}, {row[1]} | {_shape(row)} |" in had:
            continue
        say(text(row, _with_more(row, measured(row, versions), folders)))
    for version in versions:
        version.end()


def _with_more(row: Row, found: Turns | float, folders: Sequence[Path]) -> Turns | float:
    """The turns of a row, and those of more processes where it is slower."""
    for _ in range(AGAIN):
        if isinstance(found, float) or all(pair is None or min(pair) >= SLOWER for pair in ratios(found)):
            break
        more = again(row, folders)
        found = [old and old + (new or []) for old, new in zip(found, more, strict=True)]
    return found


if __name__ == "__main__":
    serve() if sys.argv[1:] == ["serve"] else main()
