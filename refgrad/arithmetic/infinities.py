"""Where every program's number is infinite, of what sign, or NaN for certain: what infinities make of sums and products.

What is infinite before a step is not made finite by it, in whatever order its terms are added and its factors multiplied. A
partial sum or product of the others may overflow or underflow on its way, which makes NaN of it and no other number: where
that may be is seen to by itself (`refgrad.arithmetic.ends`). A sum that overflows is another thing: a product may be
distributed over it, and what is added then may all be finite.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from refgrad.arithmetic.bounded import Array, Bounded, some

Ends = tuple[Array, Array]


def infinite(x: Bounded) -> Array:
    """Where a number is infinite for certain, or NaN.

    Args:
        x: the number.
    """
    if not x.has_ends():
        found = np.isinf(x.value)
        if x.error is None or not some(found):
            return found
    low, high = x.lowest(), x.highest()
    return (low == high) & np.isinf(low)


def certain(x: Bounded) -> Array:
    """Where a number is infinite, or NaN, however what multiplies it is distributed over what it is made of.

    Args:
        x: the number.
    """
    return infinite(x) if x.overflowed is None else infinite(x) & ~x.overflowed


def overflowed(found: Bounded, parts: Sequence[Bounded]) -> Array | None:
    """Where a sum is infinite and none of its terms is; None if that is nowhere.

    Args:
        found: the sum.
        parts: its terms.
    """
    made = infinite(found)
    if not some(made):
        return None
    made = reduce(np.logical_and, (~certain(part) for part in parts), made)
    return made if some(made) else None


def settled(x: Bounded) -> Bounded:
    """A number of which nothing is kept but its centre and its bound: infinity itself where it is infinite for certain.

    Args:
        x: the number.
    """
    known = x._replace(low=None, high=None, nan=None)
    if not x.has_ends():
        return known
    certain = infinite(x) & ~x.may_be_nan()
    if not some(certain):
        return known
    return known._replace(value=np.where(certain, x.lowest(), x.value), error=np.where(certain, 0.0, x.bound()))


def of_sum(terms: Sequence[Ends], low: Array, high: Array, largest: float) -> tuple[Array, Array, Array]:
    """The ends of a sum: infinite where a term is, and no other may be so with the other sign; and where it may be NaN.

    Args:
        terms: the ends of each term.
        low, high: the ends of the sum, by what is known of them otherwise.
        largest: the largest number of the format; the other terms may be added first, and overflow.
    """
    up, down = (reduce(np.logical_or, found) for found in zip(*map(_signs, terms), strict=True))
    may_fall = reduce(np.logical_or, (least == -np.inf for least, _ in terms))
    may_rise = reduce(np.logical_or, (most == np.inf for _, most in terms))
    up, down = up & ~may_fall, down & ~may_rise
    if not (some(up) or some(down)):
        return low, high, np.zeros((), bool)
    sizes = [np.maximum(np.abs(least), np.abs(most)) for least, most in terms]
    others = sum(np.where(np.isinf(size), 0.0, size) for size in sizes)
    return *_set(low, high, up, down), (up | down) & (others > largest)


def of_terms(least: Array, most: Array, axes: tuple[int, ...], low: Array, high: Array) -> Ends:
    """The same of many terms along axes.

    Args:
        least, most: the ends of the terms.
        axes: along which they are added.
        low, high: the ends of the sums, by what is known of them otherwise.
    """
    over = {"axis": axes, "keepdims": True}
    up = np.any(least == np.inf, **over) & ~np.any(least == -np.inf, **over)  # type: ignore[call-overload]
    down = np.any(most == -np.inf, **over) & ~np.any(most == np.inf, **over)  # type: ignore[call-overload]
    return _set(low, high, up, down)


def of_product(above: Sequence[Bounded], below: Sequence[Bounded], low: Array, high: Array) -> Ends:
    """The ends of a quotient of products: infinite where a factor is, no other is zero, and no divisor infinite.

    Args:
        above: the factors.
        below: the divisors.
        low, high: the ends of the quotient, by what is known of them otherwise.
    """
    endless, sign = np.zeros((), bool), np.ones(())
    for factor in above:
        endless = endless | certain(factor)
    if not some(endless):
        return low, high
    for x in (*above, *below):
        least, most = x.lowest(), x.highest()
        sign = sign * np.where(least > 0.0, 1.0, np.where(most < 0.0, -1.0, 0.0))
    for divisor in below:
        endless = endless & np.isfinite(divisor.lowest()) & np.isfinite(divisor.highest())
    return _set(low, high, endless & (sign > 0.0), endless & (sign < 0.0))


def meet(above: Sequence[Bounded], below: Sequence[Bounded]) -> Array:
    """Where infinity is divided by infinity, which is NaN in every order, with reciprocals or without.

    Args:
        above: the factors.
        below: the divisors.
    """
    found: Array = np.ones((), bool)
    for factors in (below, above):
        found = found & reduce(np.logical_or, map(certain, factors), np.zeros((), bool))
        if not some(found):
            break
    return np.asarray(found)


def _signs(term: Ends) -> Ends:
    least, most = term
    return least == np.inf, most == -np.inf


def _set(low: Array, high: Array, up: Array, down: Array) -> Ends:
    if not (some(up) or some(down)):
        return low, high
    return tuple(np.where(up, np.inf, np.where(down, -np.inf, end)) for end in (low, high))  # type: ignore[return-value]
