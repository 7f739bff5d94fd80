"""How a random legal program rounds: on arrays and on scalars, each style with the policy that covers it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from refgrad.arithmetic import scalar_math
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import Plan

Array = np.ndarray
SMALLEST_NORMAL = float(np.finfo(np.float32).smallest_normal)
#: what a precision is computed in before it is rounded: numbers of twice as many digits, or nearly so
WIDE: Mapping[type, type] = {np.float32: np.float64, np.float64: np.longdouble}


@dataclass(frozen=True)
class Style:
    """What a random program may do, and the policy that covers it.

    Attributes:
        rounding: "nearest"; "directed", up or down at random (two roundings); or "thrice", to nearest and then to a
            neighbour at random (three roundings).
        rewrites: True if operations are replaced by others: reciprocals, products distributed over sums, FMA.
        policy: the policy under which such a program is legal.
    """

    rounding: str
    rewrites: bool
    policy: Policy


STYLES: Mapping[str, Style] = {
    "rewritten": Style("nearest", True, Policy()),
    "thrice": Style("thrice", False, Policy()),
    # an operation that was rewritten takes up to three roundings, and a directed one counts twice
    "rewritten and directed": Style("directed", True, Policy(roundings=6, scalar_roundings=4)),
    "flushed": Style("directed", False, Policy(subnormals="either")),
}
#: each operation as it stands, rounded once, to nearest
PLAIN = Style("nearest", False, Policy())


class Rounding:
    """Results moved onto the grid of a precision, by a style and at random.

    Args:
        style: how results are rounded, and if subnormal ones may be flushed to zero.
        random: where the choices come from.
        precision: float32, whose numbers are kept as float64, or float64, whose numbers are kept as longdouble.
    """

    def __init__(self, style: Style, random: np.random.Generator, precision: type = np.float32) -> None:
        self.style, self.random, self.precision, self.wide = style, random, precision, WIDE[precision]
        self._smallest_normal = np.finfo(precision).smallest_normal

    def __call__(self, exact: Any) -> Array:
        """Results on the grid of the precision.

        Args:
            exact: wide values of any shape, off by much less than a rounding to the precision.

        Returns:
            Wide values of the same shape, each of them a number of the precision.
        """
        exact = np.asarray(exact, dtype=self.wide)
        near = exact.astype(self.precision)
        if self.style.rounding == "nearest":
            return self.flushed(near.astype(self.wide))
        moves = self._moves(exact, near)
        moved = np.nextafter(near, np.where(moves > 0, self.precision(np.inf), self.precision(-np.inf)))
        # what is exact stays; no sign changes; what is finite becomes an infinity by rounding to nearest alone
        keep = (moves == 0) | (near == exact) | ~np.isfinite(near) | ~np.isfinite(moved) | (moved * exact < 0)
        return self.flushed(np.where(keep, near, moved).astype(self.wide))

    def _moves(self, exact: Array, near: Array) -> Array:
        if self.style.rounding == "thrice":
            return self.random.integers(-1, 2, near.shape)
        return np.sign(exact - near) * self.random.integers(0, 2, near.shape)

    def flushed(self, values: Array) -> Array:
        """The same values; where the policy allows both, half of the subnormal ones are zeros of their sign."""
        if self.style.policy.subnormals == "keep":
            return values
        lost = (np.abs(values) < self._smallest_normal) & (self.random.random(values.shape) < 0.5)
        return np.where(lost, np.copysign(0.0, values), values)


def scalar_table(precision: str, random: np.random.Generator) -> scalar_math.Table:
    """Scalar arithmetic in which each operation gives its rounded result, or at random the float beside it.

    Args:
        precision: "float64" or "float32", in which a rule computes its scalars.
        random: where the choices come from.

    Returns:
        The operations by name, as `refgrad.arithmetic.scalar_math.evaluate` takes them.
    """
    kind = np.float64 if precision == "float64" else np.float32

    def beside(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def operation(*args: Any) -> Any:
            with np.errstate(all="ignore"):
                value = kind(function(*args))
                if random.random() < 0.5 or _is_exact(name, args, value):
                    return value
                return float(np.nextafter(value, kind(random.choice([-np.inf, np.inf]))))

        return operation

    table = scalar_math.TABLES[precision]
    exact = {"const", "neg", "max", "min", *scalar_math.COMPARISONS}
    return {name: f if name in exact else beside(name, f) for name, f in table.items()}


#: operations that IEEE 754 rounds correctly, so that no rounding moves what they give exactly
_CORRECTLY_ROUNDED: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "mod": operator.mod,
}


def _is_exact(name: str, args: tuple[Any, ...], value: Any) -> bool:
    if name not in _CORRECTLY_ROUNDED or not all(map(math.isfinite, (*args, value))):
        return False
    return bool(_CORRECTLY_ROUNDED[name](*map(Fraction, map(float, args))) == Fraction(float(value)))


def random_scalars(plan: Plan, free: Sequence[float], random: np.random.Generator) -> list[float]:
    """The scalars of a plan's graph, by such arithmetic.

    Args:
        plan: the plan of a rule.
        free: the values of the plan's free names, in their order.
        random: where the choices come from.

    Returns:
        The scalars in the order in which they meet arrays.
    """
    table, memo = scalar_table(plan.rule.scalars, random), dict[scalar_math.Expr, Any]()
    names = plan.names(dict(zip(plan.free, free, strict=True)))
    return [float(scalar_math.evaluate(e, names, table, memo)) for e in plan.graph.scalars()]
