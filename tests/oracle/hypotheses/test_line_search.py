"""A number told by distances: found along a range, with how far it reaches."""

from __future__ import annotations

import dataclasses
import math

import pytest

from refgrad.oracle.hypotheses.line_search import Line, around, least, recovered
from refgrad.rule import Range


def line(value: float, width: float = 1e-6, legal: Range | None = None, claimed: float = 2.0) -> Line:
    """Fits within a part of a value."""
    return Line(
        "a", claimed, legal or Range(0.0), lambda v: abs(math.log(v / value)), lambda v: abs(v / value - 1) <= width
    )


@pytest.mark.parametrize("value", [3.7, 0.02, 40.0, 2.0, 1.999])
def test_a_number_is_found_with_its_interval(value: float) -> None:
    found = recovered(line(value), lambda: False)
    assert found is not None
    assert found.low <= value <= found.high
    assert found.value == value
    assert found.determined
    assert found.high - found.low == pytest.approx(2e-6 * value, rel=1e-2)


def test_all_along_a_bounded_range() -> None:
    found = recovered(line(0.97, legal=Range(0.0, 1.0), claimed=1e-9), lambda: False)
    assert found is not None
    assert found.value == 0.97


def test_the_claimed_value_is_told_if_it_fits() -> None:
    found = recovered(line(2.0000001, 1e-3), lambda: False)
    assert found is not None
    assert found.value == 2.0


def test_a_number_that_shows_itself_is_found_however_far_it_is() -> None:
    """A floor of 2**-23 beside a claim of zero: the distances of a grid around it tell nothing of it."""
    flat = Line(
        "a", 0.0, Range(0.0), lambda v: float(v == 0.0), lambda v: abs(v / 2.0**-23 - 1) <= 1e-7, (0.5, 2.0**-23)
    )
    found = recovered(flat, lambda: False)
    assert found is not None
    assert found.low <= 2.0**-23 <= found.high
    assert found.determined
    assert recovered(dataclasses.replace(flat, shown=(0.5,)), lambda: False) is None
    assert recovered(flat, lambda: True) is None  # no time


def test_nothing_is_found() -> None:
    assert recovered(line(1e9), lambda: False) is None  # too far away
    assert (
        recovered(Line("a", 2.0, Range(0.0), lambda v: 1.0, lambda v: False), lambda: False) is None
    )  # depends on nothing
    assert recovered(line(3.7), lambda: True) is None  # no time


def test_how_far_a_value_reaches() -> None:
    one_sided = Line("a", 2.0, Range(0.0, 8.0), lambda v: 0.0, lambda v: v >= 3.0)
    found = around(one_sided, 4.0, 2.0, 7.0)
    assert found.low == pytest.approx(3.0, rel=1e-3)
    assert found.low >= 3.0
    assert found.high == 7.0


def test_the_least_of_a_function() -> None:
    assert least(lambda v: math.log(abs(v - 1.25) + 1e-300), 0.0, 3.0) == pytest.approx(1.25, rel=1e-14)
    seen: list[float] = []
    near = least(lambda v: seen.append(v) or abs(v - 1.25), 0.0, 3.0, lambda v: abs(v - 1.25) < 0.5)  # type: ignore[func-returns-value]
    assert near == pytest.approx(1.25, abs=0.5)
    assert len(seen) < 10


def test_where_nothing_falls_no_further_steps_are_taken() -> None:
    """Another thing is wrong besides: the distance has a bottom that is not nought."""
    seen: list[float] = []
    least(lambda v: seen.append(v) or 5.0 + (v - 1.25) ** 2, 0.0, 3.0)
    assert len(seen) < 30
