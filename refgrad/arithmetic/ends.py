"""The ends of sums, products and functions of numbers whose bounds say nothing: interval arithmetic, and where NaN may be.

An infinite bound hides what is known: that a root is not negative, so that what is divided by it keeps its sign; that two
numbers of one sign never make NaN of a sum. Ends are worked out only where something is known besides bounds, or where
bounds are infinite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np

from refgrad.arithmetic import infinities
from refgrad.arithmetic.bounded import OWN, Array, Bounded, Model, every, some

#: the smallest float64 number
TINY = 2.0**-1074


def fitted(known: Bounded, low: Array, high: Array, nan: Array, model: Model) -> Bounded:
    """A number with ends besides its bound; beyond the largest number an end is infinite.

    Args:
        known: the number with its bound.
        low, high: what no program's number is beyond.
        nan: where a program's number may be NaN; the bound is made infinite there.
        model: the format.
    """
    threshold = model.largest * (1.0 + model.unit_roundoff)
    low = np.where(low >= threshold, np.inf, np.where(low < -model.largest, -np.inf, np.minimum(low, model.largest)))
    high = np.where(
        high <= -threshold, -np.inf, np.where(high > model.largest, np.inf, np.maximum(high, -model.largest))
    )
    # where nothing is known of an end, it is infinite; a centre that is NaN says all that there is to say
    low, high = np.where(np.isnan(low), -np.inf, low), np.where(np.isnan(high), np.inf, high)
    nan = nan & ~np.isnan(known.value)
    error = np.where(nan, np.inf, known.bound())
    return Bounded(
        known.value, error, known.reach, known.least, known.sure, known.norm, low, high, nan, known.overflowed
    )


def of_sum(
    terms: Sequence[tuple[int, Bounded]],
    known: Bounded,
    flushed: Array | float,
    interpolation: Array | None,
    model: Model,
) -> Bounded:
    """A sum with its ends.

    Args:
        terms: 1 or -1, and what it is the sign of.
        known: the sum with its bound.
        flushed: what flushing to zero may take or add.
        interpolation: as of `running_error.total`.
        model: what is charged.
    """
    low: Array = np.zeros(())
    high: Array = np.zeros(())
    spread: Array = np.zeros(())
    up = down = nan = np.zeros((), bool)
    for sign, term in terms:
        least, most = _signed(sign, term)
        nan = nan | term.may_be_nan() | (up & (least == -np.inf)) | (down & (most == np.inf))
        up, down = up | (most == np.inf), down | (least == -np.inf)
        low, high = low + least, high + most
        spread = spread + np.maximum(np.abs(least), np.abs(most))
    positive, negative = _of_one_sign(terms)
    count = len(terms) - 1
    relative = model.charge * count
    # a product may be distributed over terms that cancel; of two of which one is endless, rounding keeps the order
    alone = positive | negative | ((count == 1) & np.isinf(spread))
    low = np.where(alone, _grown(low, -relative), low - relative * spread)
    high = np.where(alone, _grown(high, relative), high + relative * spread)
    if count > 1:  # and may overflow where it does not
        over = spread > model.largest
        low, high = np.where(over & ~positive, -np.inf, low), np.where(over & ~negative, np.inf, high)
        nan = nan | (over & ~(positive | negative) if count > 2 else False)
    if interpolation is not None:  # a + w (b - a) with w no more than a half keeps the sign of both
        low, high = low - relative * interpolation, high + relative * interpolation
        endless = ~np.isfinite(interpolation)
        low, high, nan = np.where(endless, -np.inf, low), np.where(endless, np.inf, high), nan | endless
        low, high = (
            np.where(positive & ~endless, np.maximum(low, 0.0), low),
            np.where(negative & ~endless, np.minimum(high, 0.0), high),
        )
    low, high = _flushed(low, high, flushed)
    signed = [_signed(sign, term) for sign, term in terms]
    low, high, overflowed = infinities.of_sum(signed, low, high, model.largest)
    return fitted(known, low, high, nan | overflowed, model)


def _signed(sign: int, term: Bounded) -> tuple[Array, Array]:
    """The ends of a term of a sum, or of its negative."""
    return (term.lowest(), term.highest()) if sign > 0 else (-term.highest(), -term.lowest())


def _of_one_sign(terms: Sequence[tuple[int, Bounded]]) -> tuple[Array, Array]:
    """Where no term is negative, and where none is positive."""
    positive = negative = np.ones((), bool)
    for sign, term in terms:
        least, most = _signed(sign, term)
        positive, negative = positive & (least >= 0.0), negative & (most <= 0.0)
    return positive, negative


def _grown(end: Array, relative: float) -> Array:
    """An end that lies further out by a share of itself; upwards for a positive share."""
    return end * (1.0 + np.sign(end) * relative)


def _flushed(low: Array, high: Array, lost: Array | float) -> tuple[Array, Array]:
    """Ends further out by what underflow takes, which changes no sign."""
    below = np.where(low >= 0.0, np.maximum(low - lost, 0.0), low - lost)
    above = np.where(high <= 0.0, np.minimum(high + lost, 0.0), high + lost)
    return below, above


def of_product(
    sign: int, above: Sequence[Bounded], below: Sequence[Bounded], reach: Array | None, model: Model
) -> tuple[Array, Array, Array]:
    """The ends of a quotient of products, and where it may be NaN.

    Args:
        sign: 1 or -1.
        above: the factors; one that is there twice makes a square, which is not negative.
        below: the divisors.
        reach: the product of those factors that exceed one, where partial products may underflow or overflow; else None.
        model: what is charged.
    """
    low = high = np.ones(())
    nan = np.zeros((), bool)
    for factor, count in _counted(above):
        for least, most in _powers(factor.lowest(), factor.highest(), count):
            low, high = _times(low, high, least, most)
    for divisor in below:
        low, high = _over(low, high, divisor.lowest(), divisor.highest())
    for factor in (*above, *below):
        nan = nan | factor.may_be_nan()
    operations = len(above) + len(below) - 1
    relative = model.charge * operations + 2 * operations * OWN
    low, high = _grown(low, -relative), _grown(high, relative)
    if reach is not None:
        zero = np.zeros((), bool)
        for factor in above:
            zero = zero | ((factor.value == 0.0) & (factor.bound() == 0.0))
        lost = np.where(zero, 0.0, model.underflow * (operations + 1) * reach)
        over = (reach > model.largest) & ~zero
        if any(factor.reach is not None for factor in above):  # parts of a product that is distributed may cancel
            low, high = np.where(over, -np.inf, low - lost), np.where(over, np.inf, high + lost)
        else:
            low, high = _flushed(low, high, lost)
            low = np.where(over, np.where(low >= 0.0, 0.0, -np.inf), low)
            high = np.where(over, np.where(high <= 0.0, 0.0, np.inf), high)
        if len(below) > 1:  # divisors that are multiplied first may overflow, so that the quotient is zero
            vanishes = _overflows(below, model)
            low, high = np.where(vanishes, np.minimum(low, 0.0), low), np.where(vanishes, np.maximum(high, 0.0), high)
    nan = nan | _meets_nan(above, below, reach, model)
    low, high = infinities.of_product(above, below, low, high)
    return (low, high, nan) if sign > 0 else (-high, -low, nan)


def _overflows(below: Sequence[Bounded], model: Model) -> Array:
    """Where the product of divisors may overflow."""
    divisor = np.ones(())
    for b in below:
        divisor = divisor * np.maximum(sizes(b)[1], 1.0)
    return np.asarray(divisor > model.largest)


def _counted(factors: Sequence[Bounded]) -> list[tuple[Bounded, int]]:
    """Each factor once, with how often it is there."""
    found: dict[int, tuple[Bounded, int]] = {}
    for factor in factors:
        found[id(factor)] = factor, found.get(id(factor), (factor, 0))[1] + 1
    return list(found.values())


def _powers(least: Array, most: Array, count: int) -> list[tuple[Array, Array]]:
    """The ends of a number, and of its square as often as it is there."""
    if count == 1:
        return [(least, most)]
    ends = _zero_times(least, least), _zero_times(most, most)
    square = np.where((least <= 0.0) & (most >= 0.0), 0.0, np.minimum(*ends))
    squares = [(square, np.maximum(*ends))] * (count // 2)
    return squares + [(least, most)] * (count % 2)


def _times(low: Array, high: Array, least: Array, most: Array) -> tuple[Array, Array]:
    corners = [_zero_times(a, b) for a in _both(low, high) for b in _both(least, most)]
    return reduce(np.minimum, corners), reduce(np.maximum, corners)


def _both(low: Array, high: Array) -> tuple[Array, ...]:
    """Two ends, or the one that both are."""
    return (low,) if low is high else (low, high)


def _of_its_sign(found: Array, above: Array) -> Array:
    """What underflowed here is not zero: its sign is known."""
    zero = found == 0.0
    if not some(zero):
        return found
    return np.where(zero & (above != 0.0) & np.isfinite(above), np.copysign(TINY, found), found)


def _zero_times(a: Array, b: Array) -> Array:
    """A product of ends: zero times anything is zero; where it is NaN is seen to by itself."""
    found = a * b
    if every(np.abs(found) > 0.0):
        return found
    return np.where((a == 0.0) | (b == 0.0), 0.0, _of_its_sign(found, a))


def _over(low: Array, high: Array, least: Array, most: Array) -> tuple[Array, Array]:
    """The ends of a quotient; a divisor that may be zero gives what is infinite on the side of its sign."""
    corners = [_of_its_sign(a / b, a) for a in _both(low, high) for b in _both(least, most)]
    below, above = reduce(np.fmin, corners), reduce(np.fmax, corners)
    zero = (low == 0.0) & (high == 0.0)  # or NaN, which is seen to by itself
    if every(least > 0.0):
        return np.where(zero, 0.0, below), np.where(zero, 0.0, above)
    positive, negative = (least == 0.0) & (most > 0.0), (least < 0.0) & (most == 0.0)
    below = np.where(positive, np.where(low >= 0.0, low / most, -np.inf), below)
    above = np.where(positive, np.where(high <= 0.0, high / most, np.inf), above)
    below = np.where(negative, np.where(high <= 0.0, high / least, -np.inf), below)
    above = np.where(negative, np.where(low >= 0.0, low / least, np.inf), above)
    anything = (least < 0.0) & (most > 0.0) | (least == 0.0) & (most == 0.0)
    below, above = np.where(anything, -np.inf, below), np.where(anything, np.inf, above)
    return np.where(zero, 0.0, below), np.where(zero, 0.0, above)


def _meets_nan(above: Sequence[Bounded], below: Sequence[Bounded], reach: Array | None, model: Model) -> Array:
    """Where zero may meet infinity on some order's way, or infinity be divided by infinity."""
    large, small, distributed = np.ones(()), np.ones(()), np.zeros((), bool)
    for factor in above:
        least, most = sizes(factor)
        large, small = large * np.maximum(most, 1.0), small * np.minimum(least, 1.0)
        if factor.reach is not None and reach is not None:  # a sum of products, of which two may be infinite
            distributed = reach > model.largest
    for divisor in below:
        least, most = sizes(divisor)
        large, small = large * np.maximum(1.0 / least, 1.0), small * np.minimum(1.0 / most, 1.0)
    meets = (large > model.largest) & (small < model.lost) | distributed
    return np.asarray(meets & ~surely_zero(above, below, model))


#: the largest number of a format in which reciprocals of ordinary divisors may overflow is at most this
NARROW = 2.0**64


def surely_zero(above: Sequence[Bounded], below: Sequence[Bounded], model: Model) -> Array:
    """Where an exact zero is divided by what is not zero, in a format so narrow that the reciprocal of an ordinary eps overflows.

    That is no excuse for NaN. In wider formats only reciprocals of numbers far below every eps overflow, such as a sum of
    subnormal numbers, and a program may take these.

    Args:
        above: the factors; their product may not overflow.
        below: the divisors.
        model: the format.
    """
    zero, large = np.zeros((), bool), np.ones(())
    if model.largest > NARROW:
        return zero
    for factor in above:
        zero = zero | ((factor.value == 0.0) & (factor.bound() == 0.0))
        large = large * np.maximum(sizes(factor)[1], 1.0)
    for divisor in below:
        zero = zero & (sizes(divisor)[0] > 0.0)
    return np.asarray(zero & (large <= model.largest))


def sizes(x: Bounded) -> tuple[Array, Array]:
    """The least and the largest magnitude that a number may have.

    Args:
        x: the number; where its centre is NaN so are they.
    """
    low, high = x.lowest(), x.highest()
    return np.maximum(np.maximum(low, -high), 0.0), np.maximum(np.abs(low), np.abs(high))


def of_extremum(choose: Callable[[Array, Array], Array], a: Bounded, b: Bounded, known: Bounded) -> Bounded:
    """A maximum or minimum with its ends.

    Args:
        choose: `numpy.maximum` or `numpy.minimum`.
        a, b: what is chosen from.
        known: the result with its bound.
    """
    nan = (a.may_be_nan() | b.may_be_nan()) & ~np.isnan(known.value)
    low, high = choose(a.lowest(), b.lowest()), choose(a.highest(), b.highest())
    return known._replace(low=low, high=high, nan=nan, error=np.where(nan, np.inf, known.bound()))


def joined(parts: Sequence[Bounded], function: Callable[[Sequence[Array]], Array]) -> Bounded:
    """Several numbers as one array.

    Args:
        parts: these.
        function: makes one array of several.
    """
    value, error = (
        function([b.value for b in parts]),
        function([np.broadcast_to(b.bound(), b.value.shape) for b in parts]),
    )
    if not any(b.has_ends() for b in parts):
        return Bounded(value, error)
    low, high = function([b.lowest() for b in parts]), function([b.highest() for b in parts])
    return Bounded(value, error, low=low, high=high, nan=function([b.may_be_nan() for b in parts]))


def tightened(known: Bounded) -> Bounded:
    """A number whose bound is no larger than its ends say.

    Args:
        known: the number, with ends.
    """
    reach = np.maximum(known.highest() - known.value, known.value - known.lowest())
    usable = np.isfinite(reach) & ~known.may_be_nan()
    error = np.where(usable, np.minimum(known.bound(), reach * (1.0 + 4.0 * OWN)), known.bound())
    return Bounded(known.value, error, *known[2:])


def of_terms(
    x: Bounded, axes: tuple[int, ...], known: Bounded, relative: float, flushed: Array | float, model: Model
) -> Bounded:
    """A sum of many terms, in any order, with its ends.

    Args:
        x: the terms.
        axes: along which they are added.
        known: the sum with its bound.
        relative: what is charged to the sum of the terms' magnitudes.
        flushed: what flushing to zero may take or add.
        model: the format.
    """
    least, most = x.lowest(), x.highest()
    up, down = np.maximum(most, 0.0), np.maximum(-least, 0.0)
    rise, fall = (np.sum(a, axis=axes, keepdims=True) for a in (up, down))
    low, high = (np.sum(a, axis=axes, keepdims=True) for a in (least, most))
    spread = rise + fall
    low, high = low - relative * spread, high + relative * spread
    low, high = np.where(fall == 0.0, np.maximum(low, 0.0), low), np.where(rise == 0.0, np.minimum(high, 0.0), high)
    low, high = _flushed(low, high, flushed)
    over_up, over_down = rise > model.largest, fall > model.largest
    low, high = np.where(over_down, -np.inf, low), np.where(over_up, np.inf, high)
    low, high = infinities.of_terms(least, most, axes, low, high)
    nan = np.any(x.may_be_nan(), axis=axes, keepdims=True) | (over_up & over_down)
    return fitted(known, low, high, nan, model)


def of_largest(x: Bounded, axes: tuple[int, ...], known: Bounded) -> Bounded:
    """The largest of many with its ends.

    Args:
        x: these numbers.
        axes: along which the largest is taken.
        known: the result with its bound.
    """
    low = np.max(x.lowest(), axis=axes, keepdims=True, initial=-np.inf)
    high = np.max(x.highest(), axis=axes, keepdims=True, initial=-np.inf)
    nan = np.any(x.may_be_nan(), axis=axes, keepdims=True) & ~np.isnan(known.value)
    return known._replace(low=low, high=high, nan=nan, error=np.where(nan, np.inf, known.bound()))
