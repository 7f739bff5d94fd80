"""Numbers of sixty digits that carry a bound on what float64 may have made of them: running error, for restatements.

Each operation is charged four units roundoff of its result (one rounding, an elementary function's last place, and products
of errors), a sum of n terms n times that of the sum of their magnitudes, which holds in any order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf

mpmath.mp.dps = 60
CHARGE = 4 * mpf(2) ** -53


class Tracked:
    """An exact value, and a bound on the error of its float64."""

    def __init__(self, value: Any, error: Any = 0) -> None:
        self.value, self.error = mpf(value), mpf(error)

    def _charged(self, value: Any, error: Any) -> Tracked:
        return Tracked(value, error + CHARGE * (abs(value) + error))

    def __add__(self, other: Any) -> Tracked:
        other = lift(other)
        return self._charged(self.value + other.value, self.error + other.error)

    def __mul__(self, other: Any) -> Tracked:
        other = lift(other)
        error = abs(self.value) * other.error + abs(other.value) * self.error + self.error * other.error
        return self._charged(self.value * other.value, error)

    def __truediv__(self, other: Any) -> Tracked:
        other = lift(other)
        least = abs(other.value) - other.error
        assert least > 0, "a divisor that may be zero"
        error = (self.error + abs(self.value / other.value) * other.error) / least
        return self._charged(self.value / other.value, error)

    def __neg__(self) -> Tracked:
        return Tracked(-self.value, self.error)

    def __sub__(self, other: Any) -> Tracked:
        return self + -lift(other)

    def __rsub__(self, other: Any) -> Tracked:
        return lift(other) - self

    def __rtruediv__(self, other: Any) -> Tracked:
        return lift(other) / self

    def __abs__(self) -> Tracked:
        return Tracked(abs(self.value), self.error)

    def __lt__(self, other: Any) -> bool:
        other = lift(other)
        assert abs(self.value - other.value) > self.error + other.error, "a comparison that rounding may decide"
        return bool(self.value < other.value)

    __radd__, __rmul__ = __add__, __mul__


def lift(x: Any) -> Tracked:
    """A float as it is, without rounding."""
    return x if isinstance(x, Tracked) else Tracked(float(x))


def total(terms: Iterable[Any]) -> Tracked:
    """A sum in any order."""
    known = [lift(t) for t in terms]
    value, error = sum(t.value for t in known), sum(t.error for t in known)
    size = sum(abs(t.value) + t.error for t in known)
    return Tracked(value, error + max(len(known), 1) * CHARGE * size)


def mean(terms: Iterable[Any]) -> Tracked:
    """A mean in any order."""
    known = list(terms)
    return total(known) / len(known)


def dot(x: Iterable[Any], y: Iterable[Any]) -> Tracked:
    """An inner product in any order."""
    return total(lift(a) * b for a, b in zip(x, y, strict=True))


def _function(f: Callable[[Any], Any]) -> Callable[[Any], Tracked]:
    """A function that grows, by its ends."""

    def tracked(x: Any) -> Tracked:
        x = lift(x)
        value = f(x.value)
        spread = max(
            abs(f(x.value + x.error) - value), abs(value - f(max(x.value - x.error, lowest.get(f, x.value - x.error))))
        )
        return x._charged(value, spread)

    return tracked


lowest = {mpmath.sqrt: mpf(0)}
root = _function(mpmath.sqrt)
exponential = _function(mpmath.exp)
logarithm = _function(mpmath.log)


def least(a: Any, b: Any) -> Tracked:
    """The smaller one: it is as exact as the less exact of the two."""
    a, b = lift(a), lift(b)
    return Tracked(min(a.value, b.value), max(a.error, b.error))


def largest(a: Any, b: Any) -> Tracked:
    """The larger one."""
    return -least(-lift(a), -lift(b))


def holds(got: Any, want: Any) -> None:
    """Every float within its bound; bounds that say nothing are refused."""
    floats = np.ravel(np.asarray(got, dtype=np.float64))
    flat = list(_flat(want))
    assert len(floats) == len(flat)
    for index, (x, known) in enumerate(zip(floats, flat, strict=True)):
        known = lift(known)
        assert known.error <= mpf(10) ** -9 * max(1, abs(known.value)), f"the bound at {index} says nothing"
        assert abs(mpf(float(x)) - known.value) <= known.error, f"at {index}: {x!r}, not {known.value}"


def _flat(x: Any) -> Iterable[Any]:
    if isinstance(x, (list, tuple)):
        for y in x:
            yield from _flat(y)
    else:
        yield x
