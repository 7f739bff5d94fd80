"""What the judges of rules without state share: a candidate is called case by case, and each answer is judged alone.

A kind of rule subclasses `Claim`: how its candidate is called, how one answer is judged, and what is the smallest case
that still fails. The run, the counts, the search for departures and the verdict are here.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError
from refgrad.oracle.acceptance.judge import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine import reproduce
from refgrad.oracle.engine import verdict as v
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.tally import Tally, finding
from refgrad.oracle.engine.time_limit import Call, watched
from refgrad.oracle.engine.verdict import Count, Departure, Fault, Finding, Verdict
from refgrad.oracle.hypotheses import departures as known
from refgrad.oracle.inputs.cases import Cases

Arrays = Mapping[str, np.ndarray]
#: what was judged of one answer: the statuses of each array, and the values that they are of
Answer = Mapping[str, tuple[Judged, np.ndarray]]


@dataclass
class Record:
    """What a candidate answered, case by case, and what it did wrong besides values."""

    cases: Cases
    seen: list[Mapping[str, np.ndarray]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class Outcome(Tally):
    """What became of a record under one rule and policy."""

    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Claim(ABC):
    """Who claims to be which rule, and how that is judged."""

    subject: Any
    rule: Any
    request: Request

    #: how reports call what is judged
    mode: ClassVar[str] = v.CASES
    #: whether the number of cases is `Request.steps`
    counted: ClassVar[bool] = True

    @abstractmethod
    def start(self, call: Call) -> Callable[[Arrays], Mapping[str, np.ndarray]]:
        """The candidate ready to be asked: a function from a case's arrays, which it may keep, to its answer."""

    @abstractmethod
    def judge_one(self, rule: Any, arrays: Arrays, seen: Mapping[str, np.ndarray], policy: Policy) -> Answer:
        """One answer, judged; a `CandidateFault` if it is none."""

    @abstractmethod
    def smallest(self, record: Record, first: Finding) -> Cases:
        """One case that fails, no larger than the one of the first finding."""

    def notes(self, record: Record) -> list[str]:
        """What is not judged, and why."""
        return []

    def comparable(self, rule: Any, record: Record) -> bool:
        """Whether a record can be judged as a changed rule's."""
        return True

    def unit_of(self, name: str, x: np.ndarray, values: np.ndarray) -> np.dtype:
        """The dtype whose units in the last place a distance is counted in; bool where there are none."""
        return values.dtype

    def beside(self, arrays: Arrays, values: np.ndarray) -> Arrays:
        """The arrays of a case that have a number for each element of a result."""
        shape = arrays[self.rule.primary].shape
        return {n: a for n, a in arrays.items() if values.shape == shape and _broadcasts(a, shape)}

    def writable(self, least: Cases) -> bool:
        """Whether a case is small enough to be written out in the line that reproduces it."""
        return all(a.size <= reproduce.KEPT for a in least.arrays[0].values())

    def verdict(self, cases: Cases) -> Verdict:
        """Drive the candidate through the cases and judge what it answers."""
        return _verdict(self, self.drive(cases))

    def drive(self, cases: Cases) -> Record:
        """Ask the candidate for every case; what it raises, and a call that takes too long, become faults."""
        record = Record(cases)
        with watched(self.request.time_limit) as call:
            try:
                ask = self.start(call)
                for arrays in cases.arrays:
                    record.seen.append(ask(arrays))
            except (ArgumentError, CandidateError):
                raise
            except CandidateFault as fault:
                record.faults.append(Fault(fault.kind, len(record.seen) + 1, f"{fault}{_on(record)}"))
            except Exception as error:  # whatever a stranger's code raises is a finding, not our traceback
                record.faults.append(Fault("raised", len(record.seen) + 1, f"{type(error).__name__}: {error}"))
        record.notes += self.notes(record)
        return record

    def judge(self, record: Record, rule: Any, policy: Policy, measured: bool = False) -> Outcome:
        """Every answer; one that is none ends it. Distances from the truth too if they are to be measured."""
        outcome = Outcome()
        for number, (arrays, seen) in enumerate(zip(record.cases.arrays, record.seen, strict=False), 1):
            try:
                answer = self.judge_one(rule, arrays, seen, policy)
            except CandidateFault as fault:
                outcome.faults.append(Fault(fault.kind, number, str(fault)))
                return outcome
            for name, (judged, values) in answer.items():
                unit = self.unit_of(name, arrays[rule.primary], values)
                if outcome.add(name, judged, values, unit if measured and unit != np.bool_ else None):
                    outcome.first = self._finding(record.cases, number, name, judged, values, unit)
        return outcome

    def rejudge(self, record: Record, changes: Mapping[str, Any], policy: Policy) -> Mapping[str, Count] | None:
        """The counts with some hyperparameters changed; None where the changed rule cannot be compared."""
        rule = self.rule.replace(**changes)
        if not self.comparable(rule, record):
            return None
        outcome = self.judge(record, rule, policy)
        return None if outcome.faults else outcome.counts

    def fails(self, cases: Cases) -> bool:
        """Whether some value is outside on these cases, of those that the candidate takes."""
        try:
            return self.judge(self.drive(cases), self.rule, self.request.policy).first is not None
        except (ArgumentError, CandidateError):
            return False

    def _finding(
        self, cases: Cases, number: int, name: str, judged: Judged, values: np.ndarray, unit: np.dtype
    ) -> Finding:
        arrays = cases.arrays[number - 1]

        def inputs(index: tuple[int, ...]) -> dict[str, float]:
            like = self.beside(arrays, values)
            at = {n: float(np.broadcast_to(a, values.shape)[index]) for n, a in like.items()}
            return at or {n: float(a.reshape(-1)[0]) for n, a in arrays.items() if a.size == 1}

        return finding(number, name, cases.name(number - 1), judged, values, unit, inputs)


def _on(record: Record) -> str:
    name = record.cases.name(len(record.seen))
    return f" (on {name!r})" if name else ""


def _broadcasts(array: np.ndarray, shape: tuple[int, ...]) -> bool:
    return array.ndim <= len(shape) and all(a in (1, b) for a, b in zip(array.shape[::-1], shape[::-1], strict=False))


def _verdict(claim: Claim, record: Record) -> Verdict:
    request, policy, rule = claim.request, claim.request.policy, claim.rule
    outcome, first = claim.judge(record, rule, policy, measured=True), record.cases.arrays[0][rule.primary]
    least = claim.smallest(record, outcome.first) if outcome.first is not None and request.shrink else None
    departures: tuple[Departure, ...] = ()
    if outcome.first is not None and request.explain:
        departures = known.departures(rule, policy, lambda c, p: claim.rejudge(record, c, p))
    return outcome.verdict(
        policy,
        [*record.faults, *outcome.faults],
        candidate=claim.subject.name,
        rule=str(rule),
        mode=claim.mode,
        steps=len(record.seen),
        dtype=str(first.dtype),
        seed=record.cases.seed,
        departures=departures,
        counterexample=None if least is None else reproduce.of_arrays(least.arrays[0], rule.primary),
        reproduce=_reproduce(claim, record.cases, least),
        notes=(*record.notes, *outcome.notes),
    )


def _reproduce(claim: Claim, cases: Cases, least: Cases | None) -> str:
    """A line of Python that gives this verdict again."""
    dtype = cases.arrays[0][claim.rule.primary].dtype
    if least is not None and claim.writable(least):
        text = ", ".join(f"{n}={reproduce.nested(a)!r}" for n, a in least.arrays[0].items())
        made = f"inputs=refgrad.Cases.of({str(dtype)!r}, {text})"
    else:
        made = reproduce.generated(dtype, cases.seed, len(cases.arrays) if claim.counted else None)
    options, policy = claim.request.options, claim.request.policy.changed()
    return reproduce.line(claim.subject.name, claim.rule, made, options=options, policy=policy)
