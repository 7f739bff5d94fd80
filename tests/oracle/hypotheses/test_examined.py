"""What explains a run is judged as `verify` judges: on cases of its own, in every situation, and told as before."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad import Inputs
from refgrad.optimizers import SGD, ClipByNorm, Lion
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.examined import contradiction, examined, told_otherwise
from refgrad.rule import Rule
from refgrad.sparsity import Magnitude
from tests.kinds.candidates import tailless

F = np.float32
TWICE = Change("lr=0.2", "lr is 0.2", "value", {"lr": 0.2})
FLOOR = Change("rounding=floor", "rounded down", "field", {"rounding": "floor"})


def doubled(p: Any, g: Any, lr: float) -> Any:
    return p - F(2 * lr) * g


def fixed(p: Any, g: Any) -> Any:
    return p - F(0.2) * g


def reason(candidate: Any, rule: Rule, change: Change, **asked: Any) -> str:
    claim = Claim.of(Request.of(candidate, rule, steps=3, **asked))
    return contradiction(examined(claim, claim.driven(claim.cases()), change))


def clipped(p: Any, g: Any, m: Any, lr: float, beta1: float, beta2: float) -> Any:
    """Lion of a gradient that is clipped by its norm: where an element is infinite NaN, of which signs may be anything."""
    g = g * np.minimum(F(1), F(1) / np.sqrt(np.sum(g * g)))
    return p - F(lr) * np.sign(F(beta1) * m + F(1 - beta1) * g), F(beta2) * m + F(1 - beta2) * g


@pytest.mark.sample(quick=3)
@pytest.mark.parametrize(
    ("candidate", "rule", "change", "where"),
    [
        (fixed, SGD(lr=0.1), TWICE, ""),
        (doubled, SGD(lr=0.1), TWICE, ""),
        (doubled, SGD(lr=0.1), NONE, "cases of its own"),
        (tailless, SGD(lr=0.1), TWICE, "shapes"),
        (clipped, Lion(), Change("clipped", "clipped", "rule", of=ClipByNorm(inner=Lion())), ""),
        (Magnitude(rounding="floor"), Magnitude(), FLOOR, ""),
        (Magnitude(rounding="floor"), Magnitude(), NONE, "shapes"),
    ],
    ids=["fixed", "doubled", "doubled as told", "tail", "clipped", "floor", "floor as told"],
)
def test_a_hypothesis_holds_everywhere_or_is_contradicted(
    candidate: Any, rule: Rule, change: Change, where: str
) -> None:
    found = reason(candidate, rule, change)
    assert found == (f"it is not so where it is driven through {where}" if where else "")


def test_what_is_told_by_name_is_told_as_before() -> None:
    rule = SGD(lr=0.1)
    for candidate, told in ((doubled, True), (fixed, False)):
        claim = Claim.of(Request.of(candidate, rule))
        assert told_otherwise(claim, rule, SGD(lr=0.2)) == told
        assert not told_otherwise(claim, rule, rule)


def test_of_inputs_of_ones_own_nothing_more_is_asked() -> None:
    inputs = Inputs.of([1.0, 2.0], [[0.5, 0.5]])
    assert reason(tailless, SGD(lr=0.2), NONE, inputs=inputs) == ""
