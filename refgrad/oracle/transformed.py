"""Judging a transform: its results against the enclosure of its body, run on arrays that carry bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.ranged import Explorer, OpenChoice, Ranged
from refgrad.arithmetic.running_error import Bounded, exact
from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.transform import TransformCandidate, resolve
from refgrad.errors import ArgumentError, CandidateError, TraceError, bad_argument
from refgrad.optimizers.transform import Transform
from refgrad.oracle import departures as known
from refgrad.oracle import judge as j
from refgrad.oracle import verdict as v
from refgrad.oracle.cases import Cases
from refgrad.oracle.environment import environment
from refgrad.oracle.policy import Policy
from refgrad.oracle.request import Request
from refgrad.oracle.trajectory import count, tightness
from refgrad.oracle.transform_inputs import generate
from refgrad.oracle.verdict import Count, Counterexample, Fault, Finding, Verdict
from refgrad.oracle.watch import watched

#: ways through a body's open choices that are explored; with more, a case is undecided
MOST_WAYS = 64

Results = dict[str, Any]


def judge(request: Request) -> Verdict:
    """The verdict on a candidate that claims to be a transform."""
    rule = request.rule
    assert isinstance(rule, Transform)
    if not isinstance(request.inputs, Cases | None):
        raise bad_argument("inputs", request.inputs, "refgrad.Cases, or None")
    cases = request.inputs or generate(rule, request.steps, request.dtype, request.seed)
    for arrays in cases.arrays:
        if list(arrays) != list(rule.shapes):
            raise bad_argument("inputs", list(arrays), f"the arrays {', '.join(rule.shapes)} of {type(rule).__name__}")
        rule.check(*arrays.values())
    subject = resolve(request.candidate, request.options)
    record = _drive(subject, rule, cases, request.time_limit)
    return _verdict(subject, rule, record, request)


@dataclass
class _Record:
    """What a candidate answered, case by case, and what it did wrong besides values."""

    cases: Cases
    seen: list[Results] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass
class _Outcome:
    counts: dict[str, Count] = field(default_factory=dict)
    tightest: dict[str, float] = field(default_factory=dict)
    first: Finding | None = None


def _drive(subject: TransformCandidate, rule: Transform, cases: Cases, limit: float) -> _Record:
    """Call the candidate with every case; what it raises, and a call that takes too long, become faults."""
    record = _Record(cases)
    with watched(limit) as call:
        try:
            for arrays in cases.arrays:
                handed = {n: np.array(a, order="C", copy=True) for n, a in arrays.items()}
                result = call(partial(subject.call, rule, handed), subject.name)
                record.seen.append(_checked(result, rule, arrays, subject.name))
                changed = [n for n in arrays if handed[n].tobytes() != np.ascontiguousarray(arrays[n]).tobytes()]
                if changed:
                    raise CandidateFault("mutated", f"{subject.name} changed its argument {changed[0]!r}")
        except CandidateFault as fault:
            record.faults.append(Fault(fault.kind, len(record.seen) + 1, str(fault)))
        except (ArgumentError, CandidateError):
            raise
        except Exception as error:  # whatever a stranger's code raises is a finding, not our traceback
            record.faults.append(Fault("raised", len(record.seen) + 1, f"{type(error).__name__}: {error}"))
    return record


def named(result: Any) -> Results:
    """A transform's results by name: "result", or "result[0]" and so on."""
    if isinstance(result, tuple | list):
        return {f"result[{i}]": r for i, r in enumerate(result)}
    return {"result": result}


def _checked(result: Any, rule: Transform, arrays: Mapping[str, np.ndarray], name: str) -> Results:
    """The candidate's results as arrays, held against the shapes and dtypes of the rule's own."""
    found, wanted = named(result), named(rule(*arrays.values()))
    if len(found) != len(wanted):
        raise CandidateFault("structure", f"{name} returned {len(found)} results; legal: {len(wanted)}")
    checked = {}
    for label, own in wanted.items():
        array = np.asarray(found[label])
        if array.shape != np.shape(own) and array.size != 1:
            raise CandidateFault("shape", f"{name}'s {label} has shape {array.shape}; legal: {np.shape(own)}")
        if isinstance(own, np.ndarray) and array.dtype != own.dtype:
            raise CandidateFault("dtype", f"{name}'s {label} has dtype {array.dtype}; legal: {own.dtype}")
        checked[label] = array.reshape(np.shape(own))
    return checked


def ways(rule: Transform, arrays: Mapping[str, np.ndarray], policy: Policy) -> list[dict[str, Bounded]] | None:
    """The acceptance sets of a transform's results, for each way through its open choices; None where there are too many.

    Raises:
        TraceError: the body uses an operation without a bound.
    """
    dtype = next(iter(arrays.values())).dtype
    model = j.model_for(policy, dtype)
    pending: list[tuple[bool, ...]] = [()]
    found: list[dict[str, Bounded]] = []
    while pending:
        forced = pending.pop()
        explorer = Explorer(forced)
        given = [Ranged(exact(a.astype(np.float64), model), model, explorer) for a in arrays.values()]
        try:
            with np.errstate(all="ignore"):
                results = named(rule.apply(*given))
        except OpenChoice:
            pending += [(*forced, False), (*forced, True)]
        else:
            found.append({n: given[0].lift(r) for n, r in results.items()})
        if len(found) + len(pending) > MOST_WAYS:
            return None
    return found


def judge_case(
    rule: Transform, arrays: Mapping[str, np.ndarray], seen: Results, policy: Policy
) -> dict[str, j.Judged] | None:
    """The results of one case judged; one way through the choices must explain all of them."""
    explored = ways(rule, arrays, policy)
    if explored is None:
        return None
    best: dict[str, j.Judged] | None = None
    least = np.inf
    for sets in explored:
        judged = {n: _compared(sets[n], seen[n], next(iter(arrays.values())).dtype, policy) for n in seen}
        outside = sum(int((x.status == j.OUTSIDE).sum()) for x in judged.values())
        if outside < least:
            best, least = judged, outside
    return best


def _compared(acceptable: Bounded, seen: np.ndarray, dtype: np.dtype, policy: Policy) -> j.Judged:
    shape = seen.shape
    value = (
        np.broadcast_to(acceptable.value, shape)
        if np.size(acceptable.value) != 1
        else np.reshape(acceptable.value, shape)
    )
    error = np.broadcast_to(acceptable.bound(), np.shape(acceptable.value)).reshape(np.shape(value))
    # a number of its own may be given in a wider dtype than that of the arrays
    kept = dtype if seen.dtype == dtype else dtypes.working(dtype)
    return j.compare(Bounded(value, error), seen.astype(np.float64), kept, policy)


def _judged(record: _Record, rule: Transform, policy: Policy) -> _Outcome:
    outcome = _Outcome()
    for number, (arrays, seen) in enumerate(zip(record.cases.arrays, record.seen, strict=False), 1):
        judged = judge_case(rule, arrays, seen, policy)
        for name, values in seen.items():
            if judged is None:
                outcome.counts[name] = outcome.counts.get(name, Count()) + Count(undecided=values.size)
                continue
            status = judged[name]
            outcome.counts[name] = outcome.counts.get(name, Count()) + count(status)
            outcome.tightest[name] = max(outcome.tightest.get(name, 0.0), tightness(status, values))
            if outcome.first is None and (status.status == j.OUTSIDE).any():
                outcome.first = _finding(record.cases, number, name, status, values)
    return outcome


def _finding(cases: Cases, number: int, name: str, judged: j.Judged, seen: np.ndarray) -> Finding:
    index = tuple(int(i) for i in np.argwhere(judged.status == j.OUTSIDE)[0])
    arrays = cases.arrays[number - 1]
    same = {n: float(a[index]) for n, a in arrays.items() if a.shape == seen.shape}
    value, truth = float(seen[index]), float(judged.truth[index])
    with np.errstate(all="ignore"):
        distance = abs(value - truth) / float(dtypes.ulp(np.asarray(truth), next(iter(arrays.values())).dtype))
    ulps = float(distance) if np.isfinite(distance) else float("inf")
    low, high = float(judged.low[index]), float(judged.high[index])
    return Finding(number, name, cases.name(number - 1), index, str(seen.dtype), value, truth, low, high, ulps, same)


def _counterexample(cases: Cases, first: Finding) -> Counterexample:
    """The case that fails: the arrays are small as they are."""
    arrays = cases.arrays[first.step - 1]
    text = {n: tuple(float(x).hex() for x in a.astype(np.float64).ravel()[:64]) for n, a in arrays.items()}
    leading = next(iter(arrays.values()))
    return Counterexample(str(leading.dtype), leading.shape, arrays=text)


def _rejudged(record: _Record, rule: Transform) -> Callable[[Mapping[str, Any], Policy], Mapping[str, Count] | None]:
    def rejudge(changes: Mapping[str, Any], policy: Policy) -> Mapping[str, Count] | None:
        counts = _judged(record, rule.replace(**changes), policy).counts
        return counts if all(c.inside + c.outside for c in counts.values()) else None

    return rejudge


def _verdict(subject: TransformCandidate, rule: Transform, record: _Record, request: Request) -> Verdict:
    policy = request.policy
    try:
        outcome = _judged(record, rule, policy)
    except TraceError as error:
        outcome = _Outcome()
        record.notes.append(f"{type(rule).__name__} cannot be judged: {error}")
    if any(c.undecided == c.total for c in outcome.counts.values()):
        record.notes.append(
            f"choices that rounding decides went more than {MOST_WAYS} ways in some cases: undecided there"
        )
    wrong = outcome.first is not None
    decided = sum(c.inside + c.outside for c in outcome.counts.values())
    return Verdict(
        outcome=v.DIFFERS if wrong or record.faults else v.CONFORMS if decided else v.UNJUDGED,
        candidate=subject.name,
        rule=str(rule),
        policy=policy.changed(),
        mode=v.CASES,
        steps=len(record.seen),
        dtype=str(next(iter(record.cases.arrays[0].values())).dtype),
        seed=record.cases.seed,
        counts=outcome.counts,
        first=outcome.first,
        faults=tuple(record.faults),
        departures=known.departures(rule, policy, _rejudged(record, rule)) if wrong and request.explain else (),
        counterexample=_counterexample(record.cases, outcome.first) if outcome.first and request.shrink else None,
        reproduce=_reproduce(subject, rule, record, request),
        tightest=outcome.tightest,
        environment=environment(),
        notes=tuple(record.notes),
    )


def _reproduce(subject: TransformCandidate, rule: Transform, record: _Record, request: Request) -> str:
    """A line of Python that gives this verdict again."""
    target = repr(subject.name.partition("(")[0]) if ":" in subject.name else subject.name
    given = {"options": request.options, "policy": request.policy.changed()}
    extra = "".join(f", {word}={value!r}" for word, value in given.items() if value)
    dtype = str(next(iter(record.cases.arrays[0].values())).dtype)
    head = f"refgrad.verify({target}, refgrad.optimizers.{rule}"
    return f"{head}, steps={len(record.cases.arrays)}, dtype={dtype!r}, seed={record.cases.seed}{extra})"
