"""Judging an estimator: its value and its vector-Jacobian products, where its decisions fall and between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.candidates.estimator import Arrays, EstimatorCandidate, check_outputs, resolve
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError, bad_argument
from refgrad.estimators.base import Estimator
from refgrad.oracle import departures as known
from refgrad.oracle import judge as j
from refgrad.oracle import verdict as v
from refgrad.oracle.aimed import generate
from refgrad.oracle.cases import Cases
from refgrad.oracle.environment import environment
from refgrad.oracle.errors import Errors, measure
from refgrad.oracle.policy import Policy
from refgrad.oracle.pure import judge_case
from refgrad.oracle.request import Request
from refgrad.oracle.shrink_case import shrink
from refgrad.oracle.trajectory import count, tightness
from refgrad.oracle.verdict import Count, Counterexample, Fault, Finding, Verdict
from refgrad.oracle.watch import watched
from refgrad.tracing import free_names, free_values


def judge(request: Request) -> Verdict:
    """The verdict on a candidate that claims to be an estimator."""
    rule = request.rule
    assert isinstance(rule, Estimator)
    if not isinstance(request.inputs, Cases | None):
        raise bad_argument("inputs", request.inputs, "refgrad.Cases, or None")
    given = request.inputs
    if given is not None:
        for arrays in given.arrays:
            if "cotangent" not in arrays or "x" not in arrays:
                raise ArgumentError(f"{type(rule).__name__} needs 'cotangent' and 'x'; legal: arrays of one shape")
        given = Cases([rule.prepared(arrays) for arrays in given.arrays], given.names, given.seed)
    claim = _Claim(resolve(request.candidate, request.options), rule, request)
    cases = given if given is not None else generate(rule, request.steps, request.dtype, request.seed)
    return _verdict(claim, claim.drive(cases))


@dataclass
class _Record:
    """What a candidate answered, case by case, and what it did wrong besides values."""

    cases: Cases
    seen: list[Mapping[str, np.ndarray]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Outcome:
    counts: dict[str, Count] = field(default_factory=dict)
    tightest: dict[str, float] = field(default_factory=dict)
    errors: dict[str, Errors] = field(default_factory=dict)
    first: Finding | None = None


@dataclass(frozen=True)
class _Claim:
    """Who claims to be which rule, and how that is judged."""

    subject: EstimatorCandidate
    rule: Estimator
    request: Request

    def drive(self, cases: Cases) -> _Record:
        """Call the candidate with every case; what it raises, and a call that takes too long, become faults."""
        record = _Record(cases)
        with watched(self.request.time_limit) as call:
            try:
                run = call(lambda: self.subject.start(self.rule), f"building {self.subject.name}")
                for arrays in cases.arrays:
                    record.seen.append(self._call(run, arrays, call))
            except CandidateFault as fault:
                record.faults.append(Fault(fault.kind, len(record.seen) + 1, str(fault)))
            except (ArgumentError, CandidateError):
                raise
            except Exception as error:  # whatever a stranger's code raises is a finding, not our traceback
                record.faults.append(Fault("raised", len(record.seen) + 1, f"{type(error).__name__}: {error}"))
        missing = [n for n in self.rule.results() if record.seen and n not in record.seen[0]]
        if missing:
            record.notes.append(f"{self.subject.name} gives no {', '.join(missing)}, which is not judged")
        return record

    def _call(self, run: Callable[[Arrays], dict[str, np.ndarray]], arrays: Arrays, call: Any) -> dict[str, np.ndarray]:
        handed = {n: np.array(a, copy=True) for n, a in arrays.items()}
        results = call(lambda: run(handed), self.subject.name)
        wanted = {n: a for n, a in results.items() if n in self.rule.results()}
        return check_outputs(wanted, self.rule, arrays, self.subject.name)

    def judge(self, record: _Record, rule: Estimator, policy: Policy, measured: bool = False) -> _Outcome:
        outcome = _Outcome()
        for number, (arrays, seen) in enumerate(zip(record.cases.arrays, record.seen, strict=False), 1):
            x = arrays["x"]
            free = dict(zip(free_names(rule, x.ndim), free_values(x.shape, {}), strict=True))
            judged = judge_case(rule.plan(x.shape), free, arrays, seen, policy, frozenset({"x_grad"}))
            for name in [n for n in rule.results() if n in judged]:
                status = judged[name]
                outcome.counts[name] = outcome.counts.get(name, Count()) + count(status)
                closest = max(outcome.tightest.get(name, 0.0), tightness(status, seen[name]))
                outcome.tightest[name] = closest
                if measured:
                    found = measure(status, seen[name], seen[name].dtype)
                    outcome.errors[name] = outcome.errors.get(name, Errors()) + found
                if outcome.first is None and (status.status == j.OUTSIDE).any():
                    outcome.first = _finding(record.cases, number, name, status, seen[name])
        return outcome

    def rejudge(self, record: _Record, changes: Mapping[str, Any], policy: Policy) -> Mapping[str, Count] | None:
        """The counts with some hyperparameters changed; None where the changed rule takes or gives other arrays."""
        rule = self.rule.replace(**changes)
        if rule.takes() != self.rule.takes() or rule.gives() != self.rule.gives():
            return None
        return self.judge(record, rule, policy).counts

    def fails(self, cases: Cases) -> bool:
        """Whether some value is outside on these cases."""
        try:
            return self.judge(self.drive(cases), self.rule, self.request.policy).first is not None
        except ArgumentError:
            return False


def _finding(cases: Cases, number: int, name: str, judged: j.Judged, seen: np.ndarray) -> Finding:
    index = tuple(int(i) for i in np.argwhere(judged.status == j.OUTSIDE)[0])
    arrays = cases.arrays[number - 1]
    at = {
        n: float(np.broadcast_to(a, arrays["x"].shape)[index])
        for n, a in arrays.items()
        if seen.shape == arrays["x"].shape
    }
    at = at or {n: float(a.reshape(-1)[0]) for n, a in arrays.items() if a.size == 1}
    value, truth = float(seen[index]), float(judged.truth[index])
    with np.errstate(all="ignore"):
        distance = abs(value - truth) / float(dtypes.ulp(np.asarray(truth), seen.dtype))
    ulps = float(distance) if np.isfinite(distance) else float("inf")
    low, high = float(judged.low[index]), float(judged.high[index])
    return Finding(number, name, cases.name(number - 1), index, str(seen.dtype), value, truth, low, high, ulps, at)


def _departures(claim: _Claim, record: _Record) -> tuple[v.Departure, ...]:
    return known.departures(claim.rule, claim.request.policy, lambda c, p: claim.rejudge(record, c, p))


def _verdict(claim: _Claim, record: _Record) -> Verdict:
    request, policy = claim.request, claim.request.policy
    outcome = claim.judge(record, claim.rule, policy, measured=True)
    wrong = outcome.first is not None
    judged = sum(c.inside + c.outside for c in outcome.counts.values())
    counterexample = None
    if outcome.first is not None and request.shrink:
        counterexample = _counterexample(shrink(record.cases, outcome.first, claim.rule, claim.fails))
    return Verdict(
        outcome=v.DIFFERS if wrong or record.faults else v.CONFORMS if judged else v.UNJUDGED,
        candidate=claim.subject.name,
        rule=str(claim.rule),
        policy=policy.changed(),
        mode=v.CASES,
        steps=len(record.seen),
        dtype=str(record.cases.arrays[0]["x"].dtype),
        seed=record.cases.seed,
        counts=outcome.counts,
        first=outcome.first,
        faults=tuple(record.faults),
        departures=_departures(claim, record) if wrong and request.explain else (),
        counterexample=counterexample,
        reproduce=_reproduce(claim, record.cases, counterexample),
        tightest=outcome.tightest,
        errors=outcome.errors,
        environment=environment(),
        notes=tuple(record.notes),
    )


def _counterexample(least: Cases) -> Counterexample:
    arrays = least.arrays[0]
    text = {n: tuple(float(x).hex() for x in a.astype(np.float64).ravel()[:64]) for n, a in arrays.items()}
    return Counterexample(str(arrays["x"].dtype), arrays["x"].shape, arrays=text)


def _reproduce(claim: _Claim, cases: Cases, least: Counterexample | None) -> str:
    """A line of Python that gives this verdict again."""
    name = claim.subject.name
    target = repr(name.partition("(")[0]) if ":" in name else name
    given = {"options": claim.request.options, "policy": claim.request.policy.changed()}
    extra = "".join(f", {word}={value!r}" for word, value in given.items() if value)
    head = f"refgrad.verify({target}, refgrad.estimators.{claim.rule}"
    if least is not None and np.prod(least.shape) == 1:
        arrays = ", ".join(f"{n}={list(a)!r}" for n, a in least.arrays.items())
        return f"{head}, inputs=refgrad.Cases.of({least.dtype!r}, {arrays}){extra})"
    return f"{head}, steps={len(cases.arrays)}, dtype={str(cases.arrays[0]['x'].dtype)!r}, seed={cases.seed}{extra})"
