"""Places of many floats among ascending thresholds: by the upper bits of each float, then by a few comparisons."""

from __future__ import annotations

import sys

import numpy as np

#: floats from which on a search by bits is made, whose table takes milliseconds
MANY = 1 << 13
#: comparisons that a search takes at most, for which a search by halves would take longer
MOST_STEPS = 6


class Search:
    """How many of ascending thresholds lie below each float: `numpy.searchsorted` with ``side="left"``.

    The upper 16 bits of a float, its sign, its exponent and the first bits of its significand, say between which two floats it
    is; how many thresholds are below the lesser of these is in a table, and the others are compared with.

    Args:
        thresholds: ascending, none of them NaN, of the floats' own dtype: float32 or float64.

    >>> Search(np.asarray([-1.0, 0.5]))(np.asarray([-1.0, 0.0, 0.5, 0.75])).tolist()
    [0, 1, 1, 2]
    """

    def __init__(self, thresholds: np.ndarray) -> None:
        self.thresholds = thresholds
        self._padded = np.append(thresholds, thresholds.dtype.type(np.inf))
        self._least: np.ndarray | None = None
        self._steps = 0

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """The places, of NaN any.

        Args:
            x: floats of any shape.

        Returns:
            Whole numbers of the same shape.
        """
        if x.size < MANY or x.dtype != self.thresholds.dtype or not x.dtype.isnative or sys.byteorder != "little":
            return np.asarray(np.searchsorted(self.thresholds, x, side="left"))
        if self._least is None:
            self._least, self._steps = self._table()
        if self._steps > MOST_STEPS:
            return np.asarray(np.searchsorted(self.thresholds, x, side="left"))
        flat = np.ascontiguousarray(x).reshape(-1)
        words = flat.dtype.itemsize // 2
        place = self._least.take(flat.view(np.uint16)[words - 1 :: words])
        for _ in range(self._steps):
            place += flat > self._padded.take(place)
        return place.reshape(x.shape)

    def _table(self) -> tuple[np.ndarray, int]:
        """For each 16 upper bits how many thresholds are below the least float that has them; and how many more at most."""
        kind = self.thresholds.dtype
        shift = 8 * kind.itemsize - 16
        bits = np.arange(1 << 16, dtype=np.uint64) << np.uint64(shift)
        last = bits | np.uint64((1 << shift) - 1)
        one, other = (np.asarray(b, f"u{kind.itemsize}").view(kind) for b in (bits, last))
        endless = np.copysign(kind.type(np.inf), one)
        one, other = (np.where(np.isnan(each), endless, each) for each in (one, other))
        least, most = (
            np.searchsorted(self.thresholds, end(one, other), side="left") for end in (np.minimum, np.maximum)
        )
        return least, int((most - least).max())
