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
    """Float64 results moved onto the float32 grid, by a style and at random.

    Args:
        style: how results are rounded, and if subnormal ones may be flushed to zero.
        random: where the choices come from.
    """

    def __init__(self, style: Style, random: np.random.Generator) -> None:
        self.style, self.random = style, random

    def __call__(self, exact: Any) -> Array:
        """Results on the float32 grid, kept as float64.

        Args:
            exact: float64 values of any shape, off by much less than a float32 rounding.

        Returns:
            Float64 values of the same shape, each of them a float32 number.
        """
        exact = np.asarray(exact, dtype=np.float64)
        near = exact.astype(np.float32)
        if self.style.rounding == "nearest":
            return self.flushed(near.astype(np.float64))
        moves = self._moves(exact, near)
        moved = np.nextafter(near, np.where(moves > 0, np.float32(np.inf), np.float32(-np.inf)))
        # what is exact stays; no sign changes; what is finite becomes an infinity by rounding to nearest alone
        keep = (moves == 0) | (near == exact) | ~np.isfinite(near) | ~np.isfinite(moved) | (moved * exact < 0)
        return self.flushed(np.where(keep, near, moved).astype(np.float64))

    def _moves(self, exact: Array, near: Array) -> Array:
        if self.style.rounding == "thrice":
            return self.random.integers(-1, 2, near.shape)
        return np.sign(exact - near) * self.random.integers(0, 2, near.shape)

    def flushed(self, values: Array) -> Array:
        """The same values; where the policy allows both, half of the subnormal ones are zeros of their sign."""
        if self.style.policy.subnormals == "keep":
            return values
        lost = (np.abs(values) < SMALLEST_NORMAL) & (self.random.random(values.shape) < 0.5)
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
