"""Arrays made from Philox words by exact arithmetic alone, so that every machine has the same ones."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

#: each shape that optimizers, estimators and quantizers are run on: empty, no axis, one of odd length, two and three
SHAPES = ((), (0,), (7,), (3, 5), (2, 3, 4))
SPECIAL = (0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan, 2.0**-149, -(2.0**-130), 2.0**-126, 2.0**100, -(2.0**-100))


class Source:
    """Numbers that depend on a text alone."""

    def __init__(self, text: str) -> None:
        self._philox = np.random.Philox(key=zlib.crc32(text.encode()))

    def words(self, shape: tuple[int, ...]) -> np.ndarray:
        """Words of 64 bits."""
        count = int(np.prod(shape))
        return np.asarray(self._philox.random_raw(count), np.uint64).reshape(shape)

    def whole(self, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
        """Whole numbers from ``low`` to ``high``, as int64."""
        return np.asarray(low + (self.words(shape) % np.uint64(high - low + 1)).astype(np.int64))

    def signed(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Ordinary numbers of both signs, of 53 bits before they are rounded to the dtype; some are zero or repeat."""
        parts = (self.words(shape) >> np.uint64(11)).astype(np.float64) * 2.0**-53
        sizes = np.ldexp(1.0 + parts, self.whole(shape, -5, 0).astype(np.int32))
        values = np.where(self.whole(shape, 0, 1) == 1, sizes, -sizes)
        kind = self.whole(shape, 0, 15)
        values = np.where(kind == 0, 0.0, np.where(kind == 1, 0.5, values))
        return np.asarray(values).astype(dtype)

    def positive(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Magnitudes of such numbers, none smaller than an eighth."""
        return (np.abs(self.signed(shape, np.float64)) + 0.125).astype(dtype)

    def between(self, shape: tuple[int, ...], low: float, high: float, dtype: Any) -> np.ndarray:
        """Sixteenths of an interval, without its ends."""
        return np.asarray(low + (high - low) * self.whole(shape, 1, 15) / 16.0).astype(dtype)

    def grid(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Quarters from -2 to 2, zeros of both signs, and now and then NaN: ties, edges and equal magnitudes."""
        quarters = self.whole(shape, -8, 8) / 4.0
        signs = np.where(self.whole(shape, 0, 1) == 1, 1.0, -1.0)
        return np.asarray(np.where(self.whole(shape, 0, 19) == 0, np.nan, quarters * signs)).astype(dtype)

    def wide(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        """Many magnitudes, with subnormals, both zeros, infinities and NaN among them."""
        values = np.ldexp(self.signed(shape, np.float64), self.whole(shape, -140, 100).astype(np.int32))
        special = np.asarray(SPECIAL)[self.whole(shape, 0, len(SPECIAL) - 1)]
        with np.errstate(over="ignore", under="ignore"):
            return np.asarray(np.where(self.whole(shape, 0, 7) == 0, special, values)).astype(dtype)


def midpoints(values: np.ndarray, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """What lies between neighbours among some values, with the largest of them as every eighth number: ties of a rule."""
    known = np.unique(values.astype(np.float64)[np.isfinite(values.astype(np.float64))])
    if known.size < 2:
        return np.zeros(shape, dtype)
    found = np.resize((known[1:] + known[:-1]) / 2, shape)
    found[..., ::8] = known[np.argmax(np.abs(known))]
    return found.astype(dtype)
