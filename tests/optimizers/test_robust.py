"""Robust means restated in sixty digits, against byzfl where it is installed, and their laws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from tests.depth import examples
from tests.optimizers.tracked import Tracked, dot, holds, lift, mean, total

ROWS = np.random.default_rng(11).standard_normal((12, 5))
numbers = st.floats(-1e6, 1e6)


def columns(rows: Any) -> list[list[Any]]:
    return [list(c) for c in zip(*rows, strict=True)]


@pytest.mark.parametrize("percent", [0.0, 10.0, 25.0, 49.0])
def test_winsorized_mean(percent: float) -> None:
    want = []
    for column in columns(ROWS):
        ranked = sorted(column)
        rank = round(percent / 100 * (len(ranked) - 1))  # no case here is a tie between two examples
        low, high = ranked[rank], ranked[len(ranked) - 1 - rank]
        want.append(mean(min(max(x, low), high) for x in column))
    holds(o.WinsorizedMean(percent=percent)(ROWS), want)


def test_m3_is_the_median_of_three_means() -> None:
    parts = [[mean(c) for c in columns(ROWS[i : i + 4])] for i in (0, 4, 8)]
    want = [sorted(three, key=lambda x: x.value)[1] for three in zip(*parts, strict=True)]
    holds(o.M3()(ROWS), want)
    with pytest.raises(ArgumentError, match="three equal parts"):
        o.M3()(ROWS[:4])


def test_coherence() -> None:
    sums = [total(c) for c in columns(ROWS)]
    holds(o.Coherence()(ROWS), dot(sums, sums) / total(lift(x) * x for x in ROWS.ravel()))
    assert o.Coherence()(np.ones((4, 3))) == 4.0
    assert o.Coherence()(np.eye(4)) == 1.0
    assert o.Coherence()(np.asarray([[1.0], [-1.0]])) == 0.0
    assert o.Coherence()(np.zeros((3, 2))) == 0.0


def nearest(keep: int, pivot: np.ndarray) -> list[Tracked]:
    """The mean of the rows nearest to a pivot."""
    squares = [[(lift(x) - float(y)) * (lift(x) - float(y)) for x, y in zip(r, pivot, strict=True)] for r in ROWS]
    order = sorted(range(len(ROWS)), key=lambda i: total(squares[i]).value)[:keep]
    return [mean(c) for c in columns(ROWS[order])]


@pytest.mark.parametrize("keep", [1, 5, 12])
def test_nearest_neighbor_average(keep: int) -> None:
    holds(o.NearestNeighborAverage(keep=keep)(ROWS, ROWS[3]), nearest(keep, ROWS[3]))


def test_a_vector_of_nan_is_the_farthest() -> None:
    rows = np.asarray([[np.nan, 0.0], [1.0, 1.0], [3.0, 3.0]])
    assert o.NearestNeighborAverage(keep=2)(rows, np.zeros(2)).tolist() == [2.0, 2.0]


@examples(50)
@given(rows=hnp.arrays(np.float64, (5, 3), elements=numbers))
def test_the_average_lies_between_what_was_received(rows: np.ndarray) -> None:
    average = o.NearestNeighborAverage(keep=3)(rows, rows[0])
    slack = 4 * 2.0**-53 * 5 * np.max(np.abs(rows), initial=0.0)
    assert np.all(average >= np.min(rows, axis=0) - slack)
    assert np.all(average <= np.max(rows, axis=0) + slack)


def normal(results: np.ndarray, nonzero: np.ndarray, shift: int) -> bool:
    """True if a power of two scales these results exactly: where they are not zero in truth they are normal, before and after."""
    tiny = np.finfo(np.float64).smallest_normal
    return bool(np.all(np.minimum(np.abs(results), np.abs(np.ldexp(results, shift)))[nonzero] >= tiny))


@examples(50)
@given(rows=hnp.arrays(np.float64, (5, 3), elements=numbers), shift=st.integers(-64, 64))
def test_a_power_of_two_scales_the_average(rows: np.ndarray, shift: int) -> None:
    """To the bit, where no product and no quotient on the way is subnormal; a sum is exact where it is."""
    average, difference = o.NearestNeighborAverage(keep=3)(rows, rows[0]), rows - rows[0]
    assume(normal(rows, rows != 0, shift))
    assume(normal(difference * difference, difference != 0, 2 * shift))
    assume(normal(average, np.any(rows != 0, axis=0), shift))
    scaled = o.NearestNeighborAverage(keep=3)(np.ldexp(rows, shift), np.ldexp(rows[0], shift))
    assert np.array_equal(scaled, np.ldexp(average, shift))


def test_no_power_of_two_scales_a_subnormal_average() -> None:
    """Why the property says where it holds: a third of the least normal number is rounded, and a third of its double less."""
    rows = np.zeros((5, 1))
    rows[0] = np.finfo(np.float64).smallest_normal
    one, other = (o.NearestNeighborAverage(keep=3)(r, r[0])[0] for r in (rows, 2 * rows))
    assert other != 2 * one


@examples(50)
@given(rows=hnp.arrays(np.float64, (5, 3), elements=numbers))
def test_faulty_workers_cannot_move_those_who_agree(rows: np.ndarray) -> None:
    """Three of five agree; whatever two others send, nearest-neighbour averaging of three leaves them where they are."""
    rows[:3] = 1.5
    rows[3:] = np.where(rows[3:] == 1.5, 2.5, rows[3:])
    assert np.array_equal(o.NearestNeighborAverage(keep=3)(rows, rows[1]), np.full(3, 1.5))


def test_monna_is_a_momentum_step_and_an_average() -> None:
    random = np.random.default_rng(2)
    p, g, m = (random.standard_normal((7, 3)) for _ in range(3))
    rule = o.MoNNA(lr=0.5, beta=0.75, faults=2)
    new_p, new_m = rule(p, g, m)
    holds(
        new_m,
        [[0.75 * lift(b) + 0.25 * lift(a) for a, b in zip(*rows, strict=True)] for rows in zip(g, m, strict=True)],
    )
    half = p - 0.5 * new_m
    assert np.array_equal(new_p[4], o.NearestNeighborAverage(keep=3)(half, half[4]))
    with pytest.raises(ArgumentError, match="more than twice faults=3 workers"):
        o.MoNNA(faults=3)(p[:6], g[:6], m[:6])


def test_monna_without_faults_averages_everyone() -> None:
    p = np.asarray([[1.0], [2.0], [6.0]])
    assert o.MoNNA(faults=0)(p, np.zeros((3, 1)), np.zeros((3, 1)))[0].tolist() == [[3.0]] * 3


def test_rm3_survives_an_outlier_that_the_authors_arithmetic_loses() -> None:
    p = np.zeros(1, np.float32)
    ends = {}
    for median in ("exact", "difference"):
        rule = o.RM3(lr=1.0, median=median)
        q, state = p, rule.init(p)
        for g in (1e8, 1.0, 0.0):
            q, state = rule.step(q, np.float32([g]), state, backend="numpy")
        ends[median] = float(q[0])
    assert ends == {"exact": -1.0, "difference": 0.0}


def test_winsorizing_nothing_is_the_mean_and_everything_the_median() -> None:
    odd = ROWS[:11]
    assert np.array_equal(o.WinsorizedMean(percent=0.0)(odd), np.mean(odd, axis=0))
    holds(o.WinsorizedMean(percent=49.9)(odd), [lift(x) * 11 / 11 for x in np.median(odd, axis=0)])


def test_byzfl_mixes_by_the_same_average() -> None:
    byzfl = pytest.importorskip("byzfl", reason="byzfl is not installed", exc_type=ImportError)
    for pivot, mixed in zip(ROWS, np.asarray(byzfl.NNM(3)(ROWS)), strict=True):
        holds(mixed, nearest(9, pivot))
