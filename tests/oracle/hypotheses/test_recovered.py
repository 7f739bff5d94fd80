"""The number that is named, of those that fit."""

from __future__ import annotations

import pytest

from refgrad.oracle.hypotheses.recovered import Recovered, shortest_decimal, vague


@pytest.mark.parametrize(
    ("low", "high", "middle", "expected"),
    [
        (0.0009, 0.00112, 0.001013, 0.001),
        (0.8987, 0.9012, 0.89998, 0.9),
        (0.9989, 0.99904, 0.998991, 0.999),
        (12.33, 12.36, 12.3456, 12.35),
        (1 / 3, 1 / 3, 1 / 3, 1 / 3),
    ],
)
def test_the_fewest_digits_that_fit(low: float, high: float, middle: float, expected: float) -> None:
    assert shortest_decimal(low, high, middle) == expected


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (0.19, 0.21, ""),
        (125.8, 256.0, "lr may be anything from 126 to 256"),
        (-1.0, 1.0, "lr may be anything from -1 to 1"),
    ],
)
def test_a_bound_that_nothing_reaches_is_no_fact(low: float, high: float, said: str) -> None:
    told = Recovered("lr", "p", 0.1, (low + high) / 2, low, high, True)
    assert vague([told]) == said
    assert vague([Recovered("lr", "p", told.value, told.value, low, high, True)]) == ""


@pytest.mark.parametrize(
    ("value", "width", "fact"),
    [
        (0.909091, 1e-7, False),  # the sign of m + g / 10 is that of a decay of 1 / 1.1
        (1 / 1.1, 1e-16, True),
        (0.90909, 1e-5, True),
        (2.0**-23, 1e-12, True),
        (0.0, 0.0, True),
    ],
)
def test_a_number_that_nobody_writes_is_a_fact_only_to_the_last_bit(value: float, width: float, fact: bool) -> None:
    told = Recovered("beta1", "p", 0.9, value, value - width / 2, value + width / 2, True)
    assert (vague([told]) == "") is fact
