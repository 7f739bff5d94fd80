"""A variant that shows in a situation alone is named by `verify`, as `identify` names it; a place before it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.optimizers import SGD
from refgrad.rule import Rule
from refgrad.sparsity import Magnitude

F = np.float32


def without_nan(p: Any, g: Any, lr: float) -> Any:
    return p - F(lr) * np.nan_to_num(g, nan=0.0)


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("candidate", "rule", "name"),
    [
        (Magnitude(rounding="floor"), Magnitude(), "rounding=floor"),
        (Magnitude(rounding="floor", sparsity=0.7), Magnitude(sparsity=0.7), "rounding=floor"),
        (without_nan, SGD(lr=0.5), "where g is NaN"),
    ],
    ids=["floor", "floor at 0.7", "NaN"],
)
def test_what_a_situation_alone_shows_is_named(candidate: Any, rule: Rule, name: str) -> None:
    verdict = refgrad.verify(candidate, rule, steps=3, shrink=False)
    assert not verdict.conforms
    assert [d.name for d in verdict.departures if d.explains] == [name]
    assert verdict.explanation is not None
    assert verdict.explanation.sure == "fact"


def test_what_holds_in_that_situation_alone_is_no_name() -> None:
    """It rounds down where there are three weights, and right elsewhere."""

    def mask(w: Any, sparsity: float) -> Any:
        rule = Magnitude(sparsity=sparsity)
        return (rule.replace(rounding="floor") if w.shape == (3,) else rule).mask(w)

    verdict = refgrad.verify(mask, Magnitude(), shrink=False)
    assert verdict.situation == "shapes"
    assert not [d for d in verdict.departures if d.explains]
