"""Kinds whose candidates take steps: what is looked at after each, whatever adapter they come by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.candidates.protocol import CandidateFault, Observation
from refgrad.kinds.stepped import PROBED_STEPS
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD, AdamW, Lookahead
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.inputs.written import Inputs

RULE = SGD(lr=0.5, momentum=0.5)
CASES = Inputs.of([1.0, 2.0], [[1.0, -1.0]] * 4)


class Descent:
    """SGD with momentum 1/2, whose ``update`` may do something else at a step; it takes arrays without an adapter."""

    name = "descent"

    def __init__(self, update: Callable[[Descent, int, np.ndarray], None] = lambda run, step, g: None) -> None:
        self.update, self.taken = update, 0

    def start(self, rule: Any, params: Sequence[np.ndarray]) -> Descent:
        self.p = np.array(params[0])
        self.buffer = np.zeros_like(self.p)
        return self

    def step(self, grads: Sequence[np.ndarray]) -> None:
        self.taken += 1
        self.buffer = self.buffer / 2 + grads[0]
        self.p = self.p - self.buffer / 2
        self.update(self, self.taken, grads[0])

    def observe(self) -> Observation:
        return Observation([self.p], [{"buffer": self.buffer}])


def faults(candidate: Descent) -> list[tuple[str, int]]:
    return [(f.kind, f.step) for f in drive(kind_of(RULE), candidate, RULE, CASES).faults]


def writes(run: Descent, step: int, g: np.ndarray) -> None:
    if step == 3:
        g[1] = 0


def turns(run: Descent, step: int, g: np.ndarray) -> None:
    g *= -1


def keeps(run: Descent, step: int, g: np.ndarray) -> None:
    if step == PROBED_STEPS:
        run.buffer = g


def raises(run: Descent, step: int, g: np.ndarray) -> None:
    if step == 2:
        raise ZeroDivisionError("by zero")


def widens(run: Descent, step: int, g: np.ndarray) -> None:
    run.p = run.p.astype(np.float64)


def flattens(run: Descent, step: int, g: np.ndarray) -> None:
    run.p = run.p[:1]


def forgets(run: Descent, step: int, g: np.ndarray) -> None:
    run.buffer = run.buffer[:1]


@pytest.mark.sample(quick=100)
@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (writes, [("mutated", 3)]),
        (turns, [("mutated", 1)]),
        (keeps, [("aliased", PROBED_STEPS)]),
        (raises, [("raised", 2)]),
        (widens, [("dtype", 1)]),
        (flattens, [("shape", 1)]),
        (forgets, [("shape", 1)]),
    ],
)
def test_what_is_done_wrong_is_a_fault_of_the_step_that_does_it(
    update: Callable[[Descent, int, np.ndarray], None], expected: list[tuple[str, int]]
) -> None:
    assert faults(Descent(update)) == expected


def test_what_is_right_has_no_fault() -> None:
    assert faults(Descent()) == []


class Shows(Descent):
    """The same, whose observations are changed before they are handed out, and which may say what rule it is."""

    def __init__(self, change: Callable[[Observation], Observation]) -> None:
        super().__init__()
        self.change = change

    def observe(self) -> Observation:
        return self.change(super().observe())


#: what is done to an observation -> the fault that it is; parameters are handed over, so that each shows before the first step
ODD: dict[str, tuple[Callable[[Observation], Observation], str]] = {
    "parameters of its own": (lambda seen: Observation([3 + 0 * p for p in seen.params], seen.state), "structure"),
    "NaN": (lambda seen: Observation([p * np.nan for p in seen.params], seen.state), "structure"),
    "infinities": (lambda seen: Observation([p * np.inf for p in seen.params], seen.state), "structure"),
    "other signs": (lambda seen: Observation([-p for p in seen.params], seen.state), "structure"),
    "nothing": (lambda seen: Observation([], []), "structure"),
    "a parameter more": (lambda seen: Observation([*seen.params] * 2, [*seen.state] * 2), "structure"),
    "a state more": (lambda seen: Observation(seen.params, [*seen.state] * 2), "structure"),
    "no element": (lambda seen: Observation([p[:0] for p in seen.params], seen.state), "shape"),
    "integers": (lambda seen: Observation([p.astype("i4") for p in seen.params], seen.state), "dtype"),
    "a state of integers": (
        lambda seen: Observation(seen.params, [{"buffer": np.asarray(s["buffer"], "i4")} for s in seen.state]),
        "dtype",
    ),
}


@pytest.mark.sample(quick=100)
@pytest.mark.parametrize("name", ODD)
def test_what_is_seen_before_the_first_step_is_what_was_handed_over(name: str) -> None:
    change, kind = ODD[name]
    assert faults(Shows(change)) == [(kind, 0)]
    verdict = refgrad.verify(Shows(change), RULE, inputs=CASES)
    assert not verdict.conforms
    assert verdict.faults[0].kind == kind


def test_a_parameter_that_is_handed_over_as_nan_may_be_any_nan_and_one_kept_otherwise_is_rounded() -> None:
    """A zero keeps its sign."""
    given = [1.1, np.nan, -0.0]
    cases = Inputs.of(given, [[1.0, 1.0, 1.0]])
    for change in (
        lambda seen: seen,
        lambda seen: Observation([p.astype(np.float64) for p in seen.params], seen.state),
    ):
        assert drive(kind_of(RULE), Shows(change), RULE, cases).faults == []
    turned = Shows(lambda seen: Observation([p + 0 for p in seen.params], seen.state))
    assert [f.kind for f in drive(kind_of(RULE), turned, RULE, cases).faults] == ["structure"]


def says(rule_for: Callable[[Any], Any]) -> Descent:
    """A candidate that says what rule it is."""
    run: Any = Descent()
    run.rule_for = lambda leaf, rule: rule_for(rule)
    return run  # type: ignore[no-any-return]


def test_what_a_candidate_says_of_itself_stands_below_a_claim_and_is_told_first() -> None:
    claimed, default = SGD(lr=0.5, momentum=0.5), SGD()
    record = drive(kind_of(claimed), says(lambda rule: rule.replace(lr=0.0)), claimed, CASES)
    assert record.rules == [claimed]
    assert record.settings == ["lr=0.5 is claimed; the candidate says 0.0"]
    record = drive(kind_of(default), says(lambda rule: rule.replace(lr=0.5)), default, CASES)
    assert record.rules == [SGD(lr=0.5)]
    assert record.settings == [f"lr={default.lr!r} is the default; the candidate says 0.5, and is judged at that"]


def test_a_claim_of_a_rule_within_stands_above_what_a_candidate_says() -> None:
    claimed = Lookahead(inner=SGD(lr=0.5))
    record = drive(kind_of(claimed), says(lambda rule: rule.replace(inner_lr=0.0, k=3)), claimed, CASES)
    assert record.rules == [claimed.replace(k=3)]
    assert record.settings[0] == "inner_lr=0.5 is claimed; the candidate says 0.0"


def test_a_candidate_that_never_moves_does_not_conform_by_saying_that_its_rate_is_zero() -> None:
    still = says(lambda rule: rule.replace(lr=0.0))
    still.step = lambda grads: None  # type: ignore[method-assign]
    verdict = refgrad.verify(still, RULE, inputs=CASES, explain=False, shrink=False)
    assert not verdict.conforms
    assert "lr=0.5 is claimed and cannot be read" not in str(verdict)
    assert str(verdict).index("the candidate says 0.0") < str(verdict).index("Elements")


def unlawful(rule: SGD) -> SGD:
    new = SGD()
    object.__setattr__(new, "lr", float("nan"))
    return new


@pytest.mark.parametrize("rule_for", [unlawful, lambda rule: AdamW(), lambda rule: None], ids=["NaN", "other", "none"])
def test_a_rule_that_is_none_is_a_fault_of_the_candidate(rule_for: Callable[[Any], Any]) -> None:
    assert faults(says(rule_for)) == [("structure", 0)]


@pytest.mark.parametrize("kind", ["conforms\ud800", "", None, 3, ["raised"]])
def test_a_fault_of_a_kind_that_is_none_is_told_as_raised(kind: Any) -> None:
    def fails(run: Descent, step: int, g: np.ndarray) -> None:
        raise CandidateFault(kind, "of its own")

    assert faults(Descent(fails)) == [("raised", 1)]
