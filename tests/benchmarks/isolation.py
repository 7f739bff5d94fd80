"""What a process of its own costs: the first verdict of a program, and each further one.

python -m tests.benchmarks.isolation [TARGET ...]    # minima and medians of runs that take turns
python -m tests.benchmarks.isolation --page          # the same, written into docs/isolation.md

Seconds are those of the processor, of both processes together, so that other work on the machine counts little; a quiet
machine's clock shows less for a first verdict, because the process imports while refgrad does.
"""

from __future__ import annotations

import os
import re
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import refgrad
from refgrad.isolation import hosting
from refgrad.rule import Rule, find

#: what is judged, and the rule that it claims to be: an optimizer twice, and rules without steps as themselves
TARGETS: Mapping[str, str] = {
    "refgrad.examples.numpy_adamw:adamw": "AdamW",
    "torch.optim:AdamW": "AdamW",
    "refgrad.quantizers:NF4": "NF4",
    "refgrad.estimators:ClippedSTE": "ClippedSTE",
    "refgrad.sparsity:Magnitude": "Magnitude",
}
FIRST, FURTHER = 5, 21
PAGE = Path(__file__).parents[2] / "docs" / "isolation.md"
BEGIN, END = "<!-- cost -->\n", "<!-- end of cost -->"
PROGRAM = """
from refgrad.isolation import hosting
isolate = {isolate}
if isolate:
    hosting.begin()
import refgrad
refgrad.verify({target!r}, refgrad.rule.find({rule!r})(), isolate=isolate, explain=False, shrink=False)
"""
WAYS: Mapping[str, bool] = {"in refgrad's process": False, "in a process of its own": True}


def rule_of(target: str) -> Rule:
    """The rule that a target claims to be, as it is by default."""
    return find(TARGETS[target])()


def of_program(target: str, isolate: bool) -> tuple[float, float]:
    """Seconds of the clock and of the processors of a program that reaches one verdict."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, "-c", PROGRAM.format(target=target, rule=TARGETS[target], isolate=isolate)], check=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, used


def of_verdict(target: str, isolate: bool) -> tuple[float, float]:
    """The same of one verdict of this process, and of the one in which its candidate is."""
    began, before = time.perf_counter(), _used()
    refgrad.verify(target, rule_of(target), isolate=isolate, explain=False, shrink=False)
    return time.perf_counter() - began, _used() - before


def _used() -> float:
    """Seconds of the processors that this process and the one that waits have used, by the scheduler's count (Linux)."""
    waiting = [child.process.pid for _, child in hosting._IDLE]
    counts = [Path(f"/proc/{pid}/schedstat").read_text().split()[0] for pid in waiting]
    return time.process_time() + sum(map(int, counts)) * 1e-9


def shown(what: str, found: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Two rows: minima, medians, and the differences of both in milliseconds."""
    rows = []
    for i, of in enumerate(("clock", "processors")):
        inside, apart = ([each[i] for each in times] for times in found.values())
        cells = [f"{min(times):.3f}, {statistics.median(times):.3f}" for times in (inside, apart)]
        more = [1000 * (middle(apart) - middle(inside)) for middle in (min, statistics.median)]
        rows.append(f"| {what} | {of} | {' | '.join(cells)} | {more[0]:+.0f}, {more[1]:+.0f} ms |")
    return "\n".join(rows)


def rows(target: str) -> Iterator[str]:
    """The first verdict of a program, and each further one, of runs that take turns."""
    first: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for _ in range(FIRST):
        for way, isolate in WAYS.items():
            first[way].append(of_program(target, isolate))
    yield shown(f"`{target}`, the first verdict of a program", first)
    further: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for i in range(FURTHER + 2):
        for way, isolate in WAYS.items():
            further[way] += [of_verdict(target, isolate)][: 1 if i > 1 else 0]
    yield shown(f"`{target}`, each further verdict", further)


def main(targets: Sequence[str], to_page: bool) -> None:
    load = f"{os.getloadavg()[0]:.0f} on {os.cpu_count()} cores"
    lines = [
        f"| seconds, least and median, at a load of {load} | of | {' | '.join(WAYS)} | more |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for target in targets:
        for row in rows(target):
            lines.append(row)
            print(row, flush=True)
    if to_page:
        text = "\n".join(["", *lines, "", ""])
        PAGE.write_text(re.sub(f"(?s){BEGIN}.*{END}", lambda _: BEGIN + text + END, PAGE.read_text()))


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--page"]
    main(words or list(TARGETS), "--page" in sys.argv)
