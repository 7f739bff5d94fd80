"""The number that is named, of those that fit."""

from __future__ import annotations

import pytest

from refgrad.oracle.hypotheses.recovered import shortest_decimal


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
