"""Numbers of worked examples in decimal digits, by the standard library: what is printed depends on no version of mpmath."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Any

import mpmath

#: significant digits that all functions of fifty digits agree on; what lies beyond is rounding of their last operations, which
#: would decide of a number that stands in the middle between two printed ones
SETTLED = Context(prec=40, rounding=ROUND_HALF_EVEN)
#: places behind the point below which a number is printed with an exponent
LEAST = -5


def rounded(x: Any, digits: int) -> str:
    """A number in decimal, rounded to nearest, a tie to the even digit.

    Args:
        x: an mpmath number of fifty digits, or anything that mpmath reads exactly.
        digits: how many significant digits.

    >>> [rounded(mpmath.mpf(x), 10) for x in (0.50634765625, 1, -2.5e-7)]
    ['0.5063476562', '1.0', '-2.5e-7']
    """
    x = x if isinstance(x, mpmath.mpf) else mpmath.mpf(x)
    if not mpmath.isfinite(x):
        return "nan" if mpmath.isnan(x) else "+inf" if x > 0 else "-inf"
    nearest = Context(prec=digits, rounding=ROUND_HALF_EVEN).plus(SETTLED.plus(exactly(x))).normalize()
    if LEAST < nearest.adjusted() < digits:
        text = f"{nearest:f}"
        return text if "." in text else f"{text}.0"
    mantissa, _, exponent = f"{nearest:e}".partition("e")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}e{exponent}"


def exactly(x: mpmath.mpf) -> Decimal:
    """A finite binary number as a decimal, without rounding."""
    mantissa, exponent = int(x.man), int(x.exp)
    many = Context(prec=max(50, 2 * (abs(exponent) + mantissa.bit_length())))
    return many.multiply(Decimal(-mantissa if x < 0 else mantissa), many.power(Decimal(2), exponent))
