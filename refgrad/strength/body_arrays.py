"""The arrays that a rule's body is handed when it is run as it stands: every operation on them is one of the run's."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic.left_out import dropped, surely, surely_less, surely_zero, unsettled
from refgrad.arithmetic.operations import UFUNCS
from refgrad.arithmetic.shaped import MOVES, WRITTEN, Shaped, checked_spec
from refgrad.arithmetic.subgradients import largest_places, top_k
from refgrad.axes import places, terms
from refgrad.errors import TraceError
from refgrad.rule import Rule
from refgrad.strength.body_operations import OPERATIONS
from refgrad.strength.body_run import Run
from refgrad.strength.rounding_styles import Array


class RunArray(Shaped):
    """An array of a run; a product is not rounded before it is looked at, so that it may be fused into an addition.

    Args:
        values: the numbers; None for a product that is not rounded yet.
        run: the run that the array is of.
        factors: those of a product that is not rounded yet.
    """

    __slots__ = ("_values", "factors", "run")

    def __init__(self, values: Any, run: Run, factors: tuple[Array, Array] | None = None) -> None:
        self.run, self.factors = run, factors
        self._values = None if values is None else np.asarray(values)

    @property
    def values(self) -> Array:
        """The numbers."""
        if self._values is None:
            assert self.factors is not None
            self._values, self.factors = self.run.round(self.factors[0] * self.factors[1]), None
        return self._values

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return np.broadcast_shapes(*(f.shape for f in self.factors)) if self.factors else self.values.shape

    def rearranged(self, function: Callable[[Array], Array]) -> RunArray:
        """The same numbers in other places."""
        return RunArray(function(self.values), self.run)

    def joined(self, parts: Sequence[Any], function: Callable[[list[Array]], Array]) -> RunArray:
        """The numbers of several arrays, of which this is one, in one array."""
        return RunArray(function([self.run.operand(part) for part in parts]), self.run)

    def filled(self, value: float) -> RunArray:
        """An array of this shape with one number everywhere."""
        return RunArray(np.full(self.shape, value), self.run)

    def __setitem__(self, key: Any, value: Any) -> None:
        self.values[key] = self.run.operand(value)

    def __matmul__(self, other: Any) -> Any:
        return self.run.do("matmul", self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return self.run.do("matmul", other, self)

    def __bool__(self) -> bool:
        return bool(self.values)

    def __float__(self) -> float:
        return float(self.values)

    def __ceil__(self) -> int:
        return math.ceil(float(self))

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        if op == "length":
            return terms(attributes["over"], self.values.shape)
        if op in ("sum", "max"):
            return self.run.do(op, self, axis=places(attributes["over"], self.ndim), keepdims=True)
        return self.run.do(op, *args)

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method != "__call__" or kwargs:
            raise TraceError(f"numpy.{ufunc.__name__}.{method} is not an operation of a transform")
        if ufunc is np.isnan:
            return np.isnan(self.values)
        if ufunc is np.power:
            return self._power(*inputs)
        if ufunc in WRITTEN:
            return WRITTEN[ufunc](*inputs)
        return self.run.do(UFUNCS.get(ufunc, ufunc.__name__), *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in MOVES:
            return MOVES[function](*args, **kwargs)
        if function is np.any:
            return bool(np.any(self.values != 0.0))
        if function is top_k:
            return largest_places(args[0].values, *args[1:])
        if function in (surely, surely_less, surely_zero):
            return function(*(values_of(a) if isinstance(a, RunArray) else a for a in args))
        if function in (dropped, unsettled):
            return RunArray(function(self.values, args[1]), self.run)
        if function is np.argsort:  # an order is no array of the run
            return self.run.do("argsort", *args, **kwargs).values
        if function is np.argmin:
            return int(np.argmin(self.values))
        if function is np.einsum:
            return self.run.do("einsum", *args[1:], spec=checked_spec(args[0], args[1:]))
        open_clip = function is np.clip and (kwargs or len(args) < 3 or any(a is None for a in args))
        if open_clip or (function.__name__ not in OPERATIONS and function in WRITTEN):
            return WRITTEN[function](*args, **kwargs)
        if function.__name__ not in OPERATIONS:
            raise TraceError(f"numpy.{function.__name__} is not an operation of a transform")
        return self.run.do(function.__name__, *args, **kwargs)


class RuleOfRun:
    """A rule of numbers whose hyperparameters are numbers of a run, so that operations on them are the run's too.

    Args:
        rule: the rule.
        run: the run.
    """

    def __init__(self, rule: Rule, run: Run) -> None:
        self._rule, self._run = rule, run

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._rule, name)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._run.array(np.asarray(value, self._run.dtype))
        return value.__func__.__get__(self) if inspect.ismethod(value) else value


def values_of(x: Any) -> Array:
    """The numbers of an array of a run, or of any other."""
    return x.values if isinstance(x, RunArray) else np.asarray(x)
