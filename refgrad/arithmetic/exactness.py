"""Where a result is a number of the working format, so that no program rounds it and no policy on subnormals touches it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refgrad.arithmetic.bounded import Array, Bounded, Model


def is_working(values: Array, model: Model) -> Array:
    """Where numbers are normal numbers of the working format, or zero: rounding leaves them as they are.

    Args:
        values: float64.
        model: has the format.
    """
    mantissa, _ = np.frexp(values)
    scaled = mantissa / model.unit_roundoff
    magnitude = np.abs(values)
    usual = (magnitude >= model.smallest_normal) & (magnitude <= model.largest)
    return (scaled == np.rint(scaled)) & (usual | (values == 0.0))


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
    if not known.any():
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
    if not known.any():
        return None
    others: Array = np.asarray(0)
    least: Array = np.asarray(1.0)
    for index, factor in enumerate(factors):
        mantissa, exponent = np.frexp(factor.value)
        power = (np.abs(mantissa) == 0.5) & (np.abs(exponent) < 64)
        known = known & (power | (index < len(above)))
        others = others + ~power
        size = np.abs(factor.value) if index < len(above) else 1.0 / np.abs(factor.value)
        least = least * np.minimum(size, 1.0)
    if model.flushes:  # nor is a product on the way flushed
        known = known & (least >= model.smallest_normal)
    return known & (others <= 1) & is_working(value, model) & (value != 0.0)
