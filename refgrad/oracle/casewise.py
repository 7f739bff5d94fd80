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

from refgrad.arithmetic import dtypes
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError
from refgrad.oracle import departures as known
from refgrad.oracle import verdict as v
from refgrad.oracle.cases import Cases
from refgrad.oracle.environment import environment
from refgrad.oracle.errors import Errors, measure
from refgrad.oracle.judge import OUTSIDE, Judged
from refgrad.oracle.policy import Policy
from refgrad.oracle.request import Request
from refgrad.oracle.trajectory import count, tightness
from refgrad.oracle.verdict import Count, Counterexample, Fault, Finding, Verdict
from refgrad.oracle.watch import Call, watched
from refgrad.rule import Rule

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
class Outcome:
    """What became of a record under one rule and policy; ``first`` is the first value outside."""

    counts: dict[str, Count] = field(default_factory=dict)
    tightest: dict[str, float] = field(default_factory=dict)
    errors: dict[str, Errors] = field(default_factory=dict)
    first: Finding | None = None
    faults: list[Fault] = field(default_factory=list)


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
                outcome.counts[name] = outcome.counts.get(name, Count()) + count(judged)
                closest = max(outcome.tightest.get(name, 0.0), tightness(judged, values))
                outcome.tightest[name] = closest
                unit = self.unit_of(name, arrays[rule.primary], values)
                if measured and unit != np.bool_:
                    outcome.errors[name] = outcome.errors.get(name, Errors()) + measure(judged, values, unit)
                if outcome.first is None and (judged.status == OUTSIDE).any():
                    outcome.first = _finding(record.cases, number, name, judged, values, unit, rule)
        return outcome

    def rejudge(self, record: Record, changes: Mapping[str, Any], policy: Policy) -> Mapping[str, Count] | None:
        """The counts with some hyperparameters changed; None where the changed rule cannot be compared."""
        rule = self.rule.replace(**changes)
        if not self.comparable(rule, record):
            return None
        outcome = self.judge(record, rule, policy)
        return None if outcome.faults else outcome.counts

    def fails(self, cases: Cases) -> bool:
        """Whether some value is outside on these cases."""
        try:
            return self.judge(self.drive(cases), self.rule, self.request.policy).first is not None
        except ArgumentError:
            return False


def _on(record: Record) -> str:
    name = record.cases.name(len(record.seen))
    return f" (on {name!r})" if name else ""


def _finding(
    cases: Cases, number: int, name: str, judged: Judged, values: np.ndarray, unit: np.dtype, rule: Rule
) -> Finding:
    index = tuple(int(i) for i in np.argwhere(judged.status == OUTSIDE)[0])
    arrays = cases.arrays[number - 1]
    shape = arrays[rule.primary].shape
    like = {n: a for n, a in arrays.items() if values.shape == shape and _broadcasts(a, shape)}
    at = {n: float(np.broadcast_to(a, shape)[index]) for n, a in like.items()}
    at = at or {n: float(a.reshape(-1)[0]) for n, a in arrays.items() if a.size == 1}
    value, truth = float(values[index]), float(judged.truth[index])
    ulps = np.inf
    if unit != np.bool_:
        with np.errstate(all="ignore"):
            distance = abs(value - truth) / float(dtypes.ulp(np.asarray(truth), unit))
        ulps = float(distance) if np.isfinite(distance) else np.inf
    low, high = float(judged.low[index]), float(judged.high[index])
    return Finding(number, name, cases.name(number - 1), index, str(unit), value, truth, low, high, ulps, at)


def _broadcasts(array: np.ndarray, shape: tuple[int, ...]) -> bool:
    return array.ndim <= len(shape) and all(a in (1, b) for a, b in zip(array.shape[::-1], shape[::-1], strict=False))


def _verdict(claim: Claim, record: Record) -> Verdict:
    request, policy, rule = claim.request, claim.request.policy, claim.rule
    outcome = claim.judge(record, rule, policy, measured=True)
    wrong, faults = outcome.first is not None, (*record.faults, *outcome.faults)
    judged = sum(c.inside + c.outside for c in outcome.counts.values())
    least = claim.smallest(record, outcome.first) if outcome.first is not None and request.shrink else None
    departures: tuple[v.Departure, ...] = ()
    if wrong and request.explain:
        departures = known.departures(rule, policy, lambda c, p: claim.rejudge(record, c, p))
    return Verdict(
        outcome=v.DIFFERS if wrong or faults else v.CONFORMS if judged else v.UNJUDGED,
        candidate=claim.subject.name,
        rule=str(rule),
        policy=policy.changed(),
        mode=claim.mode,
        steps=len(record.seen),
        dtype=str(record.cases.arrays[0][rule.primary].dtype),
        seed=record.cases.seed,
        counts=outcome.counts,
        first=outcome.first,
        faults=faults,
        departures=departures,
        counterexample=None if least is None else _counterexample(least, rule),
        reproduce=_reproduce(claim, record.cases, least),
        tightest=outcome.tightest,
        errors=outcome.errors,
        environment=environment(),
        notes=tuple(record.notes),
    )


def _counterexample(least: Cases, rule: Rule) -> Counterexample:
    arrays = least.arrays[0]
    text = {n: tuple(float(x).hex() for x in a.astype(np.float64).ravel()[:64]) for n, a in arrays.items()}
    first = arrays[rule.primary]
    return Counterexample(str(first.dtype), first.shape, arrays=text)


def _reproduce(claim: Claim, cases: Cases, least: Cases | None) -> str:
    """A line of Python that gives this verdict again."""
    request, name = claim.request, claim.subject.name
    target = repr(name.partition("(")[0]) if ":" in name else name
    given = {"options": request.options, "policy": request.policy.changed()}
    extra = "".join(f", {word}={value!r}" for word, value in given.items() if value)
    room = type(claim.rule).__module__.split(".")[1]
    head = f"refgrad.verify({target}, refgrad.{room}.{claim.rule}"
    arrays = {} if least is None else least.arrays[0]
    dtype = str(cases.arrays[0][claim.rule.primary].dtype)
    if arrays and all(a.size <= 64 for a in arrays.values()):
        text = ", ".join(f"{n}={_hex(a)!r}" for n, a in arrays.items())
        return f"{head}, inputs=refgrad.Cases.of({dtype!r}, {text}){extra})"
    steps = f", steps={len(cases.arrays)}" if claim.counted else ""
    return f"{head}{steps}, dtype={dtype!r}, seed={cases.seed}{extra})"


def _hex(array: np.ndarray) -> Any:
    """Numbers as hex strings, nested as they are; one number alone, however many its axes, as a list of one."""
    if array.size == 1:
        return [float(array.reshape(())).hex()]
    return [_hex(row) for row in array] if array.ndim > 1 else [float(value).hex() for value in array]
