"""What judging adds up: statuses by tensor, how near the ends they came, distances from the truth, and what was found first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from refgrad.oracle.acceptance.findings import AtStep, Count, Fault, Output
from refgrad.oracle.acceptance.findings import tightness as tightness
from refgrad.oracle.acceptance.screening import summary
from refgrad.oracle.acceptance.ulp_errors import Errors


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
        unit = output.unit if measured and output.step > 0 and output.unit != np.bool_ else None
        found = summary(judged, values, unit, measured)
        self.counts[name] = self.counts.get(name, Count()) + found.counted
        if self.first is None and found.counted.outside:
            self.first = output
        self.undecided_nan += found.undecided_nan
        if measured:
            steps = self.by_step.setdefault(name, {})
            self.tightest[name] = max(self.tightest.get(name, 0.0), found.tightest)
            steps[output.step] = steps.get(output.step, AtStep()) + AtStep(found.counted, found.tightest)
        if found.errors is not None:
            self.errors[name] = self.errors.get(name, Errors()) + found.errors

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


def where_none_is_outside(outputs: Iterable[Output]) -> Tally | None:
    """All of some outputs; None at the first that has a value outside, and none after it is judged."""
    tally = Tally()
    for output in outputs:
        tally.add(output)
        if tally.outside:
            return None
    return tally
