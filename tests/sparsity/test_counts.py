"""Counts: the traps of products in float64, and each rounding by its definition."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.errors import ArgumentError
from refgrad.sparsity import Magnitude
from refgrad.sparsity.counts import kept, rounded


@pytest.mark.parametrize(
    ("size", "sparsity", "rounding", "pruned"),
    [
        # int(0.29 * 100) is 28, int(0.57 * 100) is 56, int(0.58 * 100) is 57: the doubles lie below the decimals
        (100, 0.29, "floor", 28),
        (100, 0.57, "floor", 56),
        (100, 0.58, "floor", 57),
        (100, 0.29, "half_even", 29),
        # halves go to the even number
        (5, 0.5, "half_even", 2),
        (7, 0.5, "half_even", 4),
        (9, 0.5, "half_even", 4),
        (5, 0.5, "ceil", 3),
        (10, 0.3, "floor_plus_one", 4),
        (10, 1.0, "ceil_plus_one", 10),
        (10, 0.0, "floor_plus_one", 1),
        (10, 0.35, "floor_minus_one", 2),
    ],
)
def test_numbers_pruned(size: int, sparsity: float, rounding: str, pruned: int) -> None:
    assert size - kept(size, sparsity, rounding, "pruned") == pruned


def test_numbers_kept() -> None:
    assert kept(10, 0.9, "floor", "kept") == 0  # (1 - 0.9) * 10 is below 1
    assert kept(10, 0.9, "half_even", "kept_float32", at_least=1) == 1
    assert kept(10, 0.9, "ceil", "kept_percentile") == 0
    assert kept(100, 0.9, "ceil", "kept_percentile") == 9
    assert kept(3, 1.0, "half_even", "pruned", at_least=1) == 1
    assert kept(0, 1.0, "half_even", "pruned", at_least=1) == 0


@given(value=st.floats(-1e6, 1e6))
def test_roundings_are_those_of_the_exact_number(value: float) -> None:
    exact = Fraction(value)
    floor = exact.numerator // exact.denominator
    assert rounded(value, "floor") == floor
    assert rounded(value, "ceil") == -((-exact.numerator) // exact.denominator)
    near = rounded(value, "half_even")
    assert abs(exact - near) <= Fraction(1, 2)
    assert abs(exact - near) < Fraction(1, 2) or near % 2 == 0


@given(size=st.integers(0, 1000), sparsity=st.floats(0, 1))
def test_a_count_is_one_of_all(size: int, sparsity: float) -> None:
    for counted in ("pruned", "kept", "kept_float32", "kept_percentile"):
        for rounding in ("half_even", "floor", "ceil", "ceil_plus_one", "floor_minus_one"):
            assert 0 <= kept(size, sparsity, rounding, counted, at_least=1) <= size


def test_bad_arguments() -> None:
    with pytest.raises(ArgumentError, match=r"value is inf; legal: a finite number"):
        rounded(math.inf, "floor")
    with pytest.raises(ArgumentError, match=r"Magnitude.sparsity is 1.5; legal: a number in \[0, 1\]"):
        Magnitude(sparsity=1.5)
    with pytest.raises(ArgumentError, match=r"rounding is 'flor'.*did you mean 'floor'"):
        Magnitude(rounding="flor")
