"""Lengths of axes that carry their names, so that what a body computes of them is an expression that a kernel is handed.

A length is an index, so that shapes and slices take it. Arithmetic of it by Python's operators, and the functions of NumPy's that
are rounded correctly, give scalars with expressions; what is not rounded correctly differs from one library to the next, and is
refused. A comparison is noted as a guard: a kernel is printed for all lengths, so that there must be none.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np

from refgrad.arithmetic.scalar_math import COMPARISONS, UFUNCS, Expr, Scalar, Scope, const
from refgrad.errors import TraceError

#: functions of NumPy's whose result is the same in every library, and Python's own operator
_ROUNDED = frozenset({"add", "sub", "mul", "div", "mod", "neg", "sqrt", "max", "min"})
#: whole numbers up to here are floats exactly
_WHOLE = 2**53


class Quantity(Scalar):
    """A number that is made of lengths; functions of it are those that every library rounds alike."""

    __slots__ = ()

    def _apply(self, op: str, *args: object) -> Any:
        if op in COMPARISONS:
            _note(self, sys._getframe(2))
            return bool(super()._apply(op, *(of(a) for a in args)).value)
        found = super()._apply(op, *(of(a) for a in args))
        return found if found is NotImplemented else Quantity(found.expr, found.value, self.scope)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _called(self, ufunc, method, inputs, kwargs, super().__array_ufunc__)

    def __float__(self) -> float:
        return float(self.value)  # what is made of it is compared by value, or refused

    def __bool__(self) -> bool:
        _note(self, sys._getframe(1))
        return bool(self.value)

    def __int__(self) -> int:
        raise TraceError("int() of a number made of lengths is taken, which kernels do not have")

    __index__ = __int__


class Length:
    """The length of an axis, or whole numbers made of lengths: no `int`, so that Python's floats leave arithmetic to it.

    Args:
        value: its value in this run.
        expr: its expression.
        scope: the scalars of the run.

    >>> n = Length(4, Expr("name", ("n",)), Scope())
    >>> n - 1, 1 / n, (n * n) ** -0.5
    (3, Scalar((1.0 / n) = 0.25), Scalar(pow((n * n), -0.5) = 0.25))
    """

    __slots__ = ("expr", "scope", "value")

    def __init__(self, value: int, expr: Expr, scope: Scope) -> None:
        self.value, self.expr, self.scope = value, expr, scope

    def __repr__(self) -> str:
        return str(self.value)

    def __index__(self) -> int:
        return self.value

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.array(self.value, dtype)  # numpy.arange asks what it would be

    def __hash__(self) -> int:
        return hash(self.value)

    def __bool__(self) -> bool:
        return self.value != 0  # arrays that kernels are printed of have elements

    def quantity(self) -> Quantity:
        """It as a scalar."""
        return Quantity(self.expr, float(self.value), self.scope)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _called(self, ufunc, method, inputs, kwargs, self.quantity().__array_ufunc__)

    def __neg__(self) -> Any:
        return self._whole("sub", 0, self)

    def _whole(self, op: str, a: Any, b: Any) -> Any:
        """A sum, difference or product; a whole number of whole ones."""
        if all(isinstance(x, int | Length) for x in (a, b)):
            value = _PYTHON[op](int(a), int(b))
            if abs(value) < _WHOLE:
                return Length(value, simple(op, _expr(a), _expr(b)), self.scope)
        return self._float(op, a, b)

    def _float(self, op: str, a: Any, b: Any) -> Any:
        if not all(isinstance(x, int | float | np.integer | np.floating | Scalar | Length) for x in (a, b)):
            return NotImplemented
        if b is not self and type(b) in (int, float) and b == 1 and op in ("mul", "div"):
            return self.quantity()
        return self.quantity()._apply(op, a, b)

    def __floordiv__(self, other: Any) -> Any:
        if not isinstance(other, int | Length) or int(other) <= 0 or self.value < 0:
            raise TraceError("a length is divided by //, but not by a whole number above 0, which kernels do not have")
        rest = Expr("mod", (self.expr, _expr(other)))
        expr = Expr("div", (Expr("sub", (self.expr, rest)), _expr(other)))
        return Length(self.value // int(other), expr, self.scope)

    def __mod__(self, other: Any) -> Any:
        return self._float("mod", self, other)


_PYTHON: dict[str, Callable[[int, int], int]] = {"add": operator.add, "sub": operator.sub, "mul": operator.mul}


def of(value: Any) -> Any:
    """A length as a scalar; anything else as it is."""
    return value.quantity() if isinstance(value, Length) else value


def simple(op: str, a: Expr, b: Expr) -> Expr:
    """A sum, difference or product of whole numbers without the ones and zeros that change nothing."""
    one, zero = const(1.0), const(0.0)
    if op == "mul" and one in (a, b):
        return b if a == one else a
    if b == zero and op in ("add", "sub"):
        return a
    return b if a == zero and op == "add" else Expr(op, (a, b))


def _expr(x: Any) -> Expr:
    return x.expr if isinstance(x, Length) else const(float(x))


def _note(compared: Length | Quantity, frame: FrameType) -> None:
    """A guard, where a body compares. Which lengths fit together is asked by NumPy and in this room, of any formula."""
    if (
        frame.f_globals.get("__name__", "").partition(".")[0] != "numpy"
        and frame.f_globals.get("__package__") != __package__
    ):
        compared.scope.guards.append((compared.expr, True))


def _called(x: Any, ufunc: np.ufunc, method: str, inputs: Any, kwargs: Any, own: Callable[..., Any]) -> Any:
    """What a function of NumPy's makes of lengths: a scalar; NotImplemented where a carrier takes over."""
    numbers = int, float, np.ndarray, np.generic, Scalar, Length
    if not all(isinstance(each, numbers) for each in inputs):
        return NotImplemented
    if any(isinstance(each, np.ndarray) for each in inputs):
        plain = [float(e.value) if isinstance(e, Scalar) else int(e) if isinstance(e, Length) else e for e in inputs]
        return getattr(ufunc, method)(*plain, **kwargs)
    if UFUNCS.get(ufunc) not in _ROUNDED or method != "__call__" or kwargs:
        raise TraceError(f"numpy.{ufunc.__name__} of a length is taken, which kernels do not have")
    return own(ufunc, method, *(float(e) if isinstance(e, np.generic) else of(e) for e in inputs))


def _set(word: str, op: str, whole: bool) -> None:
    def forward(self: Length, other: Any) -> Any:
        return (self._whole if whole else self._float)(op, self, other)

    def reflected(self: Length, other: Any) -> Any:
        return (self._whole if whole else self._float)(op, other, self)

    setattr(Length, f"__{word}__", forward)
    setattr(Length, f"__r{word}__", reflected)


for _word, _op, _is_whole in (
    ("add", "add", True),
    ("sub", "sub", True),
    ("mul", "mul", True),
    ("truediv", "div", False),
    ("pow", "pow", False),
):
    _set(_word, _op, _is_whole)


def _compared(word: str) -> None:
    own = getattr(operator, word)

    def compare(self: Length, other: Any) -> Any:
        if not isinstance(other, int | float | np.integer | np.floating | Length):
            return NotImplemented
        _note(self, sys._getframe(1))
        return own(self.value, other.value if isinstance(other, Length) else other)

    setattr(Length, f"__{word}__", compare)


for _word in ("lt", "le", "gt", "ge", "eq", "ne"):
    _compared(_word)
