"""Values that are written soft + (hard - soft).detach(): refused as the value where they differ from it, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import estimators as e
from refgrad.estimators.base import Estimator
from refgrad.rule import Choice, rules
from tests.literal import literal_bodies as literal_bodies

torch = pytest.importorskip("torch", reason="the form is written with detach")

DETACHED = [
    rule for rule in (cls() for cls in rules().values()) if isinstance(rule, Estimator) and "written" in rule.legal()
]


def detached(soft: Any, hard: Any) -> Any:
    return soft + (hard - soft).detach()


@pytest.mark.parametrize("rule", DETACHED, ids=str)
def test_the_two_ways_of_writing_a_value_are_told_apart(rule: Any) -> None:
    legal = rule.legal()["written"]
    assert isinstance(legal, Choice)
    assert "detached" in legal.sentences
    other = rule.replace(written="detached")
    assert not refgrad.verify(other, rule, explain=False, shrink=False).conforms
    assert refgrad.verify(other, other).conforms


def one_hot(x: Any, e: Any) -> Any:
    soft = torch.softmax(x - e.log(), -1)
    hard = torch.nn.functional.one_hot((x - e.log()).argmax(-1), x.shape[-1]).to(x.dtype)
    return hard + soft - soft.detach()


@pytest.mark.thorough
def test_one_hot_plus_soft_less_soft_is_named() -> None:
    assert refgrad.verify(one_hot, e.StraightThroughGumbel(written="detached")).conforms
    verdict = refgrad.verify(one_hot, e.StraightThroughGumbel(), shrink=False)
    assert any("detached" in str(departure) for departure in verdict.departures)


@pytest.mark.parametrize(
    ("rule", "function"),
    [
        (e.ClippedSTE(sign_at_zero="zero", edge="inclusive"), lambda x: detached(x.clamp(-1, 1), torch.sign(x))),
        (e.DoReFaActivation(), lambda x: detached(x.clamp(0, 1), torch.round(x.clamp(0, 1) * 3) / 3)),
        (e.RoundingSTE(window="none"), lambda x: detached(x, torch.round(x / 0.0625).clamp(-128, 127) * 0.0625)),
    ],
    ids=["sign", "unit interval", "grid"],
)
def test_a_rounding_comes_back_exactly(rule: Any, function: Callable[[Any], Any]) -> None:
    """So that no way of writing it is to be named."""
    x = np.float32([[0.3, 0.7, -0.2, 1.7, -3.1, 0.5, 1e-30, -0.0]])
    given = torch.from_numpy(x)
    assert np.array_equal(function(given).numpy(), rule.evaluate(x))
