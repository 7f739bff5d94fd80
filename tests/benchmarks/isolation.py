"""What a process of its own costs: the first verdict of a program, and each further one.

python -m tests.benchmarks.isolation [TARGET ...]    # minima and medians of runs that take turns, in seconds of the clock
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

import refgrad
from refgrad.optimizers import AdamW

TARGETS = ("refgrad.examples.numpy_adamw:adamw", "torch.optim:AdamW")
FIRST, FURTHER = 7, 21
PROGRAM = """
import sys
from refgrad.isolation import hosting
isolate = {isolate}
if isolate:
    hosting.begin()
import refgrad
verdict = refgrad.verify({target!r}, refgrad.optimizers.AdamW(), isolate=isolate)
assert verdict.conforms or verdict.faults == ()
"""
WAYS: Mapping[str, bool] = {"in refgrad's process": False, "in a process of its own": True}


def of_program(target: str, isolate: bool) -> float:
    """Seconds of a program that reaches one verdict."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", PROGRAM.format(target=target, isolate=isolate)], check=True)
    return time.perf_counter() - began


def of_verdict(target: str, isolate: bool) -> float:
    """Seconds of one verdict of this process."""
    began = time.perf_counter()
    refgrad.verify(target, AdamW(), isolate=isolate, explain=False, shrink=False)
    return time.perf_counter() - began


def shown(what: str, found: Mapping[str, Sequence[float]]) -> str:
    """A row: minima, medians, and the difference of the minima in milliseconds."""
    cells = [f"{min(times):.3f} ({statistics.median(times):.3f})" for times in found.values()]
    inside, apart = (min(times) for times in found.values())
    return f"| {what} | {' | '.join(cells)} | {1000 * (apart - inside):+.0f} ms |"


def main(targets: Sequence[str]) -> None:
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    print(f"| load {load} | {' | '.join(WAYS)} | difference |\n|---|---|---|---|")
    for target in targets:
        first: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(FIRST):
            for way, isolate in WAYS.items():
                first[way].append(of_program(target, isolate))
        print(shown(f"`{target}`, a program of one verdict", first), flush=True)
        further: dict[str, list[float]] = {way: [] for way in WAYS}
        for i in range(FURTHER + 1):
            for way, isolate in WAYS.items():
                further[way] += [of_verdict(target, isolate)][: 1 if i else 0]
        print(shown(f"`{target}`, each further verdict", further), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or TARGETS)
