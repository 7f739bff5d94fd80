"""Scalar expressions as values with an error bound: what implementations may differ by in their scalars."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from refgrad.arithmetic.scalar_math import COMPARISONS, FLOAT64, Table

Pair = tuple[float, float]

#: units that a power may be off by, and roundings that another operation may take
_POWER, _ROUNDINGS = 8.0, 3.0


def table(precision: str) -> Table:
    """Operations on (value, bound) pairs where each operation rounds to "float64" or "float32"."""
    u = 2.0**-53 if precision == "float64" else 2.0**-24

    def held(value: float) -> bool:
        return precision == "float64" or float(np.float32(value)) == value

    def charged(value: float, carried: float, magnitude: float, roundings: float = _ROUNDINGS) -> Pair:
        return value, carried + roundings * u * (magnitude + carried)

    def unless_exact(
        operation: Callable[[Any, Any], Any], bounded: Callable[[Pair, Pair], Pair]
    ) -> Callable[..., Pair]:
        """The operation, without error where known operands give a number of the precision."""

        def apply(a: Pair, b: Pair) -> Pair:
            value, error = bounded(a, b)
            known = a[1] == b[1] == 0.0 and all(map(math.isfinite, (a[0], b[0], value)))
            exact = known and held(value) and operation(Fraction(a[0]), Fraction(b[0])) == Fraction(value)
            return value, 0.0 if exact else error

        return apply

    def power(a: Pair, b: Pair) -> Pair:
        value = a[0] ** b[0]
        relative = abs(b[0]) * a[1] / abs(a[0]) if a[0] else 0.0
        exponent = abs(math.log(abs(a[0]))) * b[1] if a[0] else 0.0
        return charged(value, abs(value) * (relative + exponent), abs(value), _POWER)

    def product(a: Pair, b: Pair) -> Pair:
        return charged(a[0] * b[0], abs(a[0]) * b[1] + abs(b[0]) * a[1] + a[1] * b[1], abs(a[0] * b[0]))

    def quotient(a: Pair, b: Pair) -> Pair:
        value = a[0] / b[0]
        room = abs(b[0]) - b[1]
        carried = (a[1] + abs(value) * b[1]) / room if room > 0 else math.inf
        return charged(value, carried, abs(value))

    def remainder(a: Pair, b: Pair) -> Pair:
        return charged(a[0] % b[0], a[1] + abs(a[0] // b[0]) * b[1], abs(a[0] % b[0]))

    def root(a: Pair) -> Pair:
        value = math.sqrt(max(a[0], 0.0))
        low = math.sqrt(max(a[0] - a[1], 0.0))
        return charged(value, max(math.sqrt(a[0] + a[1]) - value, value - low), value)

    def logarithm(a: Pair) -> Pair:
        room = a[0] - a[1]
        carried = math.log(a[0] / room) if room > 0 else math.inf  # the end that is farther off
        return charged(math.log(a[0]), carried, abs(math.log(a[0])), _POWER)

    def exponential(a: Pair) -> Pair:
        value = math.exp(a[0])
        return charged(value, value * math.expm1(a[1]), value, _POWER)

    def hyperbolic_tangent(a: Pair) -> Pair:
        return charged(math.tanh(a[0]), a[1], abs(math.tanh(a[0])), _POWER)

    operations: dict[str, Callable[..., Any]] = {
        "const": lambda value: (float(value), 0.0 if held(float(value)) else u * abs(float(value))),
        "add": unless_exact(operator.add, lambda a, b: charged(a[0] + b[0], a[1] + b[1], abs(a[0]) + abs(b[0]))),
        "sub": unless_exact(operator.sub, lambda a, b: charged(a[0] - b[0], a[1] + b[1], abs(a[0]) + abs(b[0]))),
        "mul": unless_exact(operator.mul, product),
        "div": unless_exact(operator.truediv, quotient),
        "pow": power,
        "mod": unless_exact(operator.mod, remainder),
        "neg": lambda a: (-a[0], a[1]),
        "sqrt": root,
        "log": logarithm,
        "exp": exponential,
        "tanh": hyperbolic_tangent,
        "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
        "min": lambda a, b: (min(a[0], b[0]), max(a[1], b[1])),
    }
    for name in COMPARISONS:
        operations[name] = lambda a, b, compare=FLOAT64[name]: (compare(a[0], b[0]), 0.0)
    return operations
