"""Verdict first, then time: a candidate beside the rule's own kernel and other implementations, by pytest-benchmark."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from refgrad.arguments import several
from refgrad.arithmetic.dtypes import as_dtype
from refgrad.errors import bad_argument
from refgrad.oracle.engine.verdict import Verdict
from refgrad.rule import Rule
from refgrad.testing.timed_calls import LEGAL, Size, Workload, calls, workload

#: elements where nothing is said: within a cache, within the last one, beyond it
SIZES = (1_000, 100_000, 10_000_000)


@dataclass(frozen=True)
class Timing:
    """What one implementation took on one size.

    Attributes:
        rule: the rule, as reports write it.
        size: what was worked on, as tables call it.
        who: "candidate", "refgrad", or what it is called elsewhere.
        seconds: the median of a call.
        bytes: what any program has to move in a call.
    """

    rule: str
    size: str
    who: str
    seconds: float
    bytes: int

    @property
    def rate(self) -> float:
        """GB/s of compulsory traffic."""
        return self.bytes / self.seconds / 1e9


def workloads(rule: Rule, sizes: Any, dtype: Any) -> list[Workload]:
    """What is timed on, one a size.

    Args:
        rule: what is timed.
        sizes: see `refgrad_benchmark`.
        dtype: of arrays that are made.

    Raises:
        ArgumentError: there is no size, one is none, or the rule takes other arrays.
    """
    apart = isinstance(sizes, Iterable) and not isinstance(sizes, str | Mapping)
    given = several("sizes", sizes, "sizes", ordered=False) if apart else []
    if not given:
        raise bad_argument("sizes", sizes, f"several, each one of: {LEGAL}")
    return [workload(rule, size, as_dtype(dtype, "dtype")) for size in given]


def measured(
    benchmark: Any, verdict: Verdict, candidate: Any, rule: Rule, work: list[Workload], **how: Any
) -> list[Timing]:
    """Time a candidate and what it is timed beside, each as a benchmark of its own, in groups by size.

    Args:
        benchmark: the fixture of pytest-benchmark. It measures once; of the others each is measured by a copy of it.
        verdict: the candidate's, which conforms.
        candidate: whatever `refgrad.verify` takes.
        rule: what it is.
        work: what is worked on.
        how: ``options`` and ``state_names``, see `refgrad.verify`.

    Returns:
        What was taken; nothing where pytest-benchmark does not measure, as under pytest-xdist.

    Raises:
        CandidateError: it cannot be timed.
    """
    todo = [(each, call) for each in work for call in calls(candidate, rule, each, **how)]
    found = []
    for number, (each, call) in enumerate(todo, 1):
        fixture = benchmark if number == len(todo) else copy.copy(benchmark)
        fixture.group = f"{rule} on {each.label}"
        fixture.name, fixture.fullname = (f"{name}[{call.who}]" for name in (benchmark.name, benchmark.fullname))
        fixture.extra_info = {"refgrad_outcome": verdict.outcome, "elements": each.elements, "bytes": each.moved}
        fixture(call.call)
        if fixture.stats is not None:
            timing = Timing(str(rule), each.label, call.who, fixture.stats.stats.median, each.moved)
            fixture.extra_info["GB/s"] = timing.rate
            found.append(timing)
    return found


def table(timings: Iterable[Timing]) -> list[str]:
    """Lines of text: by rule and size, who took how long, GB/s of compulsory traffic, and how often the rule's own kernel."""
    timings = list(timings)
    own = {(t.rule, t.size): t.seconds for t in timings if t.who == "refgrad"}
    rows = [("rule", "size", "who", "median", "GB/s", "of refgrad's speed")]
    for t in timings:
        share = f"{own[t.rule, t.size] / t.seconds:.2f}" if (t.rule, t.size) in own else ""
        rows.append((t.rule, t.size, t.who, f"{t.seconds * 1e6:,.1f} us", f"{t.rate:.2f}", share))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    sides = (str.ljust, str.rjust, str.ljust, str.rjust, str.rjust, str.rjust)
    return ["  ".join(side(c, w) for side, c, w in zip(sides, row, widths, strict=True)) for row in rows]


__all__ = ["SIZES", "Size", "Timing", "measured", "table", "workloads"]
