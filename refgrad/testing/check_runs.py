"""Laws of kinds with state: a run is held against another on inputs derived from its own, or stands alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.candidates.protocol import Observation
from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.laws.optimizer import Law
from refgrad.kinds.record import Record, Wanted
from refgrad.kinds.stepped import Stepped
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.reproduce import hexes
from refgrad.oracle.engine.run import Claim, tally_of
from refgrad.oracle.engine.shrink import least
from refgrad.oracle.inputs.cases import Cases
from refgrad.testing.hypothesis_runner import smallest
from refgrad.testing.reports import BROKEN, EXEMPT, HOLDS, ROUNDING, SHRINKING, LawReport
from refgrad.testing.trial import Trial


def report(trial: Trial, law: Law) -> LawReport:
    """What came of one law."""
    reason = _silent(trial, law)
    if reason:
        return LawReport(law.name, law.sentence, EXEMPT, reason)
    rounded: list[bool] = []
    broken = _smallest(trial, law, rounded)
    if broken is None:
        return LawReport(law.name, law.sentence, ROUNDING if any(rounded) else HOLDS)
    cases, message = broken
    found = {"p": hexes(cases.p[0])}
    for t in range(1, len(cases.steps) + 1):
        given = {"g": cases.gradient(t, 0), **cases.extras(t)}
        found |= {f"{n}{t}": hexes(v if isinstance(v, float | np.ndarray) else v[0]) for n, v in given.items()}
    return LawReport(law.name, law.sentence, BROKEN, message, found)


def _silent(trial: Trial, law: Law) -> str:
    """Why a law says nothing of a rule, or cannot be tried; empty if it can."""
    rule: Any = trial.rule
    if not law.applies(rule):
        return "the rule is not of that kind"
    if not trial.follows and law.subject(rule) != rule:
        changed = _changed(law, rule)
        sets = ", ".join(f"{n}={v}" for n, v in changed.items())
        return f"it sets {sets}, which the candidate does not take: legal are arguments named {', '.join(changed)}"
    return rule.exempt().get(law.name) or law.subject(rule).exempt().get(law.name, "")


def _changed(law: Law, rule: Any) -> dict[str, Any]:
    """The hyperparameters of a law that a rule, or one inside it, has with other values."""
    every = [rule, *_within(rule)]
    return {n: v for n, v in law.hyperparameters.items() if any(_differs(each, n, v) for each in every)}


def _within(rule: Any) -> Iterator[Any]:
    for inner in rule.inner_rules().values():
        yield inner
        yield from _within(inner)


def _differs(rule: Any, name: str, value: Any) -> bool:
    known = rule.hyperparameters()
    return name in known and known[name] != value


def _smallest(trial: Trial, law: Law, rounded: list[bool]) -> tuple[Cases, str] | None:
    """The smallest inputs found on which a law is broken, with what differed; None if there are none."""
    from refgrad.testing import strategies

    rule: Any = trial.rule
    changed = law.subject(rule).hyperparameters()
    claim = trial.told({n: v for n, v in changed.items() if v != trial.rule.hyperparameters()[n]})
    element = strategies.moderate() if law.moderate else None
    drawn = strategies.problems(trial.dtype, element, rule=told_to(claim))
    drawn = drawn.map(lambda cases: law.base(stepped(claim).filled(claim.rule, cases)))
    broken = lambda cases: _broken(claim, law, cases, rounded)  # noqa: E731
    found = smallest(drawn, broken, _length, examples=trial.examples, seed=trial.seed)
    if found is None:
        return None
    cases, message = found

    def fails(smaller: Cases) -> tuple[int, ...] | None:
        try:
            return () if _broken(claim, law, smaller, []) else None
        except (ArgumentError, CandidateError):  # too small for the candidate
            return None

    cases = least(claim.kind, claim.rule, cases, (), fails, SHRINKING)
    return cases, _broken(claim, law, cases, []) or message


def stepped(claim: Claim) -> Stepped:
    """The kind, which is one with state."""
    assert isinstance(claim.kind, Stepped)
    return claim.kind


def told_to(claim: Claim) -> Optimizer:
    """The optimizer that a candidate is told to be."""
    told: Optimizer = stepped(claim).told(claim.rule)
    return told


def _length(cases: Cases) -> tuple[int, int]:
    """How much there is to read: elements, and digits."""
    arrays = [cases.p[0], *(g for (g,) in cases.g)]
    return cases.p[0].size, sum(len(float(x).hex()) for a in arrays for x in a.ravel())


def _broken(claim: Claim, law: Law, cases: Cases, rounded: list[bool]) -> str:
    """What differs between the two runs by more than rounding; empty if nothing does."""
    if law.holds is not None:
        return _broken_alone(claim, law, cases, rounded)
    first, second = (claim.drive(each) for each in (cases, law.change(cases, told_to(claim))))
    for run in (first, second):
        if run.faults:
            return f"{run.faults[0].kind} at step {run.faults[0].step}: {run.faults[0].message}"
    for step in range(1, first.steps + 1):
        want = law.expected(_tensors(first, step), first.cases.p[0], second.cases.p[0])
        message = _difference(want, _tensors(second, step), step)
        if message:
            both = (_as_expected(second, step, want), _as_expected(second, step, {}))
            by_rounding = all(claim.judge(each).first is None for each in both)
            rounded.append(by_rounding)
            return "" if by_rounding else message  # up to here the runs agreed to the bit
    return ""


def _broken_alone(claim: Claim, law: Law, cases: Cases, rounded: list[bool]) -> str:
    """What is wrong with one run by more than rounding; empty if nothing is."""
    assert law.holds is not None
    rule: Any = claim.rule
    run = claim.drive(cases)
    if run.faults:
        return f"{run.faults[0].kind} at step {run.faults[0].step}: {run.faults[0].message}"
    message = law.holds(rule, run)
    judged_as = [law.judged_as] if law.judged_as is not None else run.rules
    wanted = Wanted(claim.request.policy)
    by_rounding = bool(message) and tally_of(claim.kind, run, judged_as, wanted).first is None
    rounded.append(by_rounding)
    return "" if by_rounding else message


def _difference(want: Mapping[str, np.ndarray], got: Mapping[str, np.ndarray], step: int) -> str:
    for name, expected in want.items():
        actual = got[name] if name in got else abs(got[name.strip("|")])
        same = (actual == expected) | (np.isnan(actual) & np.isnan(expected))
        if not same.all():
            at = tuple(int(i) for i in np.argwhere(~same)[0])
            pair = f"{float(actual[at])!r}, expected {float(expected[at])!r}"
            return f"step {step}, {name}[{', '.join(map(str, at))}] is {pair}"
    return ""


def _as_expected(run: Record, step: int, want: Mapping[str, np.ndarray]) -> Record:
    """The run up to a step, with what was expected in place of what was seen."""
    seen = run.seen[step]
    state = {**seen.state[0], **{n: v for n, v in want.items() if n in seen.state[0]}}
    last = Observation([want.get("p", seen.params[0])], [state])
    return Record(run.cases, run.rules, [*run.seen[:step], last])


def _tensors(record: Record, step: int) -> dict[str, np.ndarray]:
    """What was seen after a step: the parameter, and the slots that are arrays."""
    seen, slots = record.seen[step], record.rules[0].slots()
    state = {n: np.asarray(v) for n, v in seen.state[0].items() if n in slots and not slots[n].scalar}
    return {"p": np.asarray(seen.params[0]), **state}
