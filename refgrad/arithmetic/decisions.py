"""Decisions on values that are known to within a bound: what a sign, a comparison or a rounding may give, element by element."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic import infinities
from refgrad.arithmetic.running_error import Array, Bounded


class Decision(NamedTuple):
    """What a decision gives of each element.

    ``result`` is what the centre gives, and ``others`` what is given instead where ``open`` says that more is in reach; an
    outcome that is out of reach of an element is the centre's once more. ``error`` bounds results that are not told apart.
    """

    result: Array
    open: Array
    others: tuple[Array, ...] = ()
    error: Array | None = None

    def taken(self, choice: Array | int) -> Array:
        """The results under some choices.

        Args:
            choice: for each element 0 for the centre's result, 1 for the first of the others, and so on.

        Returns:
            An array shaped like the result.
        """
        result = self.result
        for number, other in enumerate(self.others, 1):
            result = np.where(self.open & (choice == number), other, result)
        return result


def near(a: Bounded, b: Bounded) -> Array:
    """Where either of two numbers may be the larger one.

    Args:
        a: the one.
        b: the other, of a shape that broadcasts against that of the first.

    Returns:
        Booleans of the shape that both broadcast to.
    """
    reach = a.reach_of_decision() + b.reach_of_decision()
    if a.has_ends() or b.has_ends():
        (low_a, high_a), (low_b, high_b) = a.ends_of_decision(), b.ends_of_decision()
        apart = ((low_a > high_b) | (low_b > high_a)) & ~a.may_be_nan() & ~b.may_be_nan()
        return (reach != 0) & ~apart & ~(np.isnan(a.value) | np.isnan(b.value))
    return (reach != 0) & ~(np.abs(a.value - b.value) > reach) & ~(np.isnan(a.value) | np.isnan(b.value))


def compare(ufunc: np.ufunc, a: Bounded, b: Bounded) -> Decision:
    """A comparison: either way where the bounds meet.

    Args:
        ufunc: NumPy's comparison.
        a: the one number.
        b: the other.

    Returns:
        Booleans, open where the bounds meet.
    """
    result = ufunc(a.value, b.value)
    return Decision(result, near(a, b), (~result,))


def sign(x: Bounded) -> Decision:
    """The sign: of -1, 0 and 1 what is in reach; NaN besides of what may be NaN.

    Args:
        x: the number.

    Returns:
        Floats of -1, 0 and 1, open where zero is in reach.
    """
    result, (low, high) = np.sign(x.value), x.ends_of_decision()
    open_ = near(x, Bounded(np.asarray(0.0)))
    if not open_.any():
        return Decision(result, open_)
    least, most = np.where(low < 0, -1.0, 0.0), np.where(high > 0, 1.0, 0.0)
    # of -1, 0 and 1 the two that the centre does not give
    others = np.where(result == 1, 0.0, most), np.where(result == -1, 0.0, least)
    return Decision(result, open_, others, _of_nan(x))


def whole(ufunc: np.ufunc, x: Bounded) -> Decision:
    """A whole number; where three or more are in reach, which takes numbers without fractions, all in between.

    Args:
        ufunc: NumPy's rounding to a whole number.
        x: what is rounded.

    Returns:
        Whole numbers as floats, open where two neighbours are in reach; its error where more are.
    """
    least, most = x.ends_of_decision()
    endless = infinities.infinite(x)
    result, low, high = np.where(endless, least, ufunc(x.value)), ufunc(least), ufunc(most)
    error = np.where(high - low > 1.0, high - low, 0.0)
    unknown = _of_nan(x)
    error = error if unknown is None else np.maximum(error, unknown)
    return Decision(result, high - low == 1.0, (np.where(result == low, high, low),), error)


def _of_nan(x: Bounded) -> Array | None:
    """The bound of what is decided on a number that may be NaN."""
    if x.nan is None or not x.nan.any():
        return None
    return np.where(x.nan & ~np.isnan(x.value), np.inf, 0.0)


def step(x: Bounded, function: Any) -> Decision:
    """A step function: what it gives at the lower or at the upper end; where more is in reach, all in between.

    Args:
        x: what the function takes.
        function: the record of `refgrad.arithmetic.steps` that it is.

    Returns:
        Floats, open where two results are in reach; its error where more are.
    """
    if x.error is None:
        return Decision(function(x.value), np.asarray(False))
    low, result, high = _along(function, x.value, *x.ends_of_decision())
    endless = infinities.infinite(x) & ~np.isnan(x.value)
    result, unknown = np.where(endless, low, result), ~np.isfinite(x.reach_of_decision()) & ~endless
    differ = (low != high) & ~np.isnan(low) & ~np.isnan(high) & ~unknown
    many = differ.copy()
    many[differ] = ~function.adjacent(low[differ], high[differ])
    error = np.where(unknown, np.inf, np.where(many, np.maximum(high - result, result - low), 0.0))
    return Decision(result, differ & ~many, (np.where(result == low, high, low),), error)


def _along(function: Any, value: Array, low: Array, high: Array) -> tuple[Array, Array, Array]:
    """A step function at the lower end, at the centre and at the upper end; searched for once where that tells all three."""
    if not hasattr(function, "over") or not value.shape == low.shape == high.shape:
        return function(low), function(value), function(high)
    first, same = function.over(low, high)
    same &= (low <= value) & (value <= high)
    if same.all():
        return first, first, first
    found = [first.copy(), first.copy()]
    for each, where in zip(found, (value, high), strict=True):
        each[~same] = function(where[~same])
    return first, *found
