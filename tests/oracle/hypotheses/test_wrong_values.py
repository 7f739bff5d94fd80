"""What an input is where elements are wrong: told where all that is wrong has it in common, and little that is right has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.estimators import ClippedSTE
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD
from refgrad.oracle.hypotheses import wrong_values
from refgrad.rule import Rule
from tests.oracle.hypotheses.test_departures import claim_of


def told(candidate: Any, rule: Rule) -> list[str]:
    """What is told of a run, whatever a search would find."""
    claim = claim_of(candidate, rule)
    record = claim.driven(kind_of(rule).completed(rule, claim.cases()))
    return [each.name for each in wrong_values.explain(claim, record, claim.judge(record))]


def stepping(where: Any) -> Any:
    """Gradient descent that goes nine tenths of the way at some elements."""

    def candidate(p: Any, g: Any, lr: float) -> Any:
        return (
            p - p.dtype.type(lr) * np.where(where(p, g), p.dtype.type(0.9), p.dtype.type(1)) * g - where(p, g) * p / 3
        )

    return candidate


@pytest.mark.parametrize(
    ("where", "name"),
    [
        (lambda p, g: g == 0, "where g is zero"),
        (lambda p, g: g < 0, "where g is negative"),
        (lambda p, g: p < 0, "where p is negative"),
    ],
    ids=["zero", "negative", "negative p"],
)
def test_what_is_wrong_has_it_in_common(where: Any, name: str) -> None:
    assert told(stepping(where), SGD()) == [name]


def test_what_is_wrong_elsewhere_too_is_told_nothing() -> None:
    assert told(stepping(lambda p, g: np.abs(g) > 0.1), SGD()) == []
    assert told(stepping(lambda p, g: (g < 0) | (np.arange(g.size).reshape(g.shape) == 7)), SGD()) == []


def test_what_is_right_has_nothing_wrong() -> None:
    assert told(SGD(), SGD()) == []


@pytest.mark.slow
def test_it_is_told_where_no_change_of_the_rule_explains_a_candidate() -> None:
    def forward(x: Any) -> Any:
        return np.where(x < 0, np.sin(x * x), 1).astype(x.dtype)

    def backward(g: Any, x: Any) -> Any:
        return g * (np.abs(x) <= 1)

    verdict = refgrad.verify((forward, backward), ClippedSTE(), shrink=False, explain=10.0)
    assert [(d.name, d.sure) for d in verdict.departures] == [("where x is negative", "fact")]
