"""The smallest arrays on which a mask still fails: fewer rows and columns, and plain numbers in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from refgrad.oracle.engine.shrink import least
from refgrad.oracle.inputs.masks import Arrays


def smallest(arrays: Arrays, fails: Callable[[Arrays], bool], seconds: float = 3.0) -> Arrays:
    """Arrays that fail, no larger than those given: greedy, and within a time."""
    return least(arrays, _smaller, fails, seconds)


def _smaller(arrays: Arrays) -> Iterator[Arrays]:
    shape = arrays["w"].shape
    for axis, length in enumerate(shape):
        parts = [p for p in (2, 3, 4, 8) if length % p == 0 and length > 1]
        for part in sorted(parts, reverse=True):
            for start in range(0, length, length // part):
                yield {n: _cut(a, shape, axis, slice(start, start + length // part)) for n, a in arrays.items()}
    for name, array in arrays.items():
        plain = _plain(array)
        if plain.tobytes() != np.ascontiguousarray(array).tobytes():
            yield {**arrays, name: plain}


def _cut(array: np.ndarray, shape: tuple[int, ...], axis: int, part: slice) -> np.ndarray:
    """Part of an array along an axis of the weights, which it broadcasts to."""
    own = axis - (len(shape) - array.ndim)
    if own < 0 or array.shape[own] == 1 < shape[axis]:
        return array
    return np.ascontiguousarray(array[(slice(None),) * own + (part,)])


def _plain(array: np.ndarray) -> np.ndarray:
    """Magnitudes replaced by 0, 1, 2, ... in the same order; signs, NaN and infinities as they are."""
    finite = np.isfinite(array)
    magnitude = np.abs(np.where(finite, array, 0))
    order = np.unique(np.append(magnitude, magnitude.dtype.type(0)), return_inverse=True)[1][:-1]
    plain = np.copysign(order.reshape(array.shape).astype(array.dtype), array)
    return np.ascontiguousarray(np.where(finite, plain, array).astype(array.dtype))
