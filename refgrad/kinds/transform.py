"""Judging a transform: its results against the enclosure of its body, run on arrays that carry bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.ranged import Explorer, OpenChoice, Ranged
from refgrad.arithmetic.running_error import Bounded, exact
from refgrad.candidates.faults import check_kept, copies
from refgrad.candidates.protocol import CandidateFault
from refgrad.candidates.transform import resolve
from refgrad.errors import TraceError, bad_argument
from refgrad.optimizers.transform import Transform
from refgrad.oracle.acceptance import judge as j
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Answer, Arrays, Claim, Outcome, Record
from refgrad.oracle.engine.time_limit import Call
from refgrad.oracle.engine.verdict import Count, Finding, Verdict
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.transforms import generate

#: ways through a body's open choices that are explored; with more, a case is undecided
MOST_WAYS = 64

Results = Mapping[str, Any]


def judge(request: Request) -> Verdict:
    """The verdict on a candidate that claims to be a transform."""
    rule = request.rule
    assert isinstance(rule, Transform)
    cases = request.own(Cases) or generate(rule, request.steps, request.dtype, request.seed)
    for arrays in cases.arrays:
        if list(arrays) != list(rule.shapes):
            raise bad_argument("inputs", list(arrays), f"the arrays {', '.join(rule.shapes)} of {type(rule).__name__}")
        rule.check(*arrays.values())
    return _Claim(resolve(request.candidate, request.options), rule, request).verdict(cases)


class _Claim(Claim):
    def start(self, call: Call) -> Callable[[Arrays], Results]:
        def ask(arrays: Arrays) -> Results:
            handed = copies(arrays)
            result = call(partial(self.subject.call, self.rule, handed), self.subject.name)
            check_kept(handed, arrays, self.subject.name)
            return _checked(result, self.rule, arrays, self.subject.name)

        return ask

    def judge(self, record: Record, rule: Transform, policy: Policy, measured: bool = False) -> Outcome:
        try:
            outcome = super().judge(record, rule, policy, measured)
        except TraceError as error:
            return Outcome(notes=[f"{type(rule).__name__} cannot be judged: {error}"])
        if any(c.undecided == c.total for c in outcome.counts.values()):
            ways = f"choices that rounding decides went more than {MOST_WAYS} ways in some cases: undecided there"
            outcome.notes.append(ways)
        return outcome

    def judge_one(self, rule: Transform, arrays: Arrays, seen: Results, policy: Policy) -> Answer:
        judged = judge_case(rule, arrays, seen, policy)
        return {n: (_unknown(a) if judged is None else judged[n], a) for n, a in seen.items()}

    def rejudge(self, record: Record, changes: Mapping[str, Any], policy: Policy) -> Mapping[str, Count] | None:
        counts = super().rejudge(record, changes, policy)
        return counts if counts and all(c.inside + c.outside for c in counts.values()) else None

    def unit_of(self, name: str, x: np.ndarray, values: np.ndarray) -> np.dtype:
        return x.dtype

    def beside(self, arrays: Arrays, values: np.ndarray) -> Arrays:
        # axes of one length need not be the same axis, so that nothing is broadcast
        return {n: a for n, a in arrays.items() if a.shape == values.shape}

    def smallest(self, record: Record, first: Finding) -> Cases:
        """The case that fails: the arrays are small as they are."""
        return Cases([record.cases.arrays[first.step - 1]], [record.cases.name(first.step - 1)])

    def writable(self, least: Cases) -> bool:
        return super().writable(least) and all(a.ndim for a in least.arrays[0].values())


def _unknown(values: np.ndarray) -> j.Judged:
    """All elements undecided."""
    free = np.full(values.shape, np.inf)
    return j.Judged(np.full(values.shape, j.UNDECIDED), np.full(values.shape, np.nan), -free, free)


def named(result: Any) -> Results:
    """A transform's results by name: "result", or "result[0]" and so on."""
    if isinstance(result, tuple | list):
        return {f"result[{i}]": r for i, r in enumerate(result)}
    return {"result": result}


def _checked(result: Any, rule: Transform, arrays: Arrays, name: str) -> Results:
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


def ways(rule: Transform, arrays: Arrays, policy: Policy) -> list[dict[str, Bounded]] | None:
    """The acceptance sets of a transform's results, for each way through its open choices; None where there are too many.

    Raises:
        TraceError: the body uses an operation without a bound.
    """
    dtype = arrays[rule.primary].dtype
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


def judge_case(rule: Transform, arrays: Arrays, seen: Results, policy: Policy) -> dict[str, j.Judged] | None:
    """The results of one case judged; one way through the choices must explain all of them."""
    explored = ways(rule, arrays, policy)
    if explored is None:
        return None
    dtype = arrays[rule.primary].dtype
    judged = [{n: _compared(sets[n], seen[n], dtype, policy) for n in seen} for sets in explored]
    return min(judged, key=lambda way: j.outside(way.values()))


def _compared(acceptable: Bounded, seen: np.ndarray, dtype: np.dtype, policy: Policy) -> j.Judged:
    one, shape = np.size(acceptable.value) == 1, seen.shape  # of one number axes may be more or fewer
    value = np.reshape(acceptable.value, shape) if one else np.broadcast_to(acceptable.value, shape)
    error = np.broadcast_to(acceptable.bound(), np.shape(acceptable.value)).reshape(np.shape(value))
    # a number of its own may be given in a wider dtype than that of the arrays
    kept = dtype if seen.dtype == dtype else dtypes.working(dtype)
    return j.compare(Bounded(value, error), seen.astype(np.float64), kept, policy)
