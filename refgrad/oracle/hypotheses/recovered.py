"""A hyperparameter as the data tell it: the numbers that fit, and which of them is named."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

#: what a number is told by where all results tell it together
ALL = "all"
#: a value that may be wrong by this factor either way and still fits is not determined
UNDETERMINED = 1e3
#: and one whose interval is wider than this factor is no fact: a bound that nothing reaches may be any that is large enough
VAGUE = 1.5
#: significant digits of the longest number that a person writes, and the width of an interval, as a share of its number,
#: in which float64 alone tells a number from its neighbours
WRITTEN, EXACT = 5, 1e-12


@dataclass(frozen=True)
class Recovered:
    """A hyperparameter as the data tell it: ``value`` is the shortest decimal in ``[low, high]``, or the claimed one.

    ``output`` is the tensor that tells it (or `ALL`); ``determined`` is True if the interval is narrower
    than a factor of a thousand.
    """

    name: str
    output: str
    claimed: float
    value: float
    low: float
    high: float
    determined: bool


def vague(recovered: Iterable[Recovered]) -> str:
    """Why numbers that were recovered are no fact; empty if they are.

    One that is not the claimed one may be any of many. And one of many digits may only model another change, as 1 / 1.1 does
    for 1 beside 0.1, unless it is told to the last bit.
    """
    for r in recovered:
        if r.value != r.claimed and _wide(r):
            return f"{r.name} may be anything from {r.low:.3g} to {r.high:.3g}"
        if r.value != r.claimed and not _plain(r.value) and r.high - r.low > EXACT * abs(r.value):
            return f"{r.name} of {r.value:.9g} is no number that one writes, and may stand for another change"
    return ""


def _wide(r: Recovered) -> bool:
    near, far = sorted(map(abs, (r.low, r.high)))
    if r.value == 0.0:  # it is switched off, as far as can be seen
        return far > abs(r.claimed) / 2
    return r.low * r.high <= 0 or far >= VAGUE * near


def _plain(value: float) -> bool:
    """True of a number that a person writes: a decimal of few digits, or a power of two, as the eps of a format is."""
    return float(f"{value:.{WRITTEN}g}") == value or abs(math.frexp(value)[0]) == 0.5


def shortest_decimal(low: float, high: float, middle: float) -> float:
    """The number of the fewest decimal digits in an interval; the one nearest to the middle, if there are several."""
    for digits in range(1, 17):
        value = float(f"{middle:.{digits}g}")
        if low <= value <= high:
            return value
    return middle
