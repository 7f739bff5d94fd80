"""Scalars: hyperparameters, the step count, and arithmetic of these alone.

A scalar is computed in float64 and rounded once to the working dtype where it meets an array, which is
what NumPy does with a Python float. It carries its expression beside its value, so that the same rule body
gives a number, a kernel argument, an exact value or a value with an error bound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableSequence, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.operations import ON_NUMBERS
from refgrad.arithmetic.operations.op import Number, OnNumbers
from refgrad.errors import ArgumentError, TraceError


class Expr(NamedTuple):
    """One scalar operation: ``op`` is a name of `FLOAT64`, or ``const`` or ``name``; ``args`` are its operands."""

    op: str
    args: tuple[Any, ...]


Table = Mapping[str, Callable[..., Any]]

_ROWS: Mapping[str, OnNumbers] = {name: op.scalar for name, op in ON_NUMBERS.items() if op.scalar}
FLOAT64: Table = {"const": float, **{name: row.float64 for name, row in _ROWS.items()}}


def _in_float32(function: Callable[..., Any]) -> Callable[..., Any]:
    def rounded(*args: Any) -> float:
        return float(np.float32(function(*(np.float32(a) for a in args))))

    return rounded


COMPARISONS = frozenset(name for name, row in _ROWS.items() if row.compares)

#: every scalar operation rounded to float32, as implementations do that keep scalars in float32 arrays
FLOAT32: Table = {
    "const": lambda value: float(np.float32(value)),
    **{n: r.float64 if r.compares else _in_float32(r.float32 or r.float64) for n, r in _ROWS.items()},
}

TABLES: Mapping[str, Table] = {"float64": FLOAT64, "float32": FLOAT32}


def const(value: float) -> Expr:
    """A literal number of the rule's body."""
    return Expr("const", (float(value),))


def name(text: str) -> Expr:
    """A hyperparameter, ``t``, a scalar slot, or a size that is known at the call."""
    return Expr("name", (text,))


def evaluate(expr: Expr, names: Mapping[str, Any], table: Table, memo: dict[Expr, Any] | None = None) -> Any:
    """The value of a scalar expression under a table of operations; ``names`` are values of that arithmetic."""
    memo = {} if memo is None else memo
    if expr in memo:
        return memo[expr]
    if expr.op == "name":
        value = names[expr.args[0]]
    elif expr.op == "const":
        value = table["const"](expr.args[0])
    else:
        value = table[expr.op](*(evaluate(a, names, table, memo) for a in expr.args))
    memo[expr] = value
    return value


def names_in(expr: Expr) -> frozenset[str]:
    """Every name that an expression reads."""
    if expr.op == "name":
        return frozenset(expr.args)
    if expr.op == "const":
        return frozenset()
    return frozenset().union(*(names_in(a) for a in expr.args))


#: the functions that `python_source` may call
FUNCTIONS: Mapping[str, Callable[..., Any]] = {n: r.float64 for n, r in _ROWS.items() if not r.infix and n != "neg"}


def python_source(expr: Expr) -> str:
    """The expression as Python source over plain floats; functions (`FUNCTIONS`) are free names."""
    if expr.op == "name":
        return str(expr.args[0])
    if expr.op == "const":
        return repr(expr.args[0])
    parts = [python_source(a) for a in expr.args]
    infix = _ROWS[expr.op].infix
    if infix:
        return f"({parts[0]} {infix} {parts[1]})"
    if expr.op == "neg":
        return f"(-{parts[0]})"
    return f"{expr.op}({', '.join(parts)})"


#: what Python raises where an operation on floats has no value: a division by zero, a root of less, a power too large
NO_NUMBER = (ArithmeticError, ValueError)


def undefined(exprs: Sequence[Expr], error: Exception) -> ArgumentError:
    """The error that scalar expressions have no value.

    Args:
        exprs: one of which has none.
        error: what Python raised.

    Returns:
        The error, which names every argument that they read.
    """
    if isinstance(error, ArgumentError):
        return error
    names = sorted(frozenset().union(*(names_in(e) for e in exprs)))
    shown = ", ".join(python_source(e) for e in exprs)
    return ArgumentError(f"{', '.join(names)}: {shown} has no value ({error}); legal: numbers at which it has one")


@dataclass
class Scope:
    """What the scalars of one run of a rule share: their arithmetic, and the branches that were taken."""

    table: Table = field(default_factory=lambda: FLOAT64)
    guards: MutableSequence[tuple[Expr, bool]] = field(default_factory=list)

    def named(self, text: str, value: float) -> Scalar:
        """A leaf of the run."""
        return Scalar(name(text), self.table["const"](value), self)

    def lift(self, value: object) -> Scalar | None:
        """A Python or NumPy number as a scalar; None for anything else."""
        if isinstance(value, Scalar):
            return value
        if isinstance(value, (bool, int, float, np.integer, np.floating)):
            return Scalar(const(float(value)), self.table["const"](float(value)), self)
        return None


UFUNCS: Mapping[np.ufunc, str] = {ufunc: name for name, row in _ROWS.items() for ufunc in row.ufuncs}


class Scalar(Number):
    """A scalar: its expression, its value, and the scope that it was made in."""

    __slots__ = ("expr", "scope")
    __hash__ = None  # type: ignore[assignment]  # == builds an expression

    def __init__(self, expr: Expr, value: Any, scope: Scope) -> None:
        self.expr, self.value, self.scope = expr, value, scope

    def __repr__(self) -> str:
        return f"Scalar({python_source(self.expr)} = {self.value!r})"

    def _apply(self, op: str, *args: object) -> Any:
        lifted = [self.scope.lift(a) for a in args]
        if any(a is None for a in lifted):
            return NotImplemented
        scalar_values = [a for a in lifted if a is not None]
        expr = Expr(op, tuple(a.expr for a in scalar_values))
        try:
            value = self.scope.table[op](*(a.value for a in scalar_values))
        except NO_NUMBER as error:
            raise undefined([expr], error) from None
        return Scalar(expr, value, self.scope)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(not isinstance(x, (Scalar, np.ndarray, np.generic, int, float)) for x in inputs):
            return NotImplemented  # a tracer or another carrier takes over
        if any(isinstance(x, (np.ndarray, np.generic)) for x in inputs):
            plain = [float(x.value) if isinstance(x, Scalar) else x for x in inputs]
            return getattr(ufunc, method)(*plain, **kwargs)
        if method != "__call__" or kwargs or ufunc not in UFUNCS:
            raise TraceError(f"numpy.{ufunc.__name__} of scalars is not known; known: {_known()}")
        return self._apply(UFUNCS[ufunc], *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(not issubclass(t, (Scalar, np.ndarray, np.generic)) for t in types):
            return NotImplemented  # a tracer or another carrier takes over
        if function not in (np.where, np.clip) or kwargs:
            raise TraceError(f"numpy.{function.__name__} does not take scalars; known: where, clip, {_known()}")
        return function(*(float(a.value) if isinstance(a, Scalar) else a for a in args))

    def __bool__(self) -> bool:
        """A branch on a scalar is taken now, and remembered as a guard of what was traced."""
        test: Scalar = self if self.expr.op in COMPARISONS else self._apply("ne", self, 0.0)
        taken = bool(test.value)
        self.scope.guards.append((test.expr, taken))
        return taken

    def __float__(self) -> float:
        raise TraceError(f"float({self!r}) would lose its expression; use NumPy's functions instead of math's")

    def __neg__(self) -> Any:
        return self._apply("neg", self)

    def __pos__(self) -> Scalar:
        return self


def _known() -> str:
    return ", ".join(sorted(u.__name__ for u in UFUNCS))


def _binary(op: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    ufunc = next(u for u, text in UFUNCS.items() if text == op)

    def forward(self: Scalar, other: object) -> Any:
        array = isinstance(other, (np.ndarray, np.generic))
        return ufunc(float(self.value), other) if array else self._apply(op, self, other)

    def reflected(self: Scalar, other: object) -> Any:
        array = isinstance(other, (np.ndarray, np.generic))
        return ufunc(other, float(self.value)) if array else self._apply(op, other, self)

    return forward, reflected


for _name, _op in [("add", "add"), ("sub", "sub"), ("mul", "mul"), ("truediv", "div"), ("pow", "pow"), ("mod", "mod")]:
    _forward, _reflected = _binary(_op)
    setattr(Scalar, f"__{_name}__", _forward)
    setattr(Scalar, f"__r{_name}__", _reflected)
for _op in COMPARISONS:
    setattr(Scalar, f"__{_op}__", _binary(_op)[0])
