"""Transposable masks: balance, linear programming, the greedy bound, torch's reference."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.errors import ArgumentError
from refgrad.sparsity import Transposable
from refgrad.sparsity.transposable import patterns

TIES = hnp.arrays(np.float32, (4, 8), elements=st.one_of(st.integers(-2, 2).map(float), st.floats(-3, 3, width=32)))


def tiles(mask: np.ndarray, m: int) -> np.ndarray:
    return mask.reshape(mask.shape[0] // m, m, -1, m).swapaxes(1, 2).reshape(-1, m, m)


def total(w: np.ndarray, mask: np.ndarray) -> Fraction:
    return sum((Fraction(float(x)) for x in np.abs(w)[mask]), Fraction(0))


@pytest.mark.parametrize(("n", "number"), [(1, 24), (2, 90), (3, 24), (4, 1)])
def test_patterns_are_the_doubly_balanced_ones(n: int, number: int) -> None:
    found = patterns(n, 4).reshape(-1, 4, 4)
    bounded = patterns(n, 4, "at_most").reshape(-1, 4, 4)
    assert np.all(bounded.sum(axis=1) <= n)
    assert len(bounded) > number or n in (1, 4)
    assert len(np.unique(found, axis=0)) == number
    assert np.all(found.sum(axis=1) == n)
    assert np.all(found.sum(axis=2) == n)


@settings(max_examples=20, deadline=None)
@given(w=TIES)
def test_balance_and_the_greedy_bound(w: np.ndarray) -> None:
    best, greedy = Transposable().mask(w), Transposable(method="greedy").mask(w)
    assert np.all(tiles(best, 4).sum(axis=1) == 2)
    assert np.all(tiles(best, 4).sum(axis=2) == 2)
    assert np.all(tiles(greedy, 4).sum(axis=1) <= 2)
    assert np.all(tiles(greedy, 4).sum(axis=2) <= 2)
    bounded = Transposable(method="at_most").mask(w)
    assert np.all(tiles(bounded, 4).sum(axis=1) <= 2)
    assert np.all(tiles(bounded, 4).sum(axis=2) <= 2)
    assert max(total(w, greedy), total(w, best)) <= total(w, bounded) <= 2 * total(w, greedy)


def test_the_best_balanced_pattern_may_keep_less_than_the_greedy_one() -> None:
    w = np.asarray([[0, 0, 0, 0], [1, 0, 1, 0], [0, 1, 1, 0], [1, 1, 0, 0]], np.float32)
    kept = {method: total(w, Transposable(method=method).mask(w)) for method in ("exact", "at_most", "greedy")}
    assert kept == {"exact": 5, "at_most": 6, "greedy": 6}


def test_the_greedy_one_may_keep_fewer_than_eight() -> None:
    random = np.random.default_rng(0)
    w = random.standard_normal((4, 4000)).astype(np.float32)
    counts = np.bincount(tiles(Transposable(method="greedy").mask(w), 4).sum(axis=(1, 2)), minlength=9)
    assert counts[:7].sum() == 0
    assert counts[7] > 0
    assert counts[8] > counts[7]


def test_the_transpose_has_the_transposed_mask() -> None:
    w = np.random.default_rng(1).standard_normal((8, 12)).astype(np.float32)
    assert np.array_equal(Transposable().mask(w.T), Transposable().mask(w).T)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_exact_is_the_optimum_of_the_transportation_problem(n: int) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy's linear programming is checked against")
    rows, columns = np.kron(np.eye(4), np.ones(4)), np.kron(np.ones(4), np.eye(4))
    for seed in range(5):
        # whole numbers, so that sums are exact
        w = np.random.default_rng(seed).integers(-99, 99, (4, 4)).astype(np.float32)
        solved = optimize.linprog(
            -np.abs(w).ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.full(8, n), bounds=(0, 1), method="highs-ds"
        )
        corner = np.rint(solved.x).astype(bool).reshape(4, 4)
        assert total(w, Transposable(n=n).mask(w)) == total(w, corner)


def test_torch_ranks_signed_values() -> None:
    torch = pytest.importorskip("torch", reason="torch's reference conversion is checked against")
    from torch.sparse._semi_structured_conversions import _sparse_semi_structured_tile as tile

    random = np.random.default_rng(2)
    for w in (random.standard_normal((8, 12)), random.integers(1, 4, (8, 12)) * random.choice([-1, 1], (8, 12))):
        w = w.astype(np.float32)
        theirs = tile(torch.from_numpy(w.copy())).numpy() != 0
        assert np.array_equal(Transposable(method="greedy", measure="signed").mask(w), theirs)
        assert not np.array_equal(Transposable(method="greedy").mask(w), theirs)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Transposable(m=8), r"Transposable.m is 8; legal: up to 4, or method='greedy'"),
        (lambda: Transposable(n=5), r"Transposable.n is 5; legal: a whole number from 1 to m=4"),
        (lambda: Transposable().mask(np.ones((4, 6), np.float32)), r"w.shape is \(4, 6\)"),
    ],
)
def test_errors(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
