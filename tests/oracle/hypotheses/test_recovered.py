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
