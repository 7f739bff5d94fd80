"""Ends besides bounds: what is known of sums, products and roots where the bound says nothing, and where NaN can be."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from refgrad.arithmetic import function_error
from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.bounded import Bounded, Model
from refgrad.arithmetic.dtypes import format_of
from refgrad.arithmetic.ends import joined

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

F32 = format_of(np.dtype(np.float32))
MODEL = Model.of(F32, 3, 2, "keep", "any")
HALF = Model.of(format_of(np.dtype(np.float16)), 3, 2, "keep", "any")
LARGEST = F32.largest


def number(low: float, high: float, value: float | None = None) -> Bounded:
    """A number between two ends, which are all that is known of it."""
    centre = (low + high) / 2 if value is None else value
    return Bounded(
        np.asarray([centre]),
        np.asarray([np.inf]),
        low=np.asarray([low]),
        high=np.asarray([high]),
        nan=np.asarray([False]),
    )


def ends(found: Bounded) -> tuple[float, float, bool]:
    return float(found.lowest()[0]), float(found.highest()[0]), bool(found.may_be_nan()[0])


def test_the_root_of_what_is_not_negative_is_not_and_a_divisor_beside_it_is_at_least_its_eps() -> None:
    root = function_error.sqrt(number(0.0, 1e-6, 0.0), MODEL)
    assert ends(root)[0] == 0.0
    divisor = bounds.total([(1, root), (1, Bounded(np.asarray([1e-8])))], None, MODEL)
    low, high, nan = ends(divisor)
    assert 0.99e-8 < low <= 1e-8
    assert 1e-3 < high < 1.01e-3
    assert not nan
    quotient = bounds.product(1, [Bounded(np.asarray([1e-4]))], [divisor], MODEL)
    low, high, nan = ends(quotient)
    assert 0.0 < low < 0.1
    assert 1e4 <= high < 1.01e4
    assert not nan
    assert np.isfinite(quotient.bound()).all()


def test_a_root_of_what_may_be_negative_may_be_nan() -> None:
    assert ends(function_error.sqrt(number(-1e-9, 4.0), MODEL))[2]
    assert not ends(function_error.sqrt(number(0.0, 4.0), MODEL))[2]


@pytest.mark.parametrize("flushes", [False, True])
def test_zero_divided_by_an_eps_is_nan_only_where_the_eps_may_be_flushed(flushes: bool) -> None:
    """Never 7: of numerator zero, and of an eps that is beneath the format's numbers."""
    model = dataclasses.replace(HALF, flushes=flushes)
    eps = bounds.scalar(1e-8, 0.0, model)
    assert (eps.lowest(), bool(eps.may_be_nan())) == (0.0 if flushes else HALF.lost, False)
    found = bounds.product(1, [Bounded(np.asarray([0.0]))], [eps], model)
    assert ends(found) == (0.0, 0.0, flushes)
    moved = bounds.total([(1, Bounded(np.asarray([0.5]))), (-1, found)], None, model)
    low, high, nan = ends(moved)
    assert low == pytest.approx(0.5, rel=0.01)
    assert high == pytest.approx(0.5, rel=0.01)
    assert nan == flushes


def test_what_is_divided_by_a_small_number_keeps_its_sign() -> None:
    found = bounds.product(-1, [Bounded(np.asarray([3.0]))], [number(0.0, 1.0)], MODEL)
    low, high, nan = ends(found)
    assert low == -np.inf
    assert -3.0 <= high <= 0.0
    assert not nan


@pytest.mark.parametrize(("signs", "nan"), [((1, 1), False), ((1, -1), True)])
def test_infinities_of_one_sign_never_make_nan(signs: tuple[int, int], nan: bool) -> None:
    endless = [number(0.0, np.inf, 1.0), number(1.0, np.inf, 1.0)]
    found = bounds.total(list(zip(signs, endless, strict=True)), None, MODEL)
    assert ends(found)[2] == nan
    assert ends(found)[0] == (1.0 if nan is False else -np.inf) or ends(found)[0] == pytest.approx(1.0, rel=1e-5)


def test_a_square_is_not_negative_and_a_product_of_two_may_be() -> None:
    x, other = number(-2.0, 3.0), number(-2.0, 3.0)
    assert ends(bounds.product(1, [x, x], [], MODEL))[0] == 0.0
    assert ends(bounds.product(1, [x, other], [], MODEL))[0] <= -6.0


def test_parts_of_a_product_that_is_distributed_may_cancel() -> None:
    """a (b + c) as a b + a c, both of which underflow: of a sum that is positive the result may be zero or less."""
    tiny = bounds.total(
        [(1, bounds.product(1, [Bounded(np.asarray([1e-30]))], [], MODEL)), (-1, Bounded(np.asarray([0.9e-30])))],
        None,
        MODEL,
    )._replace(reach=np.asarray([1.0]), least=1e-30)
    found = bounds.product(1, [Bounded(np.asarray([1e-14])), tiny], [number(1.0, 1.0)], MODEL)
    assert found.lowest()[0] < 0.0


def test_numbers_are_joined_with_what_is_known_of_each() -> None:
    plain = Bounded(np.asarray([1.0, 2.0]))
    found = joined([number(0.0, np.inf, 1.0), plain], np.concatenate)
    assert found.lowest().tolist() == [0.0, 1.0, 2.0]
    assert found.highest().tolist() == [np.inf, 1.0, 2.0]
    assert found.may_be_nan().tolist() == [False] * 3
    assert joined([plain, plain], np.concatenate).low is None
