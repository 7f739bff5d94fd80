"""What every array-like value does that is not a NumPy array: it meets NumPy's protocols and applies named operations.

A tracer, an exact number and a value with an error bound differ only in what ``_apply`` does with an operation's name.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.arithmetic.operations import OPERATIONS, UFUNCS
from refgrad.arithmetic.operations.op import Value
from refgrad.errors import TraceError

#: what a rule writes for what has no fixed bits in NumPy, or would look at an array's values
REDUCED = {
    "sum": "; write tree_sum(x), or tree_sum(x, 'row'), of refgrad.arithmetic.primitives",
    "max": "; write tree_max(x), or tree_max(x, 'row'), of refgrad.arithmetic.primitives",
    "mean": "; write tree_sum(x, 'row') / length(x, 'row'), of refgrad.arithmetic.primitives",
    "norm": "; write numpy.sqrt(tree_sum(x * x)), or tree_sum(x * x, 'row'), of refgrad.arithmetic.primitives",
    "all": "; a rule does not branch on an array's values: write numpy.where",
    "any": "; a rule does not branch on an array's values: write numpy.where",
}


class Carrier(Value):
    """Base of the values that a rule may be handed in place of arrays."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # == builds an operation

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if ufunc is np.power and method == "__call__":
            return self._power(*inputs)
        if method != "__call__" or kwargs or ufunc not in UFUNCS:
            raise TraceError(f"numpy.{ufunc.__name__}.{method} is not an operation of a rule; known: {_known()}")
        return self._apply(UFUNCS[ufunc], *inputs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.where and len(args) == 3 and not kwargs:
            return self._apply("where", *args)
        if function is np.clip and len(args) == 3 and not kwargs:
            return self._apply("minimum", self._apply("maximum", args[0], args[1]), args[2])
        hint = REDUCED.get(function.__name__, "")
        raise TraceError(
            f"numpy.{function.__name__} is not an operation of a rule{hint}; known: where, clip, {_known()}"
        )

    def _power(self, base: Any, exponent: Any) -> Any:
        if exponent == 2:
            return self._apply("square", base)
        if exponent == 0.5:
            return self._apply("sqrt", base)
        raise TraceError(
            f"a power of an array has exponent {exponent!r}; legal: 2 and 0.5, or refgrad.arithmetic.operations.functions.power"
        )

    def __bool__(self) -> bool:
        raise TraceError("a branch depends on an array's values; use numpy.where")

    def __neg__(self) -> Any:
        return self._apply("neg", self)

    def __abs__(self) -> Any:
        return self._apply("abs", self)

    def __invert__(self) -> Any:
        return self._apply("not", self)

    def __pow__(self, exponent: Any) -> Any:
        return self._power(self, exponent)


def _known() -> str:
    return ", ".join(sorted({u.__name__ for u in UFUNCS}))


def _binary(op: str) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def forward(self: Carrier, other: Any) -> Any:
        return self._apply(op, self, other)

    def reflected(self: Carrier, other: Any) -> Any:
        return self._apply(op, other, self)

    return forward, reflected


for _op in OPERATIONS.values():
    if _op.operator:
        _forward, _reflected = _binary(_op.name)
        setattr(Carrier, f"__{_op.operator}__", _forward)
        if not _op.boolean or _op.operator in ("and", "or"):  # a comparison is reflected by Python itself
            setattr(Carrier, f"__r{_op.operator}__", _reflected)
