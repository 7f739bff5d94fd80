"""The bound on a quotient of products, as in `running_error`: for every order, with what partial products may lose."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from refgrad.arithmetic import ends, infinities, overflow
from refgrad.arithmetic.bounded import OWN, Array, Bounded, Model, greatest, some
from refgrad.arithmetic.exactness import exact_product


def product(sign: int, above: Sequence[Bounded], below: Sequence[Bounded], model: Model) -> Bounded:
    """A quotient of products, multiplied and divided in any order, with or without reciprocals.

    Args:
        sign: 1 or -1.
        above: the factors.
        below: the divisors, of shapes that broadcast against each other and against those of the factors.
        model: what is charged.

    Returns:
        The quotient. An exact zero among the factors makes an exact zero, unless a partial product may overflow before.
    """
    value = _quotient([b.value for b in above], [b.value for b in below])
    high = [np.abs(b.value) if b.error is None else np.abs(b.value) + b.error for b in above]
    low = [np.abs(b.value) if b.error is None else np.maximum(np.abs(b.value) - b.error, 0.0) for b in below]
    upper = _quotient(high, low)
    operations = len(above) + len(below) - 1
    error = (upper - np.abs(value)) + (model.charge * operations + 2 * operations * OWN) * upper
    ended = any(b.has_ends() for b in (*above, *below))
    if ended:
        high, low = [ends.sizes(b)[1] for b in above], [ends.sizes(b)[0] for b in below]
    error, reach, least = _partial_products(error, above, below, high, low, model)
    if model.exact_scaling:
        error = np.where(_only_scales(above, below, value, model) & np.isfinite(error), 0.0, error)
    for b in above:
        if some(b.value == 0.0):  # an exact zero makes zero in any order, unless a partial product may overflow
            error = np.where((b.value == 0.0) & (b.bound() == 0.0) & np.isfinite(error), 0.0, error)
    for b in below:
        if some(b.value == 0.0):  # an exact zero divides to an infinity or NaN in any order
            error = np.where((b.value == 0.0) & (b.bound() == 0.0), 0.0, error)
    sure = exact_product(above, below, value, model)
    if model.flushes:
        lost = _lost_as_difference(above, below, upper, model)
        error = error + (lost if sure is None else np.where(sure, 0.0, lost))
    value, error = _uncertain_nan(value, error, above, below)
    value = value if sign > 0 else -value
    fits = overflow.fits(value, error, model)
    found = Bounded(value, error) if fits else overflow.overflowed(value, error, model)
    if ended or _spans_zero(above, found) or (not fits and np.isinf(found.bound()).any()):
        found = ends.tightened(ends.fitted(found, *ends.of_product(sign, above, below, reach, model), model))
    if reach is not None:
        reach = np.where(ends.surely_zero(above, below, model), 1.0, reach)
    norm = _norm_of_product(above, high, low)
    return Bounded(found.value, found.error, reach, least, sure, norm, *found[6:])


def _lost_as_difference(above: Sequence[Bounded], below: Sequence[Bounded], upper: Array, model: Model) -> Array:
    """What an array times s loses where it is written as x - (1 - s) x, as decays are, and what is taken off is flushed."""
    scalars = [[b for b in side if np.ndim(b.value) == 0] for side in (above, below)]
    if not any(scalars) or all(np.ndim(b.value) == 0 for b in (*above, *below)):
        return np.asarray(0.0)
    factor = float(_quotient(*([b.value for b in side] for side in scalars)))
    if not 0.5 < factor < 2.0 or factor == 1.0:  # no decay
        return np.asarray(0.0)
    return np.minimum(abs(1.0 - factor) / factor * upper, model.smallest_normal)


def _spans_zero(above: Sequence[Bounded], found: Bounded) -> bool:
    """True if a product of a number with itself may be negative by its bound somewhere."""
    squared = len({id(b) for b in above}) < len(above)
    return squared and bool(some(np.abs(found.value) < found.bound()))


def _norm_of_product(above: Sequence[Bounded], high: Sequence[Array], low: Sequence[Array]) -> Array | None:
    """The norm of a deviation that is multiplied by numbers; with any other factor nothing is known of it."""
    known = [b.norm for b in above if b.norm is not None]
    if len(known) != 1:
        return None
    others = [np.asarray(h) for b, h in zip(above, high, strict=True) if b.norm is None] + [np.asarray(x) for x in low]
    if any(factor.ndim for factor in others):
        return None
    return _quotient([known[0], *(h for b, h in zip(above, high, strict=True) if b.norm is None)], low) * (
        1.0 + 16 * OWN
    )


def _uncertain_nan(
    value: Array, error: Array, above: Sequence[Bounded], below: Sequence[Bounded]
) -> tuple[Array, Array]:
    """Nothing can be said where the centre is 0/0 or the like, but a factor that is not exact may be another number."""
    met = infinities.meet(above, below)
    value, error = np.where(met, np.nan, value) if some(met) else value, error
    if not some(np.isnan(value)):
        return value, error
    factors = (*above, *below)
    open_ = np.isnan(value) & ~reduce(np.logical_or, (np.isnan(b.value) for b in factors))
    open_ = (
        open_
        & reduce(
            np.logical_or, ((b.bound() > 0.0) | (infinities.infinite(b) & ~infinities.certain(b)) for b in factors)
        )
        & ~met
    )
    return np.where(open_, 0.0, value), np.where(open_, np.inf, error)


def _only_scales(above: Sequence[Bounded], below: Sequence[Bounded], value: Array, model: Model) -> Array:
    """Where all factors are exact, all but one of them powers of two, and the result is a normal number or zero."""
    powers = [np.frexp(np.abs(b.value))[0] == 0.5 for b in (*above, *below)]
    others = sum((~power).astype(np.int8) for power in powers[: len(above)])
    known = np.asarray(True)
    for fact in (*(b.bound() == 0.0 for b in (*above, *below)), *powers[len(above) :]):
        known = known & fact
    return known & (others <= 1) & ((np.abs(value) >= model.smallest_normal) | (value == 0.0))


def _quotient(above: Sequence[Array], below: Sequence[Array]) -> Array:
    result: Array = above[0] if above else np.asarray(1.0)
    for factor in above[1:]:
        result = result * factor
    for factor in below:
        result = result / factor
    return result


def _partial_products(
    error: Array,
    above: Sequence[Bounded],
    below: Sequence[Bounded],
    high: Sequence[Array],
    low: Sequence[Array],
    model: Model,
) -> tuple[Array, Array | None, float]:
    """Charge what partial products may lose to underflow; nothing can be said where one may overflow.

    A factor that is itself a sum of products counts with their reach, because a product may be distributed over a sum.
    """
    least = most = 1.0
    for factor, known in zip(high, above, strict=True):
        least *= min(1.0, _smallest(factor), 1.0 if known.least is None else known.least)
        most *= max(1.0, _largest(factor))
    for factor in low:
        least *= min(1.0, float(1.0 / np.float64(_largest(factor))))
        most *= max(1.0, float(1.0 / np.float64(_smallest(factor))))
    if least >= model.smallest_normal and most <= model.largest:
        return error, None, least
    reach: Array = np.asarray(1.0)
    for factor, known in zip(high, above, strict=True):
        reach = reach * (np.maximum(factor, 1.0) if known.reach is None else np.maximum(factor, known.reach))
    for factor in low:
        reach = reach * np.maximum(1.0 / factor, 1.0)
    error = error + (model.underflow * (len(high) + len(low))) * reach
    if len(below) > 1:  # divisors may be multiplied first
        divisor = _quotient([np.maximum(np.abs(b.value) + b.bound(), 1.0) for b in below], [])
        error = np.where(divisor > model.largest, np.inf, error)
    return np.where(reach > model.largest, np.inf, error), reach, least


def _smallest(magnitudes: Array) -> float:
    """The smallest of them; NaN does not count, for the sake of those beside it."""
    least = float(np.minimum.reduce(magnitudes, axis=None, initial=np.inf))
    return least if least == least else float(np.fmin.reduce(magnitudes, axis=None, initial=np.inf))


def _largest(magnitudes: Array) -> float:
    most = float(greatest(magnitudes))
    return most if most == most else float(np.fmax.reduce(magnitudes, axis=None, initial=0.0))
