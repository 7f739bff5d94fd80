"""Intervals that hold several values."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refgrad.arithmetic.bounded import OWN, Array, Bounded
from refgrad.arithmetic.overflow import nan_to_zero


def widest(known: tuple[Array, Array] | None, x: Bounded) -> tuple[Array, Array]:
    """The ends of what holds several values.

    Args:
        known: the lowest and the highest number of those before, if there were any.
        x: one more.

    Returns:
        The lowest and the highest number of all; minus and plus infinity where nothing is known of one, or where one is NaN
        and another is not.
    """
    low, high = x.lowest(), x.highest()
    if not x.has_ends():
        unknown = ~np.isfinite(x.bound()) & ~np.isnan(x.value)
        low, high = np.where(unknown, -np.inf, low), np.where(unknown, np.inf, high)
    elif x.may_be_nan().any():
        maybe = x.may_be_nan() & ~np.isnan(x.value)
        low, high = np.where(maybe, -np.inf, low), np.where(maybe, np.inf, high)
    if known is None:
        return low, high
    some = np.isnan(low) != np.isnan(known[0])
    return np.where(some, -np.inf, np.minimum(low, known[0])), np.where(some, np.inf, np.maximum(high, known[1]))


def between(low: Array, high: Array) -> Bounded:
    """All numbers from one to another.

    Args:
        low: the lowest.
        high: the highest.

    Returns:
        The middle of them, with an infinite bound where only one of the ends is infinite; NaN where both are NaN.
    """
    middle = high / 2 + low / 2
    error = nan_to_zero((high / 2 - low / 2) + (np.abs(high) + np.abs(low)) * OWN)
    endless = (high != low) & (np.isinf(high) | np.isinf(low)) & ~np.isnan(high) & ~np.isnan(low)
    found = Bounded(np.where(endless, 0.0, middle), np.where(endless, np.inf, error))
    if not endless.any():
        return found
    nan = endless & np.isneginf(low) & np.isposinf(high)
    return found._replace(low=np.where(endless, low, -np.inf), high=np.where(endless, high, np.inf), nan=nan)


def hull(values: Sequence[Bounded]) -> Bounded:
    """The smallest interval that holds all of several values.

    Args:
        values: at least one.

    Returns:
        What `between` makes of their ends; any number where one is NaN and another is not.
    """
    ends = None
    for value in values:
        ends = widest(ends, value)
    assert ends is not None
    return between(*ends)
