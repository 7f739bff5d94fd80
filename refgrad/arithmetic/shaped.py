"""What carriers of arrays of any shape have in common: NumPy's names for a shape, and its functions that only move numbers."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from refgrad.arithmetic.carrier import Carrier
from refgrad.arithmetic.stored_places import stored
from refgrad.arithmetic.subgradients import stop_gradient
from refgrad.errors import TraceError

#: the largest whole exponent of a power
MOST_FACTORS = 64


class Shaped(Carrier):
    """A carrier with NumPy's names for an array's shape, and for its numbers in other places; a subclass says how they move."""

    __slots__ = ()

    dtype = np.dtype(np.float64)  # what choices are turned into

    @property
    def shape(self) -> tuple[int, ...]:
        """The array's shape."""
        raise NotImplementedError

    def rearranged(self, function: Callable[[np.ndarray], np.ndarray]) -> Self:
        """The same numbers in other places."""
        raise NotImplementedError

    def joined(self, parts: Sequence[Any], function: Callable[[list[np.ndarray]], np.ndarray]) -> Self:
        """The numbers of several arrays, of which this is one, in one array."""
        raise NotImplementedError

    def filled(self, value: float) -> Self:
        """An array of this shape with one number everywhere."""
        raise NotImplementedError

    def gathered(self, sources: np.ndarray, shape: tuple[int, ...], key: Any = None) -> Any:
        """The gradient of numbers that were moved, from this one of where they went, in words of its own; None if it has none.

        Args:
            sources: for each number here the place in the array that it was taken from; -1 for a number that is not the array's.
            shape: the array's.
            key: the index by which they were taken; None where it was no index.
        """
        return None

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def T(self) -> Self:  # NumPy's name
        """The transpose."""
        return self.rearranged(np.transpose)

    def reshape(self, *shape: Any) -> Self:
        """As NumPy's."""
        return self.rearranged(lambda a: a.reshape(*shape))

    def transpose(self, *axes: int) -> Self:
        """As NumPy's."""
        return self.rearranged(lambda a: a.transpose(*axes))

    def astype(self, dtype: Any) -> Self:
        """The array itself: which dtypes a program computes in is the policy's to say."""
        return self

    def _power(self, base: Any, exponent: Any) -> Any:
        """Whole exponents as products, halves by the root, and negative ones as divisors."""
        if not isinstance(exponent, int | float | np.number):
            raise TraceError("an exponent is an array; write np.exp(y * np.log(x)) for x**y")
        if exponent in (2, 0.5):
            return super()._power(base, exponent)
        whole, rest = divmod(abs(float(exponent)), 1.0)
        if rest not in (0.0, 0.5) or whole > MOST_FACTORS:
            raise TraceError(
                f"a power has exponent {exponent!r}; legal: whole numbers and halves, or np.exp({exponent!r} * np.log(x))"
            )
        return self.multiplied([base] * int(whole) + ([np.sqrt(base)] if rest else []), bool(exponent < 0))

    def __rpow__(self, base: Any) -> Any:
        return self._power(base, self)

    def multiplied(self, factors: list[Any], inverse: bool) -> Any:
        """The product of some factors, or one over it."""
        if not factors:
            return self.filled(1.0)
        found = functools.reduce(operator.mul, factors)
        return 1.0 / found if inverse else found

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> Self:
        return self.rearranged(lambda a: a[key])


def _method(name: str) -> Callable[..., Any]:
    function = getattr(np, name)

    def method(self: Shaped, *args: Any, **kwargs: Any) -> Any:
        return function(self, *args, **kwargs)

    method.__name__, method.__doc__ = name, f"As `numpy.{name}`."
    return method


for _name in (
    "sum",
    "mean",
    "max",
    "min",
    "var",
    "std",
    "cumsum",
    "swapaxes",
    "squeeze",
    "ravel",
    "repeat",
    "dot",
    "clip",
):
    setattr(Shaped, _name, _method(_name))


def axes_of(x: Any, axis: Any) -> tuple[int, ...]:
    """The numbers of the axes that a function of NumPy's takes, none of them negative.

    Args:
        x: an array, or a carrier.
        axis: what the function was called with: None for all, a number, or several.
    """
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(int(a) % x.ndim for a in ((axis,) if isinstance(axis, int | np.integer) else axis))


def counted(x: Any, axis: Any) -> int:
    """How many numbers are folded to one along the axes that a function of NumPy's takes."""
    return math.prod(x.shape[a] for a in axes_of(x, axis))


def mean(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """As `numpy.mean`, of whatever stands for an array: the sum over the count."""
    return np.sum(x, axis=axis, keepdims=keepdims) / (counted(x, axis) * 1.0)


def variance(x: Any, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """As `numpy.var`, in two passes."""
    centred = x - mean(x, axis, True)
    return np.sum(centred * centred, axis=axis, keepdims=keepdims) / ((counted(x, axis) - ddof) * 1.0)


def _moved(function: Callable[..., np.ndarray]) -> Callable[..., Any]:
    return lambda x, *args, **kwargs: x.rearranged(lambda a: function(a, *args, **kwargs))


def _joined(function: Callable[..., np.ndarray]) -> Callable[..., Any]:
    def join(parts: Sequence[Any], *args: Any, **kwargs: Any) -> Any:
        like = next(part for part in parts if isinstance(part, Shaped))
        return like.joined(parts, lambda arrays: function(arrays, *args, **kwargs))

    return join


def _split(x: Any, where: Any, axis: int = 0) -> list[Any]:
    places = np.split(np.arange(x.shape[axis]), where)
    return [np.take(x, part, axis=axis) for part in places]


#: NumPy's functions that move numbers, or make arrays of one
MOVES: Mapping[Any, Callable[..., Any]] = {
    **{
        function: _moved(function)
        for function in (
            np.broadcast_to,
            np.diagonal,
            np.expand_dims,
            np.flip,
            np.lib.stride_tricks.sliding_window_view,
            np.moveaxis,
            np.pad,
            np.ravel,
            np.repeat,
            np.reshape,
            np.roll,
            np.squeeze,
            np.swapaxes,
            np.take,
            np.tile,
            np.transpose,
            np.tril,
            np.triu,
        )
    },
    **{function: _joined(function) for function in (np.concatenate, np.hstack, np.stack, np.vstack)},
    np.split: _split,
    np.copy: lambda x: x.rearranged(np.copy),
    stop_gradient: lambda x: x,
    stored: lambda x, place: x,
    np.empty_like: lambda x: x.filled(0.0),
    np.zeros_like: lambda x: x.filled(0.0),
    np.ones_like: lambda x: x.filled(1.0),
    np.full_like: lambda x, value: x.filled(value),
    np.ndim: lambda x: x.ndim,
    np.shape: lambda x: x.shape,
    np.size: lambda x, axis=None: counted(x, axis),
}


def _norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:  # NumPy's name
    if ord not in (None, 2) or (ord == 2 and axis is None and x.ndim > 1):
        raise TraceError(f"numpy.linalg.norm is called with ord={ord!r}; legal: the root of a sum of squares")
    return np.sqrt(np.sum(x * x, axis=axis, keepdims=keepdims))


def _clip(x: Any, a_min: Any = None, a_max: Any = None, *, min: Any = None, max: Any = None) -> Any:  # NumPy's names
    low, high = a_min if min is None else min, a_max if max is None else max
    raised = x if low is None else np.maximum(x, low)
    return raised if high is None else np.minimum(raised, high)


def _selected(conditions: Sequence[Any], choices: Sequence[Any], default: Any = 0.0) -> Any:
    """As `numpy.select`: the first choice whose condition holds."""
    found = default
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        found = np.where(condition, choice, found)
    return found


#: functions that are written by others
WRITTEN: Mapping[Any, Callable[..., Any]] = {
    np.clip: _clip,
    np.select: _selected,
    np.reciprocal: lambda x: 1.0 / x,
    np.outer: lambda a, b: a.reshape(-1, 1) * b.reshape(1, -1),
    np.std: lambda x, *args, **kwargs: np.sqrt(np.var(x, *args, **kwargs)),
    np.linalg.norm: _norm,
    np.dot: lambda a, b: a @ b,
    np.logaddexp: lambda a, b: np.maximum(a, b) + np.log1p(np.exp(-np.abs(a - b))),
}


def checked_spec(spec: str, operands: Sequence[Any]) -> str:
    """What `numpy.einsum` is called with, in the form that says its result.

    Args:
        spec: letters for the axes of each operand, such as ``"id,jd->ij"``.
        operands: as many as it names, for errors alone.

    Raises:
        TraceError: it names other operands, has an ellipsis, or says no result.
    """
    taken, arrow, given = spec.replace(" ", "").partition("->")
    if not arrow or "." in spec or len(taken.split(",")) != len(operands):
        legal = f"letters for {len(operands)} operands and the result, such as 'id,jd->ij'"
        raise TraceError(f"numpy.einsum is called with {spec!r}; legal: {legal}")
    return f"{taken}->{given}"
