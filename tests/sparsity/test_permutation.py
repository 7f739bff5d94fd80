"""Channel permutations: all orders by brute force, and what a search may not do."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.sparsity.permutation import exhaustive, kept_magnitude, orders, swaps


def whole(seed: int, shape: tuple[int, int]) -> np.ndarray:
    """Whole numbers, whose sums are exact."""
    return np.random.default_rng(seed).integers(-50, 50, shape).astype(np.float64)


@pytest.mark.parametrize(("columns", "number"), [(4, 1), (8, 35), (12, 5775), (16, 2627625), (20, 2546168625)])
def test_number_of_orders(columns: int, number: int) -> None:
    groups = columns // 4
    assert orders(columns, 4) == number == math.factorial(columns) // (24**groups * math.factorial(groups))


def test_exhaustive_is_the_best_of_all_permutations() -> None:
    w = whole(0, (3, 6))
    best = max(kept_magnitude(w[:, list(order)], 1, 3) for order in permutations(range(6)))
    assert kept_magnitude(w[:, exhaustive(w, 1, 3)], 1, 3) == best


@pytest.mark.parametrize("seed", range(4))
def test_searches(seed: int) -> None:
    w = whole(seed, (6, 8))
    best, found = exhaustive(w), swaps(w)
    assert sorted(best) == sorted(found) == list(range(8))
    assert kept_magnitude(w, 2, 4) <= kept_magnitude(w[:, found], 2, 4) <= kept_magnitude(w[:, best], 2, 4)


def test_twelve_channels() -> None:
    w = whole(7, (4, 12))
    assert kept_magnitude(w[:, swaps(w)], 2, 4) <= kept_magnitude(w[:, exhaustive(w)], 2, 4)


def test_within_groups_and_groups_themselves_do_not_matter() -> None:
    w = whole(9, (5, 8))
    for order in ([3, 1, 2, 0, 4, 5, 6, 7], [4, 5, 6, 7, 0, 1, 2, 3]):
        assert kept_magnitude(w[:, order], 2, 4) == kept_magnitude(w, 2, 4)


def test_errors() -> None:
    with pytest.raises(
        ArgumentError, match=r"w.shape is \(2, 6\); legal: a matrix with columns that are a multiple of m=4"
    ):
        swaps(whole(0, (2, 6)))
    with pytest.raises(ArgumentError, match=r"w.shape\[1\] is 20; legal: few enough columns"):
        exhaustive(whole(0, (2, 20)))
