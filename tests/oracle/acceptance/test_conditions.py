"""Answers judged by a condition: right ones that differ are accepted, wrong ones refused, in all questions that are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest

import refgrad
from refgrad.gradients import GeometricMedian
from refgrad.gradients.solved import Conditions, Solved
from refgrad.oracle.acceptance.conditions import judge_condition, missed
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED
from refgrad.rule import Citation
from refgrad.testing import check_laws


class Root(Solved):
    """A number whose square is given, of either sign."""

    citation = Citation("Anon 2000", "Roots", "here", read="paper", source="a school book")
    shapes: ClassVar[Mapping[str, str]] = {"square": "n+"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 6}

    def apply(self, square: Any) -> Any:
        return np.sqrt(square)

    def condition(self, square: Any, root: Any, unit: float) -> Conditions:
        return {"the square's error": (root * root - square, 3 * unit * square)}


class Pair(Root):
    """Two numbers whose product is given."""

    def apply(self, square: Any) -> Any:
        return np.sqrt(square), np.sqrt(square)

    def condition(self, square: Any, one: Any, other: Any, unit: float) -> Conditions:
        return {"the greatest error of a product": (np.max(np.abs(one * other - square)), 4 * unit * np.max(square))}


RIGHT: Mapping[str, Callable[..., Any]] = {
    "positive": np.sqrt,
    "negative": lambda square: -np.sqrt(square),
    "of both signs": lambda square: np.sqrt(square) * np.where(np.arange(square.size) % 2, 1, -1).astype(square.dtype),
}
WRONG: Mapping[str, Callable[..., Any]] = {
    "another function": lambda square: square / 2,
    "one element": lambda square: np.where(np.arange(square.size) == 2, 1, np.sqrt(square)).astype(square.dtype),
    "few digits": lambda square: (np.sqrt(square) * np.float32(1.001)).astype(square.dtype),
}


@pytest.mark.parametrize("name", RIGHT)
def test_every_right_answer_is_accepted(name: str) -> None:
    verdict = refgrad.verify(RIGHT[name], Root(), explain=False)
    assert verdict.conforms, str(verdict)
    assert not verdict.total.undecided
    found = refgrad.identify(RIGHT[name], Root())
    assert found.outcome == "identified", str(found)


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_refused_and_the_condition_is_named(name: str) -> None:
    verdict = refgrad.verify(WRONG[name], Root())
    assert verdict.outcome == "does not conform"
    assert any("the square's error is" in note for note in verdict.notes), verdict.notes
    assert verdict.counterexample is not None
    assert refgrad.identify(WRONG[name], Root()).outcome != "identified"


def test_results_that_hang_together_are_judged_together() -> None:
    one = lambda square: (square, np.ones_like(square))  # noqa: E731
    assert refgrad.verify(one, Pair(), explain=False).conforms
    wrong = lambda square: (square, 2 * np.ones_like(square))  # noqa: E731
    assert not refgrad.verify(wrong, Pair(), explain=False).conforms


def test_laws_hold_of_it() -> None:
    assert not [each for each in check_laws(RIGHT["negative"], Root()) if each.broken]


@pytest.mark.parametrize("dtype", ["float64", "bfloat16", "float16"])
def test_the_answer_may_be_of_any_float_dtype(dtype: str) -> None:
    assert refgrad.verify(Root(), Root(), dtype=dtype, explain=False).conforms


def test_elements_are_judged_apart_where_the_condition_says_so() -> None:
    arrays = {"square": np.float32([4.0, 9.0, 16.0])}
    (judged,) = judge_condition(Root(), arrays, {"result": np.float32([-2.0, 4.0, 4.0])}).values()
    assert judged.status.tolist() == [INSIDE, OUTSIDE, INSIDE]
    assert judged.truth.tolist() == [2.0, 3.0, 4.0]
    assert (judged.low.tolist(), judged.high.tolist()) == ([-2.0, 3.0, 4.0], [6.0, 3.0, 4.0])
    assert list(missed(Root(), arrays, {"result": np.float32([-2.0, 4.0, 4.0])})) == [
        "the square's error is 7; legal: at most 1.61e-06"
    ]


def test_what_the_rules_own_answer_does_not_satisfy_is_undecided() -> None:
    arrays = {"square": np.float64([np.inf, np.nan, np.nan])}
    (judged,) = judge_condition(Root(), arrays, {"result": np.float64([1.0, 1.0, np.nan])}).values()
    assert judged.status.tolist() == [UNDECIDED, UNDECIDED, INSIDE]


def test_nan_satisfies_no_condition_where_the_rules_own_answer_is_a_number() -> None:
    """What is looked for among what is larger than a bound is not found in NaN: of a geometric median nothing pulled."""
    rule = GeometricMedian()
    rows = {"gradients": np.zeros((3, 2), np.float32)}
    own = {"result": np.zeros(2, np.float32)}
    assert (judge_condition(rule, rows, own)["result"].status == INSIDE).all()
    wrong = {"result": np.full(2, np.nan, np.float32)}
    assert (judge_condition(rule, rows, wrong)["result"].status == OUTSIDE).all()
