"""A number that meets an array of a body, or a condition on one, becomes a number of the working dtype."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic.operations.functions import tanh
from refgrad.arithmetic.primitives import length, tree_max, tree_sum
from refgrad.arithmetic.scalar_math import TABLES, Scope
from refgrad.arithmetic.working import Working, as_working, plain

LR = Scope(TABLES["float64"]).named("lr", 0.1)
EXPRESSIONS: dict[str, Callable[[Any], Any]] = {
    "two numbers": lambda x: np.where(x > 0, 1.0, 0.1),
    "whole numbers": lambda x: np.where(x > 0, 1, 0) * x,
    "numbers of NumPy": lambda x: np.where(x > 0, np.float64(0.1), x),
    "hyperparameters": lambda x: np.where(x > 0, LR, 1.0),
    "within another choice": lambda x: np.where(x > 0, np.where(x > 1, 0.1, 0.2), x),
    "a condition on a sum": lambda x: np.where(tree_sum(x) > 0, 0.1, 0.2) * x,
    "a condition on a largest": lambda x: np.where(tree_max(x, "row") > 0, 0.1, 0.2) * x,
    "a condition on a function": lambda x: np.where(tanh(x) > 0, 0.1, 0.2),
    "not, and, or": lambda x: np.where(~(x > 0) & (x < 1) | (x == x), 0.1, 0.2),
    "the root of a length": lambda x: x / np.sqrt(length(x)),
    "the larger length": lambda x: x * np.maximum(length(x, "row"), LR),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scalars", ["float64", "float32"])
def test_results_have_the_working_dtype(name: str, dtype: type, scalars: str) -> None:
    x = np.asarray([[-2.0, 0.3, 5.0]], dtype)
    found = EXPRESSIONS[name](as_working(x, scalars))
    assert isinstance(found, Working)
    assert plain(found).dtype == dtype
    assert type(plain(found)) is np.ndarray
    wide = EXPRESSIONS[name](as_working(x.astype(np.float64), "float64"))
    np.testing.assert_allclose(found.astype(np.float64), plain(wide), rtol=2e-7)


def test_what_is_chosen_is_rounded_once() -> None:
    x = as_working(np.asarray([-1.0, 1.0], np.float32), "float64")
    assert np.where(x > 0, 0.1, LR).tolist() == [float(np.float32(0.1))] * 2


def test_conditions_stay_conditions() -> None:
    x = as_working(np.asarray([-1.0, 1.0], np.float32), "float64")
    assert np.where(x > 0, True, False).dtype == bool
    assert np.where(x > 0, x > 2, True).dtype == bool


def test_lengths_are_scalars_of_the_rules_own_precision() -> None:
    x = np.ones((1, 3), np.float32)
    wide, narrow = (np.sqrt(length(as_working(x, scalars))).value for scalars in ("float64", "float32"))
    assert wide == np.sqrt(3.0)
    assert narrow == float(np.sqrt(np.float32(3)))
    assert length(x) == 3


def test_the_memory_is_that_of_the_array() -> None:
    x = np.ones(3, np.float32)
    assert np.shares_memory(plain(as_working(x, "float64")), x)
    half = np.ones(3, np.float16)
    assert as_working(half, "float64") is half
