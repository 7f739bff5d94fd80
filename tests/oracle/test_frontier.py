"""The least tolerances: every pair on the curve covers, and none that is less does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.oracle.frontier import Frontier, frontier, rounded_up, together
from tests.depth import examples

NUMBERS = st.floats(0.0, 1e6, allow_subnormal=False) | st.sampled_from([0.0, 1.0, 1e-3])
POINTS = st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=40)


@examples(60)
@given(points=POINTS, rtol=st.floats(0.0, 4.0))
def test_the_least_atol_beside_an_rtol_is_that_of_all_elements(points: list[tuple[float, float]], rtol: float) -> None:
    sizes, distances = np.asarray(points).T
    found = frontier(sizes, distances)
    wanted = max(0.0, float((distances - rtol * sizes).max()))
    assert found.atol(rtol) == wanted
    assert set(found.points) <= set(points)


@examples(60)
@given(points=POINTS)
def test_corners_cover_and_are_least(points: list[tuple[float, float]]) -> None:
    sizes, distances = np.asarray(points).T
    found = frontier(sizes, distances)
    corners = found.corners()
    assert corners[0] == (0.0, distances.max())
    assert [r for r, _ in corners] == sorted(r for r, _ in corners)
    for rtol, atol in corners:
        allowed = atol * (1 + 1e-9) + rtol * (1 + 1e-9) * sizes
        assert (distances <= allowed + 1e-12 * distances.max()).all()
        if atol:
            assert not found.covered(rtol, atol * (1 - 1e-6))


def test_many_elements_are_no_other_than_few() -> None:
    random = np.random.Generator(np.random.Philox(3))
    sizes, distances = np.exp2(random.uniform(-30, 30, 5000)), np.exp2(random.uniform(-60, 5, 5000))
    parts = [frontier(s, d) for s, d in zip(np.split(sizes, 50), np.split(distances, 50), strict=True)]
    assert together(parts) == frontier(sizes, distances)
    for rtol in (0.0, 1e-6, 1e-3, 1.0):
        assert frontier(sizes, distances).atol(rtol) == max(0.0, float((distances - rtol * sizes).max()))


def test_what_no_tolerance_covers_and_what_needs_none() -> None:
    endless = frontier(np.asarray([1.0, 2.0]), np.asarray([0.5, math.inf]))
    assert not endless.covered(1e9, 1e9)
    assert endless.atol(0.5) == math.inf
    assert frontier(np.ones(3), np.zeros(3)) == Frontier()
    assert Frontier().corners() == [(0.0, 0.0)]
    assert Frontier().covered(0.0, 0.0)


@pytest.mark.parametrize("value", [1.2345e-06, 1e-7, 9.99e5, 0.1, 2.0**-24, 1.1, 5e-324, 9.95])
def test_two_digits_upwards(value: float) -> None:
    found = rounded_up(value)
    assert value <= found <= 1.1 * value or value < 1e-300
    assert float(f"{found:.1e}") == found
