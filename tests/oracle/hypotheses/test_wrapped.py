"""A rule with something around it is named by that, its bound too, where a screen of few elements could not tell."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.optimizers import SGD, Adafactor
from refgrad.oracle.hypotheses.wrapped import wrappers

RULE = SGD(momentum=0.9)


def clipped(p: Any, g: Any, buffer: Any, t: int, lr: float, momentum: float) -> Any:
    """The gradient is scaled down to a norm of a half."""
    norm = np.sqrt(np.sum(g * g))
    g = g if norm <= 0.5 else g * (p.dtype.type(0.5) / norm)
    buffer = momentum * buffer + g
    return p - lr * buffer, buffer


def centred(p: Any, g: Any, buffer: Any, t: int, lr: float, momentum: float) -> Any:
    """The mean of each row is taken from the gradient of what has rows."""
    g = g - g.mean(axis=tuple(range(1, g.ndim)), keepdims=True) if g.ndim > 1 else g
    buffer = momentum * buffer + g
    return p - lr * buffer, buffer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("candidate", "named"),
    [pytest.param(clipped, "ClipByNorm(", marks=pytest.mark.thorough), (centred, "Centralize(")],
)
def test_what_stands_around_a_rule_is_named(candidate: Any, named: str) -> None:
    verdict = refgrad.verify(candidate, RULE, steps=3, shrink=False, explain=10.0)
    told = [(d.name, d.sure) for d in verdict.departures]
    assert [sure for name, sure in told if name.startswith(named)] == ["fact"], told
    assert named != "ClipByNorm(" or "max_norm=0.5" in told[0][0]


def test_wrappers_keep_and_take_what_the_rule_does() -> None:
    for rule in (RULE, Adafactor()):
        found = list(wrappers(rule))
        assert {type(each).__name__ for each in found} >= {"ClipByValue", "ClipByNorm", "Centralize"}
        assert all(list(each.slots()) == list(rule.slots()) for each in found)
        assert len(set(map(str, found))) == len(found)
