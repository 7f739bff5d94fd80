"""What judging adds up: statuses by tensor, how near the ends they came, distances from the truth, and what was found first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from refgrad.oracle.acceptance.findings import AtStep, Count, Fault, Output, count
from refgrad.oracle.acceptance.judge import OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.acceptance.ulp_errors import Errors, measure


@dataclass
class Tally:
    """What became of a run under one rule and policy; ``first`` is the first output with a value outside."""

    counts: dict[str, Count] = field(default_factory=dict)
    tightest: dict[str, float] = field(default_factory=dict)
    errors: dict[str, Errors] = field(default_factory=dict)
    #: by tensor and by step or case, of one run: `merge` leaves it alone
    by_step: dict[str, dict[int, AtStep]] = field(default_factory=dict)
    first: Output | None = None
    #: what only judging shows: answers that are none, and counts that are wrong
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    #: how many elements are undecided and NaN
    undecided_nan: int = 0

    @property
    def outside(self) -> int:
        """How many elements of all tensors are outside."""
        return sum(c.outside for c in self.counts.values())

    @property
    def decided(self) -> int:
        """How many elements of all tensors are inside or outside."""
        return sum(c.inside + c.outside for c in self.counts.values())

    def add(self, output: Output, measured: bool = False) -> None:
        """One output of one step or case; its distances from the truth too, if they are to be measured."""
        name, judged, values = output.tensor, output.judged, output.values
        counted = count(judged)
        self.counts[name] = self.counts.get(name, Count()) + counted
        if self.first is None and bool((judged.status == OUTSIDE).any()):
            self.first = output
        undecided = judged.status == UNDECIDED
        if undecided.any():
            self.undecided_nan += int(np.count_nonzero(undecided & np.isnan(values.astype(np.float64))))
        if measured:
            largest, steps = tightness(judged, values), self.by_step.setdefault(name, {})
            self.tightest[name] = max(self.tightest.get(name, 0.0), largest)
            steps[output.step] = steps.get(output.step, AtStep()) + AtStep(counted, largest)
            if output.step > 0 and output.unit != np.bool_:
                self.errors[name] = self.errors.get(name, Errors()) + measure(judged, values, output.unit)

    def merge(self, other: Tally) -> None:
        """All of another, of the same candidate in another situation."""
        for name, counted in other.counts.items():
            self.counts[name] = self.counts.get(name, Count()) + counted
        for name, tight in other.tightest.items():
            self.tightest[name] = max(self.tightest.get(name, 0.0), tight)
        for name, errors in other.errors.items():
            self.errors[name] = self.errors.get(name, Errors()) + errors
        self.first = self.first or other.first
        self.undecided_nan += other.undecided_nan
        self.faults += other.faults
        self.notes += other.notes

    def adding(self, outputs: Iterable[Output]) -> Tally:
        """The tally itself, with all of some outputs."""
        for output in outputs:
            self.add(output)
        return self


def tightness(judged: Judged, values: np.ndarray) -> float:
    """The largest distance from the truth over half the width of what is acceptable, of what is decided."""
    with np.errstate(all="ignore"):
        half = (judged.high - judged.low) / 2
        ratio = np.abs(values.astype(np.float64) - judged.truth) / half
    usable = (half > 0) & np.isfinite(ratio) & (judged.status != UNDECIDED)
    return float(np.max(ratio, where=usable, initial=0.0))
