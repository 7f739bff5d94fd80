"""Steps of trees of small arrays beside an earlier version: ``python -m tests.benchmarks.trees FOLDER``, a checkout of it.

Each version runs in processes of its own, on one thread, in turns; the processor's time is counted, and the least of the lower
tenths stands.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

#: leaves of a tree, and elements of each
TREES = ((1, 1000), (10, 1000), (1000, 10), (1000, 1000))
TURNS = 3


def lower_tenth(call: Callable[[], object], times: int) -> float:
    """Seconds of the processor that a call takes, of so many calls that which a tenth of them are below."""
    call()
    taken = []
    for _ in range(times):
        start = time.thread_time()
        call()
        taken.append(time.thread_time() - start)
    return sorted(taken)[times // 10]


def measured() -> dict[str, float]:
    """Microseconds an array, by rule, tree and whether the step is in place."""
    from refgrad.optimizers import SGD, AdamW

    found = {}
    for name, rule in (("AdamW", AdamW()), ("SGD", SGD(lr=0.1))):
        for leaves, size in TREES:
            p = [np.ones(size, np.float32) for _ in range(leaves)]
            g, state = [a.copy() for a in p], rule.init(p)
            again = max(1, 100 // leaves)
            for way, step in (("step_", rule.step_), ("step", rule.step)):
                call = lambda step=step: [step(p, g, state, threads=1) for _ in range(again)]  # noqa: B023, E731
                found[f"{name} {leaves} x {size} {way}"] = lower_tenth(call, 40) / again / leaves * 1e6
    return found


def main() -> None:
    """Print a table; without a folder, as JSON what this version takes."""
    if len(sys.argv) == 1:
        print(json.dumps(measured()))
        return
    folders = (str(Path(__file__).parents[2]), sys.argv[1])
    least: list[dict[str, float]] = [{}, {}]
    for _ in range(TURNS):
        for kept, folder in zip(least, folders, strict=True):
            environment = {**os.environ, "PYTHONPATH": folder}
            command = [sys.executable, str(Path(__file__))]
            out = subprocess.run(
                command, env=environment, cwd=folder, check=True, capture_output=True, text=True
            ).stdout
            for row, value in json.loads(out).items():
                kept[row] = min(kept.get(row, value), value)
    print("| tree | this version, microseconds an array | the other |")
    print("|---|---|---|")
    for row, value in least[0].items():
        print(f"| {row} | {value:.1f} | {least[1][row]:.1f} |")


if __name__ == "__main__":
    main()
