"""Corners of the error bounds, each found by an attack of tests/oracle/test_audit.py."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.function_error import sqrt
from refgrad.arithmetic.running_error import Bounded
from refgrad.optimizers import Adam
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import free_values

MODEL = model_for(Policy(), np.dtype(np.float32))
LARGEST = MODEL.largest


def product(*factors: np.ndarray) -> Bounded:
    with np.errstate(all="ignore"):
        return bounds.product(1, [Bounded(f) for f in factors], [], MODEL)


@pytest.mark.parametrize("beside", [1.0, np.nan, np.inf])
def test_a_number_is_judged_alike_whatever_stands_beside_it(beside: float) -> None:
    """NaN beside them once hid the smallest and largest factor, and with them underflow and overflow."""
    small = product(np.asarray([1e-30, beside]), np.asarray([1e-12, 1.0]))
    assert small.bound()[0] >= 3 * 2.0**-149
    large = product(np.asarray([1e30, beside]), np.asarray([1e30, 1.0]), np.asarray([1e-30, 1.0]))
    assert large.bound()[0] == np.inf  # 1e60 on the way


def test_divisors_may_overflow_before_they_divide() -> None:
    """a / (b c), where b c overflows and the quotient does not."""
    a, b = Bounded(np.asarray([1e10, 1e10])), Bounded(np.asarray([1e20, 1e18]))
    with np.errstate(all="ignore"):
        found = bounds.product(1, [a], [b, b], MODEL)
    assert (
        found.lowest()[0] == 0.0 <= found.value[0] <= found.highest()[0] < 2e-30
    )  # zero, if it is divided by infinity
    assert found.bound()[1] < 1e-31


def test_a_sum_that_may_overflow_on_its_way_is_not_decided() -> None:
    terms = [Bounded(np.asarray([x, 1.0])) for x in (0.9 * LARGEST, 0.9 * LARGEST, -0.9 * LARGEST)]
    found = bounds.total([(1, t) for t in terms], None, MODEL)
    assert found.bound()[0] == np.inf
    assert found.bound()[1] < 1e-5
    surely = bounds.total([(1, t) for t in terms[:2]], None, MODEL)
    assert (surely.value[0], surely.bound()[0]) == (np.inf, 0.0)


def test_the_interpolation_form_may_overflow() -> None:
    rule = Adam()
    plan = rule.plan((2,), 1)
    big = np.asarray([0.7 * LARGEST, 1.0])
    inputs = {"p": Bounded(np.zeros(2)), "g": Bounded(big), "m": Bounded(-big), "v": Bounded(np.zeros(2))}
    free = free_values((2,), dict.fromkeys(rule.scalar_inputs(), 1.0))
    scalars = [bounds.scalar(s, 0.0, MODEL) for s in plan.scalars(*free)]
    with np.errstate(all="ignore"):
        (branch,) = Enclosure(plan.graph, MODEL).branches(inputs, scalars, {})
    assert branch.sets["m"].bound()[0] == np.inf
    assert branch.sets["m"].bound()[1] < 1e-5


def test_nothing_is_said_of_zero_over_zero_unless_both_are_exact() -> None:
    zero, nearly = Bounded(np.zeros(1)), Bounded(np.zeros(1), np.full(1, MODEL.smallest_normal))
    with np.errstate(all="ignore"):
        exact = bounds.product(1, [zero], [zero], MODEL)
        loose = bounds.product(1, [zero], [nearly], MODEL)
    assert np.isnan(exact.value[0])
    assert np.isfinite(loose.value[0])
    assert loose.bound()[0] == np.inf


@pytest.mark.parametrize("choose", [bounds.maximum, bounds.minimum])
def test_what_may_have_overflowed_stays_open_in_an_extremum(choose: Any) -> None:
    """In float64 the centre may overflow as well, and infinity minus infinity once stood for its bound."""
    model = model_for(Policy(), np.dtype(np.float64))
    one, huge = Bounded(np.ones(1)), Bounded(np.full(1, 1e200))
    with np.errstate(all="ignore"):
        maybe = bounds.product(1, [Bounded(huge.value, huge.value), huge], [], model)
        large = Bounded(np.full(1, 0.9 * LARGEST))
        surely = bounds.total([(1, large), (1, large)], None, MODEL)
        assert choose(maybe, one, model).bound()[0] == np.inf
        same = choose(surely, surely, MODEL)
    assert (same.value[0], same.bound()[0]) == (np.inf, 0.0)


def test_a_centre_that_underflowed_is_not_exact() -> None:
    """0.1 times the smallest subnormal number, a power of two, is zero in float64 and not in truth."""
    model = model_for(Policy(), np.dtype(np.float64))
    found = bounds.product(1, [Bounded(np.full(1, 0.1)), Bounded(np.full(1, 5e-324))], [], model)
    assert found.value[0] == 0.0
    assert found.bound()[0] > 0.0
    assert found.sure is None or not np.any(found.sure)


def test_a_difference_of_normal_numbers_may_be_flushed() -> None:
    """Found by random programs, one value in four hundred million: both are normal, and their difference is not."""
    model = model_for(Policy(subnormals="either"), np.dtype(np.float32))
    a, b = np.float64(2.0**-126), np.float64(2.0**-126 * (1 + 2.0**-20))
    difference = bounds.total([(1, bounds.exact(a, model)), (-1, bounds.exact(b, model))], None, model)
    assert abs(difference.value) <= difference.bound()
    added = bounds.add_up(bounds.exact(np.asarray([a, -b]), model), (0,), 2, model)
    assert abs(added.value) <= added.bound()


def test_a_decay_that_is_taken_off_may_be_flushed() -> None:
    """p / 1.05 written as p - (0.05 / 1.05) p, of which the second term is subnormal: p stays what it is."""
    p = np.asarray([9.4e-38, 1e-30])
    for policy, stays in ((Policy(subnormals="either"), [True, False]), (Policy(), [False, False])):
        model = model_for(policy, np.dtype(np.float32))
        shrink = bounds.scalar(1.05, 0.0, model)
        for found in (
            bounds.product(1, [Bounded(p)], [shrink], model),
            bounds.product(1, [Bounded(1 / 1.05), Bounded(p)], [], model),
        ):
            assert (np.abs(p - found.value) <= found.bound()).tolist() == stays


def test_the_hull_of_what_has_no_end_is_all_numbers() -> None:
    """A number beside one of which nothing is known, or beside NaN; two infinities that are equal stay one; NaN stays NaN."""
    inf, nan = np.inf, np.nan
    first = Bounded(np.asarray([0.0, inf, nan, 1.0, -inf, nan, 2.0, inf]))
    second = Bounded(np.asarray([0.0, inf, 2.0, 3.0, inf, nan, nan, 1.0]), np.asarray([inf, 0, 0, 0, 0, 0, 0, 0]))
    with np.errstate(all="ignore"):
        found = bounds.hull([first, second])
    assert found.value[[0, 1, 2, 3, 4, 6, 7]].tolist() == [0.0, inf, 0.0, 2.0, 0.0, 0.0, 0.0]
    assert np.isnan(found.value[5])
    assert found.bound()[[0, 1, 2, 4, 5, 6, 7]].tolist() == [inf, 0.0, inf, inf, 0.0, inf, inf]
    assert 1.0 <= found.bound()[3] < 1.0 + 2.0**-40


def test_the_ends_of_several_values_are_those_of_each() -> None:
    values = [Bounded(np.asarray([x, -x]), np.asarray([0.5, 0.25])) for x in (1.0, 4.0, 2.0)]
    ends = None
    for value in values:
        ends = bounds.widest(ends, value)
    assert ends is not None
    assert [end.tolist() for end in ends] == [[0.5, -4.25], [4.5, -0.75]]
    # once nothing is known, nothing more is
    ends = bounds.widest(bounds.widest(ends, Bounded(np.asarray([np.nan, 0.0]), np.asarray([0.0, np.inf]))), values[0])
    assert [end.tolist() for end in ends] == [[-np.inf, -np.inf], [np.inf, np.inf]]


def test_what_is_only_large_has_not_overflowed() -> None:
    """Of the first all is below the largest number, of the second some, and of the third nothing."""
    share = np.asarray([0.9, 0.9, 1.2])
    with np.errstate(all="ignore"):
        found = bounds.settle(share * LARGEST, np.asarray([0.05, 0.2, 0.1]) * LARGEST, MODEL)
    assert found.value[0] == 0.9 * LARGEST
    assert found.bound().tolist() == [0.05 * LARGEST, np.inf, 0.0]
    assert np.isfinite(found.value[1])
    assert found.value[2] == np.inf


def test_what_is_clamped_at_zero_is_not_below_it() -> None:
    """So that the root of a variance that may have been below zero is a number."""
    variance = Bounded(np.array([-1e-9, 1e-9, 1.0]), np.full(3, 1e-8))
    clamped = bounds.maximum(variance, Bounded(np.zeros(())), MODEL)
    assert (clamped.lowest() >= 0.0).all()
    assert not sqrt(clamped, MODEL).may_be_nan().any()
    assert sqrt(variance, MODEL).may_be_nan().tolist() == [True, True, False]
