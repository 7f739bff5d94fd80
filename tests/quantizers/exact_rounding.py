"""Rational numbers rounded to binary formats, by whole numbers alone."""

from __future__ import annotations

import math
from fractions import Fraction


def rounded(x: Fraction, digits: int = 24, least: int = -149) -> Fraction:
    """A rational rounded to nearest, ties to even, to ``digits`` significant bits, no finer than ``2**least``."""
    if x == 0:
        return x
    exponent = abs(x.numerator).bit_length() - x.denominator.bit_length()
    if abs(x) < Fraction(2) ** exponent:
        exponent -= 1
    unit = Fraction(2) ** max(exponent - digits + 1, least)
    return round(x / unit) * unit


def to_half(x: Fraction) -> Fraction:
    """A rational rounded to IEEE binary16, magnitudes below 65520 only."""
    assert abs(x) < 65520
    return rounded(x, 11, -24)


def half_away(x: Fraction) -> int:
    """The nearest whole number, halves away from zero."""
    return int(math.copysign(math.floor(abs(x) + Fraction(1, 2)), x))
