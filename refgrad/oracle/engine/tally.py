"""What judging adds up: statuses by tensor, how near the ends they came, distances from the truth, and what was found first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from refgrad.oracle.acceptance.findings import AtStep, Count, Fault, Output
from refgrad.oracle.acceptance.findings import tightness as tightness
from refgrad.oracle.acceptance.judgement import OUTSIDE, Judged
from refgrad.oracle.acceptance.screened_outputs import Screened, Summary, summary
from refgrad.oracle.acceptance.ulp_errors import Errors

#: elements of an output up to which it waits for others, and of all that wait
SMALL, MANY = 4096, 32768
#: nothing, added up
NONE = Summary(Count(), 0, 0.0, None)
NONE_MEASURED = NONE._replace(errors=Errors())


@dataclass
class Waiting:
    """Small outputs of one step that are to be added up together, as that costs what one does."""

    outputs: list[Output] = field(default_factory=list)
    size: int = 0

    def takes(self, output: Output) -> bool:
        """True if an output is small, judged element by element, and of the step of those that wait."""
        judged, values = output.judged, output.values
        if isinstance(judged, Screened) or values.size > SMALL or self.size + values.size > MANY:
            return False
        if any(array.shape != values.shape for array in (judged.status, judged.truth, judged.low, judged.high)):
            return False
        return not self.outputs or self.outputs[0].step == output.step

    def add(self, output: Output) -> None:
        """One more."""
        self.outputs.append(output)
        self.size += output.values.size

    def emptied(self) -> list[list[Output]]:
        """All of them, those of one tensor, dtype and unit together; none wait any longer."""
        groups: dict[tuple[str, np.dtype, np.dtype], list[Output]] = {}
        for output in self.outputs:
            groups.setdefault((output.tensor, output.values.dtype, output.unit), []).append(output)
        self.outputs, self.size = [], 0
        return list(groups.values())


def _unit(output: Output) -> np.dtype | None:
    """What distances are counted in; None where they are not."""
    return output.unit if output.step > 0 and output.unit != np.bool_ else None


def _together(outputs: Sequence[Output]) -> tuple[Judged, np.ndarray]:
    """Outputs end to end."""
    if len(outputs) == 1:
        return outputs[0].judged, outputs[0].values
    parts = [output.judged.parts()[:4] for output in outputs]
    joined = Judged(*(np.concatenate([np.ravel(a) for a in arrays]) for arrays in zip(*parts, strict=True)))
    return joined, np.concatenate([np.ravel(output.values) for output in outputs])


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
    #: small outputs that are not added up yet
    waiting: Waiting = field(default_factory=Waiting)

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
        self._add(
            output, summary(output.judged, output.values, _unit(output) if measured else None, measured), measured
        )

    def add_measured(self, output: Output) -> None:
        """The same, with distances; small outputs wait for others of their step, until there are many or `settle`."""
        if not self.waiting.takes(output):
            self.settle()
        if not self.waiting.takes(output):
            self.add(output, measured=True)
            return
        if self.first is None and (output.judged.status == OUTSIDE).any():
            self.first = output
        self._add(output, NONE if _unit(output) is None else NONE_MEASURED, True)  # so that names come in their order
        self.waiting.add(output)

    def settle(self) -> None:
        """Add up the outputs that wait, those of one tensor together."""
        for outputs in self.waiting.emptied():
            one = outputs[0]
            self._add(one, summary(*_together(outputs), _unit(one)), True)

    def _add(self, output: Output, found: Summary, measured: bool) -> None:
        name = output.tensor
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
