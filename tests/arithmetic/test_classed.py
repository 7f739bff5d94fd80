"""Graphs and bodies on masks of classes: where no program gives a number, and where one may by leaving something out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import classed, classes
from refgrad.arithmetic.classed import Classed
from refgrad.arithmetic.primitives import tree_max, tree_sum
from refgrad.errors import TraceError
from refgrad.rule import find
from refgrad.tracing import free_values

INFINITE = np.array([[1.0, np.inf], [2.0, -3.0]])


def none(function: Callable[[Any], Any], x: np.ndarray = INFINITE) -> list[bool]:
    """Where a function of an array gives no number."""
    return classes.no_number(classed.lifted(function(Classed(classes.of(x)))).mask).ravel().tolist()


@pytest.mark.parametrize(
    ("function", "where"),
    [
        (lambda x: 0.5 * x + 0.5 * x * x, [False, False, False, False]),  # a sum whose terms share an infinity
        (lambda x: 0.5 * x + 1.0, [False, True, False, False]),
        (lambda x: x * x, [False, True, False, False]),
        (lambda x: x + (np.sign(x) - x), [False, False, False, False]),  # taken in, and taken out again
        (lambda x: x / np.abs(x), [False, False, False, False]),  # its sign, written otherwise
        (lambda x: x / np.sqrt(tree_sum(x * x)), [False, True, False, False]),
        (lambda x: x * np.where(x > 9.0, 0.0, 1.0), [False, False, False, False]),  # a mask
        (lambda x: x * (1.0 / tree_sum(x * x)), [False, True, False, False]),  # a zero that nobody chose
        (lambda x: np.where(tree_sum(x) > 5.0, x, 1.0), [False, True, False, False]),
        (lambda x: np.minimum(x, 2.0), [False, False, False, False]),
        (lambda x: np.exp(x - tree_max(x, "row")) + 1.0, [False, True, False, False]),
        (lambda x: x - tree_sum(x, "row") / 2.0, [True, True, False, False]),
    ],
)
def test_where_no_program_gives_a_number(function: Callable[[Any], Any], where: list[bool]) -> None:
    assert none(function) == where


def test_what_a_body_may_call() -> None:
    x = Classed(classes.of(INFINITE))
    for function in (np.sum, np.max, np.min, np.mean, np.var):
        assert np.shape(function(x, axis=1).mask) == (2,)
    assert classes.no_number(np.stack([x[0], x[1]]).mask).tolist() == [[False, True], [False, False]]
    assert classes.no_number((x @ np.ones(2)).mask).tolist() == [True, False]
    assert classes.no_number((np.ones(2) @ x).mask).tolist() == [False, True]
    assert np.clip(x, -1.0, 1.0).shape == (2, 2)
    assert not none(lambda a: np.log1p(np.exp(-np.abs(a))))[1]
    with pytest.raises(TraceError, match="not known"):
        np.percentile(x, 5)
    with pytest.raises(TraceError, match="not known"):
        bool(x[0, 0] > 0.5)
    assert bool(Classed(np.asarray(classes.TRUE)))


@pytest.mark.parametrize(
    ("name", "value", "outputs"),
    [
        ("AdamW", np.nan, {"p", "m", "v"}),
        ("Lion", np.nan, {"m"}),  # a sign of NaN is any
        ("AdaptiveClip", np.inf, {"p", "m", "v"}),
        ("CautiousLion", np.inf, {"m"}),  # what a mask leaves out
        ("MoMo", np.nan, {"m"}),
        ("Shampoo", np.nan, set()),  # matrices
    ],
)
def test_the_outputs_that_are_no_number_somewhere(name: str, value: float, outputs: set[str]) -> None:
    rule: Any = find(name)()
    numbers = (*rule.scalar_inputs(), *(n for n, slot in rule.slots().items() if slot.scalar))
    free = free_values((2, 2), {"t": 2, **dict.fromkeys(numbers, 1.0)})
    plan = rule.plan((2, 2), 2)
    assert classed.certain(plan.graph, list(plan.scalars(*free)), "g", value) & {"p", "m", "v"} == outputs


def test_of_no_such_input_nothing_is_certain() -> None:
    assert classed.certain(find("SGD")().plan((2, 2), 1).graph, [], "loss", np.nan) == frozenset()
