"""Values against acceptance sets and the models of policies, with statuses and ends that were worked out by hand."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.arithmetic.running_error import Bounded
from refgrad.oracle.acceptance.comparing import compare, conditioned, model_for
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED
from refgrad.oracle.acceptance.policy import Policy

F32, F64, BF16 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(ml_dtypes.bfloat16)
TINY = float(np.finfo(np.float32).smallest_normal)
INF, NAN = np.inf, np.nan


def statuses(truth: Any, error: Any, values: Any, dtype: np.dtype = F32, **policy: Any) -> list[int]:
    """The statuses of numbers against centres and bounds."""
    bound = None if error is None else np.asarray(error, float)
    with np.errstate(all="ignore"):
        found = compare(Bounded(np.asarray(truth, float), bound), np.asarray(values, float), dtype, Policy(**policy))
    assert found.status.shape == found.truth.shape == found.low.shape == found.high.shape == np.shape(values)
    return found.status.astype(int).tolist()


def test_the_ends_of_a_set_are_in_it_and_the_next_numbers_are_not() -> None:
    """Of 2 +- 0.25; the numbers are float32 and so are the ends."""
    next_up, next_down = (
        float(np.nextafter(np.float32(2.25), np.float32(3))),
        float(np.nextafter(np.float32(1.75), np.float32(1))),
    )
    assert statuses([2.0] * 5, [0.25] * 5, [2.25, 1.75, 2.0, next_up, next_down]) == [
        INSIDE,
        INSIDE,
        INSIDE,
        OUTSIDE,
        OUTSIDE,
    ]
    assert statuses([2.0, 2.0], None, [2.0, next_up]) == [INSIDE, OUTSIDE]


def test_one_set_is_judged_against_every_value() -> None:
    assert statuses(1.0, 0.5, [[1.5, 2.0], [0.5, 0.25]]) == [[INSIDE, OUTSIDE], [INSIDE, OUTSIDE]]


def test_a_set_between_two_numbers_of_the_format_holds_those_that_its_ends_round_to() -> None:
    """1 + 2**-9 +- 2**-12 lies between the bfloat16 numbers 1 and 1 + 2**-7, and nearer to 1; 1.5 halves of a unit do not."""
    unit = 2.0**-7
    assert statuses([1 + unit / 4] * 2, [unit / 32] * 2, [1.0, 1 + unit], BF16) == [INSIDE, OUTSIDE]
    assert statuses([1 + unit / 2] * 3, [unit / 32] * 3, [1.0, 1 + unit, 1 + 2 * unit], BF16) == [
        INSIDE,
        INSIDE,
        OUTSIDE,
    ]
    assert statuses([1 + unit / 4], [unit / 32], [1.0], F64) == [OUTSIDE]


def test_a_number_of_a_set_in_a_wider_dtype_is_inside_whatever_the_others_are() -> None:
    """1 + 2**-9 is no bfloat16 number; another that is NaN, as it is to be, or outside makes no other of it."""
    wide, next_to_it = 1 + 2.0**-9, 1 + 2.0**-9 + 2.0**-20
    for truth, value, expected in ((1.0, 1.0, INSIDE), (NAN, NAN, INSIDE), (INF, INF, INSIDE), (1.0, 2.0, OUTSIDE)):
        assert statuses([wide, truth], [0.0, 0.0], [wide, value], BF16) == [INSIDE, expected]
        assert statuses([wide, truth], [0.0, 0.0], [next_to_it, value], BF16) == [OUTSIDE, expected]
    assert statuses([NAN, INF, INF], [0.0, NAN, 0.0], [1.0, 1.0, -INF], BF16) == [OUTSIDE] * 3


def test_nan_must_be_nan_and_an_infinity_that_infinity() -> None:
    truth = [NAN, NAN, 1.0, INF, INF, INF, -INF]
    values = [NAN, 1.0, NAN, INF, -INF, 1.0, -INF]
    expected = [INSIDE, OUTSIDE, OUTSIDE, INSIDE, OUTSIDE, OUTSIDE, INSIDE]
    assert statuses(truth, np.zeros(7), values) == expected


def test_an_infinity_may_be_nan_under_another_order() -> None:
    assert statuses([INF, -INF], [0.0, 0.0], [NAN, NAN]) == [INSIDE, INSIDE]


def test_nothing_is_said_where_a_bound_is_infinite_or_nan() -> None:
    assert statuses([0.0, 0.0, 1.0, 1.0], [INF, INF, NAN, 0.0], [5.0, NAN, 3.0, 3.0]) == [UNDECIDED] * 3 + [OUTSIDE]
    assert statuses([NAN, NAN], [INF, INF], [NAN, 1.0]) == [INSIDE, OUTSIDE]  # NaN whatever the bound is


def test_a_subnormal_number_where_all_are_flushed() -> None:
    values = [TINY, TINY / 2, 0.0]
    assert statuses([TINY / 2] * 3, [TINY] * 3, values, subnormals="flush") == [INSIDE, OUTSIDE, INSIDE]
    assert statuses([TINY / 2] * 3, [TINY] * 3, values) == [INSIDE] * 3


def test_the_ends_are_those_on_the_grid_or_of_the_set() -> None:
    with np.errstate(all="ignore"):
        inside = compare(Bounded(np.asarray([1.0]), np.asarray([0.1])), np.asarray([1.0]), F32, Policy())
        past = compare(Bounded(np.asarray([1.0]), np.asarray([0.1])), np.asarray([2.0]), F32, Policy())
        special = compare(Bounded(np.asarray([INF])), np.asarray([1.0]), F32, Policy())
    assert (inside.low, inside.truth, inside.high) == (0.9, 1.0, 1.1)
    assert (past.low, past.high) == (np.float32(0.9), np.float32(1.1))
    assert (special.low, special.high) == (INF, INF)


def test_a_deviation_of_a_known_norm_is_not_every_element_s() -> None:
    """Four elements may be off by one together: by a half each, or one of them by one; not each of them by one."""
    set_ = Bounded(np.zeros((2, 2)), np.ones((2, 2)), norm=np.ones((1, 1)))
    for values, expected in (
        ([[0.5, 0.5], [0.5, 0.5]], [[INSIDE] * 2] * 2),
        ([[1.0, 0.0], [0.0, 0.0]], [[INSIDE] * 2] * 2),
        ([[1.0, 1.0], [1.0, 1.0]], [[OUTSIDE] * 2] * 2),
        ([[1.0, 0.25], [0.25, 0.0]], [[OUTSIDE, INSIDE], [INSIDE, INSIDE]]),
    ):
        assert compare(set_, np.asarray(values), F32, Policy()).status.tolist() == expected
    # what elements may be off by themselves does not count against the norm
    own = set_._replace(error=np.full((2, 2), 1.5))
    assert compare(own, np.full((2, 2), 1.0), F32, Policy()).status.tolist() == [[INSIDE] * 2] * 2


def test_what_was_seen_goes_on_as_it_is_in_the_format_that_is_computed_in() -> None:
    """But where it is subnormal: a wider register had kept what was lost when it was stored."""
    values = np.asarray([1.0, TINY / 2, 0.0])
    for dtype in (F32, F64):
        model = model_for(Policy(subnormals="keep"), F32)
        assert conditioned(values[:1], dtype, model).error is None
        assert conditioned(values, dtype, model).bound().tolist() == [0.0, 2.0**-149, 2.0**-149]
        assert conditioned(values, dtype, model, as_stored=True).error is None


def test_a_narrow_number_may_have_been_used_before_it_was_rounded() -> None:
    """By one unit of bfloat16, 2**-7 of the power of two below; not where the rule itself rounds it."""
    model, values = model_for(Policy(subnormals="keep"), BF16), np.asarray([1.0, 1.5, -4.0])
    assert conditioned(values, BF16, model).bound().tolist() == [2.0**-7, 2.0**-7, 2.0**-5]
    assert conditioned(values, BF16, model, as_stored=True).error is None
    stored = model_for(Policy(subnormals="keep", precision="storage"), BF16)
    assert conditioned(values, BF16, stored).error is None


@pytest.mark.parametrize("subnormals", ["flush", "either"])
def test_a_number_that_may_have_been_flushed(subnormals: str) -> None:
    model = model_for(Policy(subnormals=subnormals), F32)
    found = conditioned(np.asarray([0.0, TINY / 4, TINY, -1.0]), F32, model)
    assert found.value.tolist() == [0.0, TINY / 4, TINY, -1.0]
    assert found.bound().tolist() == [TINY, TINY, 0.0, 0.0]
    assert conditioned(np.asarray([1.0, 2.0]), F32, model).error is None


def test_the_model_of_a_policy() -> None:
    assert model_for(Policy(), F32).unit_roundoff == model_for(Policy(), BF16).unit_roundoff == 2.0**-24
    assert model_for(Policy(), F64).unit_roundoff == 2.0**-53
    assert model_for(Policy(precision="storage"), BF16).unit_roundoff == 2.0**-8
    assert model_for(Policy(precision="storage"), BF16).cancelled == 2.0**-24
    assert model_for(Policy(), F32).cancelled is None
