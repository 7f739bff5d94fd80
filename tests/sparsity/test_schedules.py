"""Schedules: ends, monotony, the papers' formulas in fractions, published points."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.errors import ArgumentError
from refgrad.sparsity import schedules

#: one rounding of float64; a schedule takes fewer than so many
UNIT, ROUNDINGS = 2.0**-53, 16


@given(
    t=st.integers(-5, 120),
    begin=st.integers(0, 10),
    length=st.integers(1, 100),
    final=st.floats(0, 1),
    initial=st.floats(0, 1),
)
def test_cubic_is_the_papers(t: int, begin: int, length: int, final: float, initial: float) -> None:
    for progress, ahead in (("step", 0), ("next_step", 1)):
        done = min(max(Fraction(t + ahead - begin, length), Fraction(0)), Fraction(1))
        exact = Fraction(final) + (Fraction(initial) - Fraction(final)) * (1 - done) ** 3
        found = schedules.cubic(t, begin=begin, end=begin + length, final=final, initial=initial, progress=progress)
        assert abs(Fraction(found) - exact) <= Fraction(UNIT) * ROUNDINGS


def test_cubic_points() -> None:
    found = [schedules.cubic(t, begin=0, end=10, final=0.9) for t in range(11)]
    published = [0, 0.2439, 0.4392, 0.5913, 0.7056, 0.7875, 0.8424, 0.8757, 0.8928, 0.8991, 0.9]
    assert [round(x, 10) for x in found] == published
    assert found == sorted(found)
    jaxpruner = schedules.cubic(99, begin=0, end=100, final=0.8, progress="next_step")
    assert jaxpruner == 0.8 > schedules.cubic(99, begin=0, end=100, final=0.8)


def test_mask_steps() -> None:
    steps = [t for t in range(40) if schedules.is_mask_step(t, begin=5, end=30, freq=10)]
    assert steps == [5, 15, 25]
    assert [t for t in range(40) if schedules.is_mask_step(t, begin=5, end=30, freq=10, phase="absolute")] == [
        10,
        20,
        30,
    ]
    assert schedules.is_mask_step(105, begin=5, end=-1, freq=10)


@given(t=st.integers(0, 10**6), rate=st.floats(0, 1))
def test_decay(t: int, rate: float) -> None:
    linear = schedules.decay(t, rate)
    assert abs(Fraction(linear) - max(1 - Fraction(rate) * t, Fraction(0))) <= Fraction(UNIT) * 2
    with mpmath.workdps(40):
        truth = mpmath.exp(-mpmath.mpf(rate) * t)
        # the exponent is rounded once, which the exponential multiplies
        bound = truth * UNIT * (ROUNDINGS + 2 * rate * t) + mpmath.mpf(2) ** -1074
        assert abs(schedules.decay(t, rate, "exponential") - truth) <= bound
    assert schedules.decay(t + 1, rate) <= linear


def test_densities() -> None:
    assert [schedules.exponential_density(i, 2, 0.25) for i in range(3)] == [1.0, 0.5, 0.25]
    assert [schedules.linear_density(i, 2, 0.5) for i in range(3)] == [1.0, 0.75, 0.5]
    movement = lambda t: schedules.movement_density(t, total=1000, warmup=100, final=0.15, cooldown=200)  # noqa: E731
    assert [movement(100), movement(450), movement(800), movement(1000)] == [1.0, 0.25625, 0.15, 0.15]
    assert round(movement(101), 6) == 0.996362


def test_training_cost_is_an_average() -> None:
    assert schedules.training_cost([(1.0, 1.0)]) == 1.0
    assert schedules.training_cost([(1.0, 0.25)]) == pytest.approx((1 + 2 * 0.25) / 3, rel=UNIT * ROUNDINGS)
    assert schedules.training_cost([(1.0, 0.25)], masked_backward=True) == 0.25
    assert schedules.training_cost([(0.5, 1.0), (0.5, 0.25)]) == 0.75
    with pytest.raises(ArgumentError, match="shares that add up to 1"):
        schedules.training_cost([(0.5, 1.0)])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: schedules.cubic(0, begin=5, end=5, final=1.0), "end is 5; legal: a step after begin=5"),
        (lambda: schedules.cubic(0, begin=0, end=5, final=1.0, progress="nxt_step"), "did you mean 'next_step'"),
        (lambda: schedules.is_mask_step(0, begin=0, end=5, freq=0), "freq is 0"),
        (lambda: schedules.decay(-1, 0.1), "t is -1; legal"),
        (lambda: schedules.stepwise(4, 4), "n is 4; legal: a whole number from 1 to below m=4"),
        (lambda: schedules.frames([(1, 2)], 10, dense=10), "epochs is 10"),
        (lambda: schedules.exponential_density(3, 2, 0.5), "i is 3"),
        (lambda: schedules.movement_density(0, total=10, warmup=5, final=0.1, cooldown=5), "total is 10"),
    ],
)
def test_errors(call: object, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        call()  # type: ignore[operator]
