"""Decisions on values that are known to within a bound: what a sign, a comparison or a rounding may give, element by element."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

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
    """
    reach = a.reach_of_decision() + b.reach_of_decision()
    return (reach != 0) & ~(np.abs(a.value - b.value) > reach) & ~(np.isnan(a.value) | np.isnan(b.value))


def compare(ufunc: np.ufunc, a: Bounded, b: Bounded) -> Decision:
    """A comparison: either way where the bounds meet."""
    result = ufunc(a.value, b.value)
    return Decision(result, near(a, b), (~result,))


def sign(x: Bounded) -> Decision:
    """The sign: of -1, 0 and 1 what is in reach; of a number of which nothing is known, nothing: it may be NaN.

    Args:
        x: the number.
    """
    result, reach = np.sign(x.value), x.reach_of_decision()
    open_ = near(x, Bounded(np.asarray(0.0)))
    unknown = np.broadcast_to(np.isinf(reach), result.shape)
    if unknown.any():
        error = np.where(unknown, np.inf, 0.0)
        known = sign(Bounded(np.where(unknown, 1.0, x.value), np.where(unknown, 0.0, reach)))
        return Decision(np.where(unknown, 0.0, result), known.open & ~unknown, known.others, error)
    if not open_.any():
        return Decision(result, open_)
    least, most = np.where(x.value - reach < 0, -1.0, 0.0), np.where(x.value + reach > 0, 1.0, 0.0)
    # of -1, 0 and 1 the two that the centre does not give
    return Decision(result, open_, (np.where(result == 1, 0.0, most), np.where(result == -1, 0.0, least)))


def whole(ufunc: np.ufunc, x: Bounded) -> Decision:
    """A whole number; where three or more are in reach, which takes numbers without fractions, all in between."""
    reach = x.reach_of_decision()
    result, low, high = ufunc(x.value), ufunc(x.value - reach), ufunc(x.value + reach)
    error = np.where(high - low > 1.0, high - low, 0.0)
    return Decision(result, high - low == 1.0, (np.where(result == low, high, low),), error)


def step(x: Bounded, function: Any) -> Decision:
    """A step function: what it gives at the lower or at the upper end; where more is in reach, all in between."""
    result = function(x.value)
    if x.error is None:
        return Decision(result, np.asarray(False))
    low, high = function(x.value - x.error), function(x.value + x.error)
    unknown = ~np.isfinite(x.error)
    differ = (low != high) & ~np.isnan(low) & ~np.isnan(high) & ~unknown
    many = differ.copy()
    many[differ] = ~function.adjacent(low[differ], high[differ])
    error = np.where(unknown, np.inf, np.where(many, np.maximum(high - result, result - low), 0.0))
    return Decision(result, differ & ~many, (np.where(result == low, high, low),), error)
