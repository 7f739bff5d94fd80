"""Counts of steps that are another than the rule's are named: of all parameters, of all calls, of few bits, one that stops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.candidates.protocol import ABSENT, Observation
from refgrad.optimizers import SGD, Adam

F = np.float32


class Counting:
    """Adam of several parameters, with a count of its own."""

    name, abilities = "counting", frozenset({ABSENT})

    def __init__(self, count: Callable[[int, int, int, int], int]) -> None:
        self.count = count

    def start(self, rule: Any, params: Any) -> Any:
        self.params = [np.array(p) for p in params]
        self.state = [{"m": np.zeros_like(p), "v": np.zeros_like(p)} for p in self.params]
        self.calls, self.own = 0, [0] * len(self.params)
        return self

    def step(self, grads: Any) -> None:
        self.calls += 1
        for i, (p, g, s) in enumerate(zip(self.params, grads, self.state, strict=True)):
            if g is None:
                continue
            self.own[i] += 1
            t = self.count(self.calls, self.own[i], i, len(grads))
            s["m"][...] = F(0.9) * s["m"] + F(0.1) * g
            s["v"][...] = F(0.999) * s["v"] + F(0.001) * g * g
            with np.errstate(invalid="ignore"):
                p -= F(1e-3 / (1 - 0.9**t)) * s["m"] / (np.sqrt(s["v"] / F(1 - 0.999**t)) + F(1e-8))

    def observe(self) -> Observation:
        return Observation(self.params, self.state)


@pytest.mark.parametrize(
    ("count", "name", "situation"),
    [
        (lambda calls, own, i, n: (own - 1) * n + i + 1, "count of all parameters", ""),
        (lambda calls, own, i, n: calls, "count of all calls", "absent gradients"),
        (lambda calls, own, i, n: own % 128 or 1, "count of 7 bits", "late steps"),
        (lambda calls, own, i, n: min(own, 100), "count stops at 100", "late steps"),
    ],
    ids=["all parameters", "all calls", "7 bits", "stops"],
)
def test_a_count_is_named(count: Any, name: str, situation: str) -> None:
    verdict = refgrad.verify(Counting(count), Adam(), steps=3, shrink=False, explain=5.0)
    assert verdict.situation == situation
    assert verdict.explanation is not None
    assert (verdict.explanation.name, verdict.explanation.sure) == (name, "fact")


@pytest.mark.parametrize(
    ("end", "name"),
    [(lambda t: min(t, 1000), "count stops at 1000"), (lambda t: t % 32768 or 1, "count of 15 bits")],
    ids=["stops at 1000", "15 bits"],
)
def test_a_count_that_is_wrong_far_along_is_named(end: Callable[[int], int], name: str) -> None:
    from tests.oracle.inputs.test_far_steps import adam

    verdict = refgrad.verify(adam(end), Adam(), steps=2, shrink=False, explain=5.0)
    assert verdict.explanation is not None
    assert verdict.explanation.name == name


@pytest.mark.slow
def test_a_count_explains_nothing_else() -> None:
    def halved(p: Any, g: Any, lr: float) -> Any:
        return p - F(lr / 2) * g

    verdict = refgrad.verify(halved, SGD(lr=0.1), steps=2, shrink=False, explain=5.0)
    assert verdict.explanation is None or "count" not in verdict.explanation.name
    scaled = Counting(lambda calls, own, i, n: own + 1)
    verdict = refgrad.verify(scaled, Adam(), steps=2, shrink=False, explain=5.0)
    assert not verdict.conforms
    assert verdict.explanation is None or not verdict.explanation.name.startswith("count")
