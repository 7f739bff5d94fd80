"""The run of a verdict: what is lost when a part of it fails."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.candidates.protocol import Observation
from refgrad.optimizers import SGD, Adafactor
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import judge


def uphill(p: np.ndarray, g: np.ndarray, lr: float) -> np.ndarray:
    return p + p.dtype.type(lr) * g


REQUEST = Request(
    candidate=uphill,
    rule=SGD(lr=0.5),
    steps=2,
    dtype=np.dtype(np.float32),
    inputs=refgrad.Inputs.of([1.0, 2.0], [[1.0, -1.0]]),
    shrink=True,
    explain=1.0,
    time_limit=10.0,
)


def test_an_explanation_that_fails_loses_no_verdict() -> None:
    def explain(*arguments: Any) -> Any:
        raise ValueError("all input arrays must have the same shape")

    verdict = judge(REQUEST, explain)
    assert verdict.outcome == "does not conform"
    assert verdict.departures == ()
    assert verdict.counterexample is not None
    assert any("failed with ValueError: all input arrays" in note for note in verdict.notes)


def test_nothing_is_explained_that_conforms_or_is_not_to_be_explained() -> None:
    asked = []
    judge(replace(REQUEST, candidate=SGD(lr=0.5)), lambda *arguments: asked.append(1) or ())
    judge(replace(REQUEST, explain=0.0), lambda *arguments: asked.append(1) or ())
    assert asked == []


class Flat:
    """Adafactor with a rate that is off; from the first step on its states have fewer axes than the rule's."""

    name = "flat"

    def start(self, rule: Any, params: Sequence[np.ndarray]) -> Flat:
        self.rule, self.p = rule.replace(lr=rule.lr * 1.5), list(params)
        self.state = [rule.init(p) for p in params]
        self.shown = False
        return self

    def step(self, grads: Sequence[np.ndarray]) -> None:
        pairs = [self.rule.step(p, g, s) for p, g, s in zip(self.p, grads, self.state, strict=True)]
        self.p, self.state = [p for p, _ in pairs], [s for _, s in pairs]
        self.shown = True

    def observe(self) -> Observation:
        names = [n for n in self.rule.slots() if n != "t"]
        squeezed = [{n: np.squeeze(s[n]) for n in names} for s in self.state]
        return Observation(self.p, squeezed if self.shown else [{} for _ in self.p])


def test_a_state_in_fewer_axes_than_the_rule_has_is_searched_too() -> None:
    rule = Adafactor(relative_step=False, scale_parameter=False, lr=0.01)
    random = np.random.default_rng(0)
    p, g = (random.standard_normal((5, 8)).astype(np.float32) for _ in range(2))
    verdict = refgrad.verify(Flat(), rule, inputs=refgrad.Inputs([p], [[g], [2 * g]], ["w"]), explain=5, shrink=False)
    assert verdict.outcome == "does not conform"
    assert not [note for note in verdict.notes if "failed with" in note]
    assert verdict.departures


class Numbered:
    """SGD whose rate is multiplied by the number of the parameter, so that one parameter alone is right."""

    name = "numbered"

    def start(self, rule: Any, params: Sequence[np.ndarray]) -> Numbered:
        self.rate, self.params = rule.lr, [np.array(p) for p in params]
        return self

    def step(self, grads: Sequence[np.ndarray]) -> None:
        pairs = zip(self.params, grads, strict=True)
        self.params = [p - p.dtype.type(self.rate) * (p.dtype.type(i) * g) for i, (p, g) in enumerate(pairs, 1)]

    def observe(self) -> Observation:
        return Observation(self.params, [{} for _ in self.params])


def test_what_no_parameter_shows_alone_is_not_printed_of_one() -> None:
    verdict = refgrad.verify(Numbered(), SGD(lr=0.5), explain=False)
    assert verdict.outcome == "does not conform"
    assert verdict.counterexample is None
    assert any("no parameter fails alone, and 3 together do" in note for note in verdict.notes), verdict.notes
    assert "steps=10, dtype='float32', seed=0" in verdict.reproduce


def test_what_does_not_fail_again_is_not_printed() -> None:
    """It is wrong in its first calls alone, so that no run after the first shows anything."""
    calls: list[int] = []

    def warming(p: np.ndarray, g: np.ndarray, lr: float) -> np.ndarray:
        calls.append(1)
        return p - p.dtype.type(lr) * g + p.dtype.type(len(calls) == 1)

    verdict = refgrad.verify(warming, SGD(lr=0.5), explain=False)
    assert verdict.outcome == "does not conform"
    assert verdict.counterexample is None
    assert any("does not fail in a candidate that is made anew" in note for note in verdict.notes), verdict.notes


@pytest.mark.slow
def test_the_line_says_what_has_no_name_and_what_is_too_long() -> None:
    many = refgrad.Inputs.of(np.ones(100), [np.ones(100)])
    verdict = refgrad.verify(lambda p, g: p + g, SGD(lr=0.5), inputs=many, explain=False, shrink=False)
    assert verdict.reproduce == "refgrad.verify(candidate, refgrad.optimizers.SGD(lr=0.5), inputs=inputs)"
    least = refgrad.verify(lambda p, g: p + g, SGD(lr=0.5), explain=False)
    assert not eval(least.reproduce, {"refgrad": refgrad, "candidate": lambda p, g: p + g}).conforms
