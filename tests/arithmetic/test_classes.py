"""Classes of numbers: what an operation may give holds what it does give, and leaves out what none gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from refgrad.arithmetic import classes
from refgrad.arithmetic.classes import CHOSEN, DOWN, EITHER, FALSE, NAN, NEGATIVE, NUMBERS, POSITIVE, TRUE, UP, ZERO
from refgrad.arithmetic.operations import OPERATIONS

#: numbers of every class, whose products overflow and underflow too
NUMBERS_OF_EACH = np.float32([-np.inf, -3e38, -1.5, -1e-38, -0.0, 0.0, 1e-38, 1.0, 3e38, np.inf, np.nan])
BINARY = ("add", "sub", "mul", "div", "maximum", "minimum", "hypot")
COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")
UNARY = ("neg", "abs", "sqrt", "sign", "exp", "tanh", "log")


def within(value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Whether results are of the classes that were said, either zero being the other."""
    found = classes.of(value)
    return np.where(found == CHOSEN, (mask & (CHOSEN | ZERO)) != 0, (mask & found) != 0)


@pytest.mark.parametrize("op", [*BINARY, *UNARY])
def test_what_an_operation_gives_is_of_the_classes_that_it_may_give(op: str) -> None:
    x = NUMBERS_OF_EACH
    args = [x[:, None], x[None, :]] if op in BINARY else [x]
    with np.errstate(all="ignore"):
        value = OPERATIONS[op].on(args)
    assert within(value, classes.apply(op, [classes.of(a) for a in args])).all()


@pytest.mark.parametrize("op", COMPARISONS)
def test_what_a_comparison_gives_is_what_it_may_give(op: str) -> None:
    x = NUMBERS_OF_EACH
    mask = classes.apply(op, [classes.of(x[:, None]), classes.of(x[None, :])])
    value = OPERATIONS[op].on([x[:, None], x[None, :]])
    assert (mask & np.where(value, TRUE, FALSE) != 0).all()
    assert (mask[-1] == EITHER).all()  # of NaN


def test_what_is_certain() -> None:
    one = lambda c: np.asarray(c)  # noqa: E731
    for op, a, b, result in (
        ("add", UP, NEGATIVE, UP),
        ("add", UP, DOWN, NAN),
        ("sub", UP, UP, NAN),
        ("mul", UP, ZERO, NAN),
        ("mul", UP, CHOSEN, NAN | CHOSEN),
        ("mul", NAN, CHOSEN, NAN | CHOSEN),
        ("div", POSITIVE, UP, ZERO),
        ("div", UP, DOWN, NAN),
        ("maximum", NAN, POSITIVE, NAN | POSITIVE),
        ("minimum", UP, NEGATIVE, NEGATIVE),
    ):
        assert classes.apply(op, [one(a), one(b)]) == result, op


def test_a_sum_of_many_is_no_number_where_a_term_is_none_and_its_zero_is_not_chosen() -> None:
    x = classes.of(np.array([[1.0, np.inf, 2.0], [0.0, 0.0, 0.0], [np.inf, -np.inf, 1.0]]))
    assert classes.folded("add", x, (1,)).tolist() == [[UP], [ZERO], [NAN]]
    assert classes.folded("maximum", x, (1,)).tolist() == [[UP], [CHOSEN], [UP]]
    assert classes.folded("add", x[:, :0], (1,)).tolist() == [[CHOSEN]] * 3


def test_choices_and_truth_values() -> None:
    a, b = np.asarray(UP), np.asarray(POSITIVE)
    assert [classes.chosen(np.asarray(c), a, b) for c in (TRUE, FALSE, EITHER)] == [UP, POSITIVE, UP | POSITIVE]
    for op, function in {"and": np.logical_and, "or": np.logical_or}.items():
        for x, y in itertools.product((False, True), repeat=2):
            marks = [np.asarray(TRUE if each else FALSE) for each in (x, y)]
            assert classes.apply(op, marks) == (TRUE if function(x, y) else FALSE)
    assert classes.apply("not", [np.asarray(EITHER)]) == EITHER
    assert classes.apply("not", [np.asarray(TRUE)]) == FALSE


def test_a_product_of_matrices() -> None:
    found = classes.product(classes.of(np.array([[2.0, 1.0], [0.0, 1.0]])), classes.of(np.array([np.inf, 1.0])))
    assert found.tolist() == [UP, NAN | ZERO | POSITIVE | UP]


def test_what_lies_between_ends() -> None:
    low, high = np.array([-1.0, 0.5, -np.inf, np.inf, np.nan]), np.array([2.0, 3.0, -1.0, np.inf, np.nan])
    found = classes.between(low, high, np.array([False, True, False, False, False]))
    every = NUMBERS & ~ZERO
    assert found.tolist() == [every, POSITIVE | NAN, DOWN | NEGATIVE, UP, every | UP | DOWN]


def test_of_what_is_not_known_anything_may_come() -> None:
    assert classes.apply("power_of_two", [np.asarray(POSITIVE)]) == classes.ALL_CLASSES
    assert classes.no_number(np.asarray([NAN | UP, NAN | ZERO])).tolist() == [True, False]
