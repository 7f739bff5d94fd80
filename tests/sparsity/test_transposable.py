"""Transposable masks: balance, linear programming, the greedy bound, torch's reference."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import refgrad
from refgrad.errors import ArgumentError
from refgrad.sparsity import Transposable
from refgrad.sparsity.tiles import best_flow
from refgrad.sparsity.transposable import legal, patterns
from tests.depth import examples

TIES = hnp.arrays(np.float32, (4, 8), elements=st.one_of(st.integers(-2, 2).map(float), st.floats(-3, 3, width=32)))


def tiles(mask: np.ndarray, m: int) -> np.ndarray:
    return mask.reshape(mask.shape[0] // m, m, -1, m).swapaxes(1, 2).reshape(-1, m, m)


def total(w: np.ndarray, mask: np.ndarray) -> Fraction:
    return sum((Fraction(float(x)) for x in np.abs(w)[mask]), Fraction(0))


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize(("n", "number"), [(1, 24), (2, 90), (3, 24), (4, 1)])
def test_patterns_are_the_doubly_balanced_ones(n: int, number: int) -> None:
    found = patterns(n, 4).reshape(-1, 4, 4)
    bounded = patterns(n, 4, "at_most").reshape(-1, 4, 4)
    assert np.all(bounded.sum(axis=1) <= n)
    assert len(bounded) > number or n in (1, 4)
    assert len(np.unique(found, axis=0)) == number
    assert np.all(found.sum(axis=1) == n)
    assert np.all(found.sum(axis=2) == n)


def sums(w: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What is kept of each tile, as the rule adds it: in float64, where a little beside one is nothing."""
    return np.where(tiles(mask, 4), tiles(np.abs(w).astype(np.float64), 4), 0.0).sum(axis=(1, 2))


#: a little beside one: by exact sums the greedy pattern keeps more, by those of float64 as much
LITTLE = np.zeros((4, 8), np.float32)
LITTLE[0, 3], LITTLE[3, 1] = 1.0, 3.1651172e-27


@examples(20)
@given(w=TIES)
@example(w=LITTLE)
def test_balance_and_the_greedy_bound(w: np.ndarray) -> None:
    best, greedy = Transposable().mask(w), Transposable(method="greedy").mask(w)
    assert np.all(tiles(best, 4).sum(axis=1) == 2)
    assert np.all(tiles(best, 4).sum(axis=2) == 2)
    assert np.all(tiles(greedy, 4).sum(axis=1) <= 2)
    assert np.all(tiles(greedy, 4).sum(axis=2) <= 2)
    bounded = Transposable(method="at_most").mask(w)
    assert np.all(tiles(bounded, 4).sum(axis=1) <= 2)
    assert np.all(tiles(bounded, 4).sum(axis=2) <= 2)
    assert np.all(np.maximum(sums(w, greedy), sums(w, best)) <= sums(w, bounded))
    assert total(w, bounded) <= 2 * total(w, greedy)


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


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize(("n", "m"), [(1, 4), (2, 4), (3, 4), (2, 5), (4, 8), (1, 8), (5, 8), (8, 16)])
@pytest.mark.parametrize("method", ["exact", "at_most"])
def test_the_optimum_of_the_transportation_problem(n: int, m: int, method: str) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="SciPy's linear programming is checked against")
    sums = np.vstack([np.kron(np.eye(m), np.ones(m)), np.kron(np.ones(m), np.eye(m))])
    limits: dict[str, Any] = {"b_eq": np.full(2 * m, n), "A_eq": sums}
    if method == "at_most":
        limits = {"b_ub": np.full(2 * m, n), "A_ub": sums}
    for seed in range(4):
        # whole numbers, so that sums are exact; few of them, so that many patterns are as good
        w = np.random.default_rng(seed).integers(-9, 9 + 90 * (seed % 2), (m, m)).astype(np.float32)
        solved = optimize.linprog(-np.abs(w).ravel(), **limits, bounds=(0, 1), method="highs-ds")
        corner = np.rint(solved.x).astype(bool).reshape(m, m)
        mask = Transposable(n=n, m=m, method=method).mask(w)
        assert legal(mask[None], n, method).all()
        assert total(w, mask) == total(w, corner)


@pytest.mark.parametrize("method", ["exact", "at_most"])
@pytest.mark.parametrize("n", [1, 2, 3])
@examples(6)
@given(w=hnp.arrays(np.float32, (4, 4), elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_flows_find_what_going_through_all_patterns_finds(method: str, n: int, w: np.ndarray) -> None:
    """Numbers of any magnitude: sums in fractions, the flow in whole numbers of many digits where they are needed."""
    flow = best_flow(np.abs(w)[None], n, method == "exact")[0]
    assert legal(flow[None], n, method).all()
    exact = np.asarray([Fraction(float(x)) for x in np.abs(w).ravel()])
    assert total(w, flow) == max(patterns(n, 4, method).astype(object) @ exact)


def test_flows_take_infinities_ahead_of_all_sums() -> None:
    w = np.full((5, 5), 1e30, np.float32)
    w[0, 0] = w[1, 1] = np.inf
    mask = Transposable(n=1, m=5).mask(w)
    assert mask[0, 0]
    assert mask[1, 1]


def pruned_in_order(w: np.ndarray, order: list[tuple[int, int]], n: int) -> np.ndarray:
    """The greedy algorithm that prunes, entry by entry in an order."""
    m = len(w)
    kept = np.ones((m, m), bool)
    for i, j in order:
        if (~kept[i]).sum() < m - n or (~kept[:, j]).sum() < m - n:
            kept[i, j] = False
    return kept


@examples(25)
@given(
    w=hnp.arrays(np.float32, (4, 4), elements=st.integers(-3, 3).map(float)), shuffle=st.randoms(use_true_random=False)
)
def test_greedy_pruning_in_any_order_of_equal_entries_is_accepted(w: np.ndarray, shuffle: Any) -> None:
    rule = Transposable(method="greedy_pruned")
    entries = [(i, j) for i in range(4) for j in range(4)]
    in_order = sorted(entries, key=lambda e: (abs(float(w[e])), tuple(-k for k in e)))
    assert np.array_equal(rule.mask(w), pruned_in_order(w, in_order, 2))
    shuffle.shuffle(entries)
    entries.sort(key=lambda e: abs(float(w[e])))
    mask = pruned_in_order(w, entries, 2)
    assert np.all(mask.sum(axis=0) <= 2)
    assert np.all(mask.sum(axis=1) <= 2)
    assert np.array_equal(rule.select(np.abs(w), mask), mask)
    # it prunes at most twice the weight that must go
    best = Transposable(method="at_most").mask(w)
    assert total(w, ~mask) <= 2 * total(w, ~best)


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("method", ["exact", "at_most", "greedy", "greedy_pruned"])
def test_larger_tiles_are_judged(method: str) -> None:
    rule = Transposable(n=3, m=6, method=method)
    verdict = refgrad.verify(lambda w: rule.replace(ties="high").mask(w), rule)
    assert verdict.conforms, str(verdict)
    other = {"exact": "greedy", "at_most": "greedy", "greedy": "greedy_pruned", "greedy_pruned": "greedy"}[method]
    assert not refgrad.verify(lambda w: rule.replace(method=other).mask(w), rule, shrink=False, explain=False).conforms


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
        (lambda: Transposable(m=33), r"Transposable.m is 33; legal: a whole number from 1 to 32"),
        (lambda: Transposable(n=5), r"Transposable.n is 5; legal: a whole number from 1 to m=4"),
        (lambda: Transposable().mask(np.ones((4, 6), np.float32)), r"w.shape is \(4, 6\)"),
    ],
)
def test_errors(make: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        make()
