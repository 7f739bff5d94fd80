"""Values through which a body runs while every operation is kept with its operands."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from refgrad.arithmetic import moved_places
from refgrad.arithmetic.left_out import dropped, surely, surely_less, surely_zero, unsettled
from refgrad.arithmetic.operations import UFUNCS
from refgrad.arithmetic.replacing import BY_ELEMENT
from refgrad.arithmetic.shaped import Shaped


@dataclass(frozen=True, eq=False)
class Node:
    """What is known of an array.

    Attributes:
        value: the numbers, which say shapes and decide.
        op: the operation that it came by, or an array's name.
        args: its operands, nodes or Python's own; none of an array that was handed in.
        how: its keywords.
    """

    value: np.ndarray
    op: str
    args: tuple[Any, ...] = ()
    how: Mapping[str, Any] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.value.shape


class Written(Shaped):
    """Stands for an array of which it is known how it was made.

    Args:
        value: the numbers.
        op, args, how: as a `Node` has them.
    """

    __slots__ = ("node",)

    def __init__(self, value: Any, op: str, args: Sequence[Any] = (), how: Mapping[str, Any] | None = None) -> None:
        self.node = Node(np.asarray(value), op, nodes_of(tuple(args)), {n: nodes_of(x) for n, x in (how or {}).items()})

    @property
    def value(self) -> np.ndarray:
        """The numbers."""
        return self.node.value

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        return self.value.shape

    def rearranged(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The same numbers in other places."""
        return type(self)(function(self.value), "moved", (self,))

    def filled(self, value: float) -> Self:
        """An array of this shape with one number everywhere."""
        return type(self)(np.full(self.shape, value), "full", (value,))

    @property
    def T(self) -> Any:  # NumPy's name
        """The transpose."""
        return Written(self.value.T, "T", (self,))

    def reshape(self, *shape: Any) -> Any:
        """As NumPy's."""
        return np.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes: Any) -> Any:
        """As NumPy's."""
        return np.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def astype(self, dtype: Any) -> Any:
        """The array itself; of truth values, numbers."""
        return Written(self.value.astype(dtype), "astype", (self,))

    def gathered(self, sources: np.ndarray, shape: tuple[int, ...], key: Any = None) -> Any:
        """The gradient of numbers that were moved, by an index or an order of axes; None if there is none."""
        found = self._moved_back(sources, shape)
        return self._added(key, shape) if found is None and key is not None else found

    def _added(self, key: Any, shape: tuple[int, ...]) -> Written:
        """The gradient of numbers that were taken by an index, which may take some repeatedly."""
        numbers = np.zeros(shape)
        np.add.at(numbers, values_of(key), self.value)
        return Written(numbers, "added", (self, key, shape))

    def _moved_back(self, sources: np.ndarray, shape: tuple[int, ...]) -> Any:
        """The same by an index of slices or an order of axes, which takes each once; None if there is none."""
        flat = sources.ravel()
        places = np.flatnonzero(flat >= 0)
        order = np.argsort(flat[places], kind="stable")
        if len(places) == math.prod(shape) and np.array_equal(flat[places][order], np.arange(len(places))):
            axes = moved_places.order_of(places[order], self.shape)
            if axes is not None:
                return np.reshape(np.transpose(self, axes), shape)
            key = moved_places.index_of(places[order], self.shape)
            return None if key is None else np.reshape(self[key], shape)
        key = moved_places.index_of(flat, shape) if len(places) == flat.size else None
        if key is None:
            return None
        numbers = np.zeros(shape)
        given: Any = np.reshape(self, np.shape(numbers[key]))  # type: ignore[call-overload]
        numbers[key] = given.value
        return Written(numbers, "placed", (given, key, shape))

    def all(self, *args: Any, **how: Any) -> Any:
        """As NumPy's, of truth values."""
        return self.value.all(*args, **how)

    def any(self, *args: Any, **how: Any) -> Any:
        """As NumPy's, of truth values."""
        return self.value.any(*args, **how)

    def __bool__(self) -> bool:
        return bool(self.value)

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return np.asarray(self.value, dtype)

    def __getitem__(self, key: Any) -> Any:
        return Written(self.value[values_of(key)], "item", (self, key))

    def __setitem__(self, key: Any, value: Any) -> None:
        numbers = self.value.copy()
        numbers[values_of(key)] = values_of(value)
        self.node = Written(numbers, "with_item", (self, key, value)).node

    def __matmul__(self, other: Any) -> Any:
        return _made("matmul", operator.matmul, (self, other), {})

    def __rmatmul__(self, other: Any) -> Any:
        return _made("matmul", operator.matmul, (other, self), {})

    def _power(self, base: Any, exponent: Any) -> Any:
        return _made("power", operator.pow, (base, exponent), {})

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        return _made(op, BY_ELEMENT[op], args, {})

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return _made(UFUNCS.get(ufunc, ufunc.__name__), getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (dropped, unsettled):  # what a reader need not see: zero times infinity is zero here
            return self
        if function in (surely, surely_less, surely_zero):
            return function(*map(values_of, args))
        if function is np.reshape and isinstance(args[0], Written) and args[0].node.op == "reshape":
            return Written(np.reshape(args[0].value, *args[1:], **kwargs), "reshape", (args[0].node.args[0], *args[1:]))
        return _made(function.__name__, function, args, kwargs)


def values_of(given: Any) -> Any:
    """What stands behind values of this kind, wherever they are.

    Args:
        given: a value, or lists and tuples of such; anything else stands for itself.
    """
    if isinstance(given, list | tuple):
        return type(given)(map(values_of, given))
    return given.value if isinstance(given, Written) else given


def nodes_of(given: Any) -> Any:
    """What is known of values of this kind, wherever they are.

    Args:
        given: a value, or lists and tuples of such; anything else stands for itself.
    """
    if isinstance(given, list | tuple):
        return type(given)(map(nodes_of, given))
    return given.node if isinstance(given, Written) else given


def _made(op: str, function: Callable[..., Any], args: Sequence[Any], how: Mapping[str, Any]) -> Any:
    found = function(*map(values_of, args), **{name: values_of(x) for name, x in how.items()})
    return Written(found, op, args, how) if isinstance(found, np.ndarray | np.generic) else found
