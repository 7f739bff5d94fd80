"""Smaller arrays and simpler numbers, for the smallest input that still fails."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def parts(shape: tuple[int, ...], index: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Where smaller parts of an array stand: the element at an index, if it has one, then halves along each axis.

    >>> list(parts((2,), (1,)))
    [(slice(1, 2, None),), (slice(0, 1, None),), (slice(1, 2, None),)]
    """
    if len(index) == len(shape) and all(i < n for i, n in zip(index, shape, strict=True)):
        yield tuple(slice(i, i + 1) for i in index)
    for axis, length in enumerate(shape):
        if length > 1:
            for cut in (slice(0, length // 2), slice(length // 2, length)):
                yield (slice(None),) * axis + (cut,)


def halves(length: int) -> Iterator[slice]:
    """Where the halves of an axis stand, and then all of it but one.

    >>> list(halves(3))
    [slice(0, 1, None), slice(1, 3, None), slice(0, 2, None), slice(1, 3, None)]
    """
    if length > 1:
        half = length // 2
        yield from (slice(0, half), slice(half, length), slice(0, length - 1), slice(1, length))


def simpler(array: np.ndarray) -> Iterator[np.ndarray]:
    """An array of one number as 0, 1 or -1, or with its mantissa cut to 1, 2, 4 or 8 bits; only what is simpler than it is."""
    value = float(array.reshape(-1)[0])
    if value in (0.0, 1.0) or not np.isfinite(value):
        return
    if array.dtype.kind == "u":
        yield from (np.full(array.shape, n, array.dtype) for n in (0, 1))
        return
    mantissa, exponent = np.frexp(value)
    shorter = [float(np.ldexp(np.rint(mantissa * 2.0**bits) / 2.0**bits, exponent)) for bits in (1, 2, 4, 8)]
    for candidate in [0.0, 1.0, *([-1.0] if value < 0 else []), *shorter]:
        if candidate == value:
            return
        yield np.full(array.shape, candidate).astype(array.dtype)


def ranked(array: np.ndarray) -> np.ndarray:
    """Magnitudes replaced by 0, 1, 2, ... in the same order; signs, NaN and infinities as they are."""
    finite = np.isfinite(array)
    magnitude = np.abs(np.where(finite, array, 0))
    order = np.unique(np.append(magnitude, magnitude.dtype.type(0)), return_inverse=True)[1][:-1]
    plain = np.copysign(order.reshape(array.shape).astype(array.dtype), array)
    return np.asarray(np.where(finite, plain, array), array.dtype, order="C")


def stretches(length: int) -> Iterator[slice]:
    """Where smaller parts of an axis stand whose length divides it: eighths first, then quarters, thirds and halves."""
    for count in (8, 4, 3, 2):
        if length % count == 0 and length > 1:
            yield from (slice(start, start + length // count) for start in range(0, length, length // count))
