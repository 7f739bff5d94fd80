"""Selection: the stated tie rules against Python's own sort, on numbers with many ties."""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.arithmetic import exact
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.arithmetic.running_error import Bounded
from refgrad.arithmetic.top_k import TopK, keys, top_k

TIED = st.sampled_from([0.0, -0.0, 1.0, -1.0, 2.0, 2.0**-149, float("inf"), float("-inf"), float("nan")])
rows = hnp.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 40)), elements=TIED)


def rank(value: float, nan: str) -> float:
    """A number in the order that scores have; NaN at an end of it."""
    if np.isnan(value):
        return np.inf if nan == "largest" else -np.inf
    # infinities below NaN at the top and above it at the bottom
    return float(np.clip(value, -1e300, 1e300))


def sorted_mask(scores: np.ndarray, k: int, ties: str, nan: str) -> np.ndarray:
    """The first k of a stable sort by falling score, indices rising or falling among equals."""
    mask = np.zeros(scores.shape, bool)
    for row, values in enumerate(scores):
        sign = 1 if ties == "low" else -1
        order = sorted(range(len(values)), key=lambda i: (-rank(float(values[i]), nan), sign * i))
        mask[row, order[:k]] = True
    return mask


@pytest.mark.parametrize("nan", ["largest", "smallest"])
@pytest.mark.parametrize("ties", ["low", "high"])
@given(scores=rows, data=st.data())
def test_top_k_is_a_stable_sort(scores: np.ndarray, data: Any, ties: str, nan: str) -> None:
    k = data.draw(st.integers(0, scores.shape[1]))
    assert np.array_equal(top_k(keys(scores, nan), k, ties), sorted_mask(scores, k, ties, nan))


@given(scores=rows, data=st.data())
def test_thresholds_keep_or_prune_all_that_is_tied(scores: np.ndarray, data: Any) -> None:
    k = data.draw(st.integers(1, scores.shape[1]))
    ranked = keys(scores)
    exact, more, fewer = (top_k(ranked, k, ties) for ties in ("low", "keep_all", "prune_all"))
    for row in range(len(scores)):
        least = ranked[row][exact[row]].min()
        assert np.array_equal(more[row], ranked[row] >= least)
        pruned = ranked[row][~exact[row]]
        assert np.array_equal(fewer[row], ranked[row] > pruned.max() if pruned.size else np.ones_like(fewer[row]))


@given(scores=rows, data=st.data())
def test_nested_and_mirrored(scores: np.ndarray, data: Any) -> None:
    small, large = sorted(data.draw(st.tuples(*[st.integers(0, scores.shape[1])] * 2)))
    ranked = keys(scores)
    assert not np.any(top_k(ranked, small) & ~top_k(ranked, large))
    assert np.array_equal(top_k(ranked, small, "low")[:, ::-1], top_k(ranked[:, ::-1], small, "high"))


@given(scores=rows, data=st.data())
def test_preference_decides_ties_and_nothing_else(scores: np.ndarray, data: Any) -> None:
    k = data.draw(st.integers(0, scores.shape[1]))
    ranked = keys(scores)
    prefer = data.draw(hnp.arrays(bool, scores.shape))
    mask = top_k(ranked, k, "low", prefer)
    assert np.array_equal(
        np.sort(np.where(mask, ranked, -1), axis=1), np.sort(np.where(top_k(ranked, k), ranked, -1), axis=1)
    )
    # of equal keys none that is not preferred is kept while a preferred one is pruned
    for row in range(len(scores)):
        for i, j in itertools.permutations(range(scores.shape[1]), 2):
            if ranked[row, i] == ranked[row, j] and prefer[row, i] and not prefer[row, j]:
                assert mask[row, i] or not mask[row, j]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2, ml_dtypes.float8_e4m3fn])
def test_keys_have_the_order_of_every_number_of_a_format(dtype: Any) -> None:
    itemsize = np.dtype(dtype).itemsize
    numbers = np.arange(2 ** (8 * itemsize), dtype=f"u{itemsize}").view(dtype)
    with np.errstate(invalid="ignore"):
        values, found = numbers.astype(np.float64), keys(numbers).astype(np.int64)
    order = np.argsort(found, kind="stable")
    ordered = values[order]
    number = ~np.isnan(ordered)
    assert np.all(ordered[number][:-1] <= ordered[number][1:])
    assert np.all(np.isnan(ordered[np.count_nonzero(number) :]))
    same = found[order][:-1] == found[order][1:]
    assert np.array_equal(same, (ordered[:-1] == ordered[1:]) | np.isnan(ordered[:-1]))


@pytest.mark.parametrize("ties", ["low", "high", "keep_all", "prune_all"])
@pytest.mark.parametrize("nan", ["largest", "smallest"])
def test_the_operation_means_the_same_exactly_and_on_known_numbers(ties: str, nan: str) -> None:
    random = np.random.default_rng(0)
    x = random.choice([0.0, -0.0, 1.0, -1.0, 2.0, np.nan, np.inf], (40, 5))
    for k in range(6):
        record = TopK(k, ties, nan)
        wanted = OPERATIONS["top_k"].on([x], record)
        numbers = np.nan_to_num(x, nan=3.0, posinf=9.0)
        truth = exact.apply("top_k", [exact.Exact.of(numbers)], record).values.astype(bool)
        assert np.array_equal(truth, OPERATIONS["top_k"].on([numbers], record))
        assert [record.exactly(row) for row in x.tolist()] == wanted.tolist()
        assert all(np.array_equal(each, wanted) for each in record.ends(x, x))
        assert not OPERATIONS["top_k"].decided([Bounded(x)], record).open.any()


@pytest.mark.parametrize("ties", ["low", "high", "keep_all", "prune_all"])
def test_a_selection_among_numbers_with_a_bound_is_open_where_some_numbers_within_it_say_otherwise(ties: str) -> None:
    random = np.random.default_rng(1)
    centre, error = random.integers(-2, 3, (60, 3)).astype(np.float64), random.integers(0, 2, (60, 3)) / 1.0
    record = TopK(1, ties)
    decision = OPERATIONS["top_k"].decided([Bounded(centre, error)], record)
    corners = [
        record(centre + error * np.asarray(signs))
        for signs in itertools.product((-1, 0, 1), repeat=3)  # whole numbers, whose order the corners exhaust
    ]
    seen = np.any([corner != decision.result for corner in corners], axis=0)
    assert np.array_equal(decision.open & np.ones_like(seen), seen)
    assert seen.any()
    assert np.array_equal(decision.taken(1)[seen], ~decision.result[seen])
