"""What every array-like value does that is not a NumPy array: it meets NumPy's protocols and applies named operations.

A tracer, an exact number and a value with an error bound differ only in what ``_apply`` does with an operation's name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refgrad.errors import TraceError

#: NumPy's functions that a rule may call on arrays -> operation names
UFUNCS: Mapping[np.ufunc, str] = {
    np.add: "add",
    np.subtract: "sub",
    np.multiply: "mul",
    np.true_divide: "div",
    np.negative: "neg",
    np.absolute: "abs",
    np.fabs: "abs",
    np.sqrt: "sqrt",
    np.square: "square",
    np.sign: "sign",
    np.rint: "rint",
    np.floor: "floor",
    np.ceil: "ceil",
    np.maximum: "maximum",
    np.minimum: "minimum",
    np.less: "lt",
    np.less_equal: "le",
    np.greater: "gt",
    np.greater_equal: "ge",
    np.equal: "eq",
    np.not_equal: "ne",
    np.logical_and: "and",
    np.logical_or: "or",
    np.logical_not: "not",
    np.bitwise_and: "and",
    np.bitwise_or: "or",
    np.invert: "not",
}


class Carrier:
    """Base of the values that a rule may be handed in place of arrays."""

    __slots__ = ()
    __hash__ = None  # type: ignore[assignment]  # == builds an operation

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        raise NotImplementedError

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
        hint = "; use refgrad.arithmetic.primitives for reductions" if function in (np.sum, np.max, np.mean) else ""
        raise TraceError(
            f"numpy.{function.__name__} is not an operation of a rule{hint}; known: where, clip, {_known()}"
        )

    def _power(self, base: Any, exponent: Any) -> Any:
        if exponent == 2:
            return self._apply("square", base)
        if exponent == 0.5:
            return self._apply("sqrt", base)
        raise TraceError(
            f"a power of an array has exponent {exponent!r}; legal: 2 and 0.5, or refgrad.arithmetic.primitives.power"
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


for _name in ("add", "sub", "mul", "truediv", "and", "or"):
    _forward, _reflected = _binary({"truediv": "div"}.get(_name, _name))
    setattr(Carrier, f"__{_name}__", _forward)
    setattr(Carrier, f"__r{_name}__", _reflected)
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Carrier, f"__{_name}__", _binary(_name)[0])
