"""Where a result is a number of the working format, so that no program rounds it and no policy on subnormals touches it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from refgrad.arithmetic.bounded import Array, Bounded, Model, some

#: the bits of a float64 number that hold its significand, and how many of the significand these are
SIGNIFICAND, DIGITS = (1 << 52) - 1, 53


def is_working(values: Array, model: Model) -> Array:
    """Where numbers are normal numbers of the working format, or zero: rounding leaves them as they are.

    Args:
        values: float64.
        model: has the format.
    """
    magnitude = np.abs(values)
    usual = (magnitude >= model.smallest_normal) & (magnitude <= model.largest)
    return _short(values, model.unit_roundoff) & (usual | (values == 0.0))


def _short(values: Array, unit_roundoff: float) -> Array:
    """Where the significand of a normal number, or of zero, has no more digits than a format holds."""
    half, exponent = math.frexp(unit_roundoff)
    if half != 0.5:
        scaled = np.frexp(values)[0] / unit_roundoff
        return np.asarray(scaled == np.rint(scaled))
    beyond = (1 << max(DIGITS - 1 + exponent, 0)) - 1
    return _bits(values) & np.int64(beyond) == 0


def _power(values: Array) -> Array:
    """Where a number is a power of two from 2**-64 to 2**62, or its negative."""
    magnitude = np.abs(values)
    return (_bits(values) & np.int64(SIGNIFICAND) == 0) & (magnitude >= 2.0**-64) & (magnitude <= 2.0**62)


def _bits(values: Array) -> Array:
    return np.ascontiguousarray(values, np.float64).view(np.int64).reshape(np.shape(values))


def exact_sum(terms: Sequence[tuple[int, Bounded]], value: Array, model: Model) -> Array | None:
    """Where known numbers, all but two of them zero, add up to a number of the working format.

    Args:
        terms: 1 or -1, and what it is the sign of.
        value: the sum, float64.
        model: has the format.

    Returns:
        Booleans; None if it is so nowhere. A sum that is a normal number or zero is never flushed.
    """
    known: Array = np.asarray(len(terms) > 1)
    for _, term in terms:
        known = known & term.known()
    if not some(known):
        return None
    total, lost, count = np.zeros(()), np.zeros(()), np.zeros((), np.int8)
    for sign, term in terms:
        new = sign * term.value
        longer = total + new
        rest = longer - total
        lost = lost + np.abs((total - (longer - rest)) + (new - rest))
        total, count = longer, count + (new != 0.0)
    return known & (lost == 0.0) & (count <= 2) & is_working(value, model)


def exact_product(above: Sequence[Bounded], below: Sequence[Bounded], value: Array, model: Model) -> Array | None:
    """Where all factors but one are known powers of two, so that only exponents change, in any order.

    Args:
        above: the factors.
        below: the divisors.
        value: the quotient, float64.
        model: has the format.

    Returns:
        Booleans; None if it is so nowhere. A centre of zero may have underflowed itself: the product of an exact zero is
        seen to by itself.
    """
    factors = [*above, *below]
    known: Array = np.asarray(True)
    for factor in factors:
        known = known & factor.known()
    if not some(known):
        return None
    powers = [_power(factor.value) for factor in factors]
    for power in powers[len(above) :]:
        known = known & power
    others: Array = np.asarray(0, np.int8)
    for power in powers:
        others = others + ~power
    known = known & (others <= 1)
    if not some(known):
        return None
    if model.flushes:  # nor is a product on the way flushed
        least: Array = np.asarray(1.0)
        for index, factor in enumerate(factors):
            size = np.abs(factor.value) if index < len(above) else 1.0 / np.abs(factor.value)
            least = least * np.minimum(size, 1.0)
        known = known & (least >= model.smallest_normal)
    return known & is_working(value, model) & (value != 0.0)
