"""What programs make of NaN where they choose: a comparison goes either way, a sign is any, of two numbers one may be taken."""

from __future__ import annotations

import numpy as np

from refgrad.arithmetic.bounded import Array, Bounded


def unknown(*operands: Bounded) -> Array:
    """Where a comparison may go either way because an operand is NaN: programs ask the same question in several ways.

    Args:
        operands: what is compared, of shapes that broadcast against each other.
    """
    found = np.zeros((), bool)
    for x in operands:
        found = found | np.isnan(x.value)
    return found


def sign(x: Bounded, signs: Bounded) -> Bounded:
    """Signs; that of NaN is NaN, or any sign, as programs work it out.

    Args:
        x: the numbers.
        signs: their signs, as they were decided.
    """
    nan = np.isnan(x.value)
    if not nan.any():
        return signs
    low, high = np.where(nan, -1.0, signs.lowest()), np.where(nan, 1.0, signs.highest())
    value, error = np.where(nan, 0.0, signs.value), np.where(nan, np.inf, signs.bound())
    return Bounded(value, error, low=low, high=high, nan=signs.may_be_nan() | nan)


def number(x: Bounded, other: Bounded) -> Bounded:
    """A number, or where it is NaN another one.

    Args:
        x: the number.
        other: of a shape that broadcasts against its.
    """
    nan = np.isnan(x.value)
    if not nan.any():
        return x
    return Bounded(
        np.where(nan, other.value, x.value),
        np.where(nan, other.bound(), x.bound()),
        low=np.where(nan, other.lowest(), x.lowest()),
        high=np.where(nan, other.highest(), x.highest()),
        nan=np.where(nan, other.may_be_nan(), x.may_be_nan()),
    )


def either(a: Bounded, b: Bounded, numbers: Bounded) -> Bounded:
    """The larger or the smaller of two of which one may be NaN: the other one, or NaN; of two NaN, NaN.

    Args:
        a, b: the two.
        numbers: what is chosen where each is what `number` makes of it.
    """
    nan = unknown(a, b)
    return numbers._replace(
        error=np.where(nan & ~np.isnan(numbers.value), np.inf, numbers.bound()),
        low=numbers.lowest(),
        high=numbers.highest(),
        nan=numbers.may_be_nan() | nan,
        sure=None,
    )
