"""Bounds on operations on numbers: what implementations may differ by in their scalars."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

#: a number and a bound on its error
Pair = tuple[float, float]

#: units that a power may be off by, and roundings that another operation may take
POWER, ROUNDINGS = 8.0, 3.0


@dataclass(frozen=True)
class Precision:
    """What each operation rounds to: "float64" or "float32"; and whether subnormal numbers may be flushed to zero."""

    name: str
    flushes: bool = False

    @property
    def unit_roundoff(self) -> float:
        """Half a unit in the last place of one."""
        return 2.0**-53 if self.name == "float64" else 2.0**-24

    @property
    def lost(self) -> float:
        """What a rounding loses at most where subnormal numbers are flushed."""
        return self._smallest_normal if self.flushes else 0.0

    @property
    def _smallest_normal(self) -> float:
        return 2.0**-1022 if self.name == "float64" else 2.0**-126

    def vanishes(self, value: float) -> bool:
        """True if a number may be taken for zero."""
        return self.flushes and 0.0 < abs(value) < self._smallest_normal

    def holds(self, value: float) -> bool:
        """True if a number is one of the precision."""
        return self.name == "float64" or float(np.float32(value)) == value

    def charged(self, value: float, carried: float, magnitude: float, roundings: float = ROUNDINGS) -> Pair:
        """A number with what it carries, and with its own roundings of a magnitude."""
        return value, carried + roundings * (self.unit_roundoff * (magnitude + carried) + self.lost)

    def constant(self, value: float) -> Pair:
        """A literal number."""
        if self.vanishes(value):
            return float(value), abs(float(value))
        return float(value), 0.0 if self.holds(float(value)) else self.unit_roundoff * abs(float(value))


Bound = Callable[[Precision, Pair, Pair], Pair]


def unless_exact(operation: Callable[[Any, Any], Any]) -> Callable[[Bound], Bound]:
    """A bound, but without error where known operands give a number of the precision."""

    def decorated(bound: Bound) -> Bound:
        def bounded(p: Precision, a: Pair, b: Pair) -> Pair:
            value, error = bound(p, a, b)
            known = a[1] == b[1] == 0.0 and all(map(math.isfinite, (a[0], b[0], value)))
            exact = known and p.holds(value) and operation(Fraction(a[0]), Fraction(b[0])) == Fraction(value)
            return value, 0.0 if exact and not p.vanishes(value) else error

        return bounded

    return decorated


@unless_exact(operator.add)
def total(p: Precision, a: Pair, b: Pair) -> Pair:
    """A sum."""
    return p.charged(a[0] + b[0], a[1] + b[1], abs(a[0]) + abs(b[0]))


@unless_exact(operator.sub)
def difference(p: Precision, a: Pair, b: Pair) -> Pair:
    """A difference; what is taken from one, and is not far from it, leaves a number that is not rounded (Sterbenz)."""
    if a == (1.0, 0.0) and 0.5 <= b[0] - b[1] and b[0] + b[1] <= 2.0:
        return p.charged(a[0] - b[0], b[1], abs(a[0] - b[0]))
    return p.charged(a[0] - b[0], a[1] + b[1], abs(a[0]) + abs(b[0]))


@unless_exact(operator.mul)
def product(p: Precision, a: Pair, b: Pair) -> Pair:
    """A product."""
    return p.charged(a[0] * b[0], abs(a[0]) * b[1] + abs(b[0]) * a[1] + a[1] * b[1], abs(a[0] * b[0]))


@unless_exact(operator.truediv)
def quotient(p: Precision, a: Pair, b: Pair) -> Pair:
    """A quotient; nothing can be said where the divisor may be zero."""
    value = a[0] / b[0]
    room = abs(b[0]) - b[1]
    carried = (a[1] + abs(value) * b[1]) / room if room > 0 else math.inf
    return p.charged(value, carried, abs(value))


@unless_exact(operator.mod)
def remainder(p: Precision, a: Pair, b: Pair) -> Pair:
    """A remainder, of a whole quotient that is known."""
    return p.charged(a[0] % b[0], a[1] + abs(a[0] // b[0]) * b[1], abs(a[0] % b[0]))


def power(p: Precision, a: Pair, b: Pair) -> Pair:
    """A power."""
    value = a[0] ** b[0]
    relative = abs(b[0]) * a[1] / abs(a[0]) if a[0] else 0.0
    exponent = abs(math.log(abs(a[0]))) * b[1] if a[0] else 0.0
    return p.charged(value, abs(value) * (relative + exponent), abs(value), POWER)


def negative(p: Precision, a: Pair) -> Pair:
    """The negative: errors pass through."""
    return -a[0], a[1]


def root(p: Precision, a: Pair) -> Pair:
    """The square root, by the endpoints."""
    value = math.sqrt(max(a[0], 0.0))
    low = math.sqrt(max(a[0] - a[1], 0.0))
    return p.charged(value, max(math.sqrt(a[0] + a[1]) - value, value - low), value)


def logarithm(p: Precision, a: Pair) -> Pair:
    """The natural logarithm."""
    room = a[0] - a[1]
    carried = math.log(a[0] / room) if room > 0 else math.inf  # the end that is farther off
    return p.charged(math.log(a[0]), carried, abs(math.log(a[0])), POWER)


def exponential(p: Precision, a: Pair) -> Pair:
    """The exponential."""
    value = math.exp(a[0])
    return p.charged(value, value * math.expm1(a[1]), value, POWER)


def hyperbolic_tangent(p: Precision, a: Pair) -> Pair:
    """The hyperbolic tangent."""
    return p.charged(math.tanh(a[0]), a[1], abs(math.tanh(a[0])), POWER)


def larger(p: Precision, a: Pair, b: Pair) -> Pair:
    """The larger of two."""
    return max(a[0], b[0]), max(a[1], b[1])


def smaller(p: Precision, a: Pair, b: Pair) -> Pair:
    """The smaller of two."""
    return min(a[0], b[0]), max(a[1], b[1])


def comparison(compare: Callable[[Any, Any], Any]) -> Bound:
    """A comparison of numbers, as they are."""
    return lambda p, a, b: (compare(a[0], b[0]), 0.0)
