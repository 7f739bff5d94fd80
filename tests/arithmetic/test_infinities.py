"""What is infinite stays so in sums and products, whatever their order; what may be NaN says so."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from refgrad.arithmetic import infinities
from refgrad.arithmetic.dtypes import format_of
from refgrad.arithmetic.running_error import Bounded, Model, add_up, product, total

MODEL = Model.of(format_of(np.dtype("float32")), 3, 2, "keep", "any")
INF = np.inf
ROUGH = Bounded(np.asarray([2.0]), np.asarray([0.5]))


@pytest.fixture(autouse=True)
def _as_the_judge_works() -> Iterator[None]:
    with np.errstate(all="ignore"):
        yield


def known(*values: float) -> Bounded:
    return Bounded(np.asarray(values))


def ends(x: Bounded) -> tuple[float, float, bool]:
    return float(x.lowest()[0]), float(x.highest()[0]), bool(x.may_be_nan()[0])


@pytest.mark.parametrize(
    ("terms", "wanted"),
    [
        ([(1, known(INF)), (1, ROUGH)], (INF, INF, False)),
        ([(-1, known(INF)), (1, ROUGH)], (-INF, -INF, False)),
        ([(1, known(INF)), (1, known(INF))], (INF, INF, False)),
        ([(1, known(INF)), (-1, known(3e38)), (-1, known(3e38))], (INF, INF, True)),  # others may overflow on their way
    ],
)
def test_a_sum_is_infinite_where_a_term_is(terms: list[tuple[int, Bounded]], wanted: tuple[float, float, bool]) -> None:
    assert ends(total(terms, None, MODEL)) == wanted


def test_infinities_of_either_sign_make_nan() -> None:
    assert total([(1, known(INF)), (-1, known(INF))], None, MODEL).may_be_nan()[0]


def test_two_that_are_infinite_for_certain_need_not_make_nan() -> None:
    """`p - lr (u + decay p)` of an infinite p may be computed as `(1 - lr decay) p - lr u`, which is no NaN for any u."""
    one, other = (total([(1, known(INF)), (1, ROUGH)], None, MODEL) for _ in range(2))
    met = total([(1, one), (-1, other)], None, MODEL)
    assert met.may_be_nan()[0]
    assert not np.isnan(met.value[0])


@pytest.mark.parametrize(
    ("above", "below", "wanted"),
    [
        ([known(INF), ROUGH], [], (INF, INF, False)),
        ([known(-INF), ROUGH], [ROUGH], (-INF, -INF, False)),
        ([known(-INF), known(-3.0)], [], (INF, INF, False)),
    ],
)
def test_a_product_is_infinite_where_a_factor_is(
    above: list[Bounded], below: list[Bounded], wanted: tuple[float, float, bool]
) -> None:
    assert ends(product(1, above, below, MODEL)) == wanted


def test_infinity_over_infinity_is_nan_whatever_else_is_rounded() -> None:
    found = product(1, [known(INF), ROUGH], [known(INF), ROUGH], MODEL)
    assert np.isnan(found.value[0])


def test_a_factor_that_may_be_zero_makes_anything() -> None:
    low, high, nan = ends(product(1, [known(INF), Bounded(np.asarray([0.0]), np.asarray([1.0]))], [], MODEL))
    assert (low, high, nan) == (-INF, INF, True)


def test_the_sum_of_many_is_infinite_where_one_is() -> None:
    assert ends(add_up(known(1.0, INF, -2.0), (0,), 3, MODEL)) == (INF, INF, False)
    assert add_up(known(-INF, INF, -2.0), (0,), 3, MODEL).may_be_nan()[0]


def test_what_is_only_large_is_not_infinite() -> None:
    assert not infinities.infinite(known(3e38))[0]
    assert ends(total([(1, known(3e38)), (1, known(3e37))], None, MODEL))[0] < INF


@pytest.mark.parametrize("terms", [(3e38, 3e38), (1.3e38, 1.3e38, 1.3e38)])
def test_a_product_may_be_distributed_over_a_sum_that_overflows(terms: tuple[float, ...]) -> None:
    """The sum is infinite in every program that adds it up, but 0.03 a + 0.03 b is finite."""
    whole = total([(1, known(x)) for x in terms], None, MODEL)
    assert ends(whole) == (INF, INF, False)
    scaled = product(1, [known(0.03125), whole], [], MODEL)
    assert scaled.lowest()[0] <= 0.03125 * sum(terms)
    assert scaled.highest()[0] == INF
    assert not np.isnan(product(1, [whole], [known(INF)], MODEL).value[0])  # a / inf + b / inf is zero
    assert ends(product(1, [total([(1, whole), (1, known(INF))], None, MODEL), ROUGH], [], MODEL))[0] == INF
    twice = total([(1, whole), (1, known(1.0))], None, MODEL)  # and over a sum of which it is a term
    assert product(1, [known(0.03125), twice], [], MODEL).lowest()[0] <= 0.03125 * sum(terms)
