"""From scores to a mask: integer work with a stated rule for ties and for NaN, so that nothing is left to a sort.

Scores are turned into integers of the same order (`keys`); the largest of each row are kept (`top_k`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.arrays import as_array
from refgrad.rule import Choice, by

Ties = Annotated[
    str,
    Choice(
        low="of equal scores those with lower indices are kept (a stable descending sort)",
        high=by(
            "of equal scores those with higher indices are kept (the end of a stable ascending sort)",
            "wanda: of Wanda, unstructured",
        ),
        keep_all="every entry equal to the smallest score that is kept is kept too (a comparison by >=)",
        prune_all="every entry equal to the largest score that is pruned is pruned too (a comparison by >)",
    ),
]

#: `Ties` where counts must stand
Order = Annotated[
    str,
    Choice(
        low="of equal scores those with lower indices are kept",
        high="of equal scores those with higher indices are kept",
    ),
]

NanRank = Annotated[
    str,
    Choice(
        largest=by("NaN ranks above infinity, so that it is kept", "NumPy: sorts", "torch: sorts", "JAX: sorts"),
        smallest="NaN ranks below every number, so that it is pruned",
    ),
]


def keys(scores: np.ndarray, nan: str = "largest") -> np.ndarray:
    """Integers in the order of the scores, equal where these are equal: both zeros are one key, and so is every NaN.

    Args:
        scores: an array of any float dtype; formats of ml_dtypes included.
        nan: a member of `NanRank`.

    Returns:
        Signed integers as wide as the scores.
    """
    scores = as_array(scores, "scores")  # whose bits are read
    kind = np.dtype(f"i{scores.dtype.itemsize}")
    facts = np.iinfo(kind)
    bits = np.ascontiguousarray(scores).reshape(scores.shape).view(kind)
    magnitude = bits & kind.type(facts.max)
    ordered = np.where(bits < 0, -magnitude, magnitude)
    with np.errstate(invalid="ignore"):  # ml_dtypes minds signaling NaN
        unordered = np.isnan(scores)
    return np.where(unordered, kind.type(facts.max if nan == "largest" else facts.min), ordered)


def top_k(ranked: np.ndarray, k: int, ties: str = "low", prefer: np.ndarray | None = None) -> np.ndarray:
    """The ``k`` largest keys of each row.

    Args:
        ranked: keys, (rows, length).
        k: how many are kept a row; no more than the length, and no fewer than none.
        ties: a member of `Ties`.
        prefer: which go first among equal keys, shaped like the keys: true before false, or larger numbers first; `ties`
            decides among these.

    Returns:
        A boolean array like the keys. Each row has ``k`` entries kept, more under "keep_all" and fewer under "prune_all" where
        equal keys straddle the cut.
    """
    length = ranked.shape[1]
    k = min(max(k, 0), length)
    if k in (0, length) or not ranked.size:
        return np.full(ranked.shape, k > 0)
    if ties == "prune_all":
        return ranked > np.partition(ranked, length - k - 1, axis=1)[:, length - k - 1, None]
    threshold = np.partition(ranked, length - k, axis=1)[:, length - k, None]
    if ties == "keep_all":
        return ranked >= threshold
    above, tied = ranked > threshold, ranked == threshold
    left = k - np.count_nonzero(above, axis=1)[:, None]
    return above | _first(tied, left, ties, prefer)


def _first(tied: np.ndarray, left: np.ndarray, ties: str, prefer: np.ndarray | None) -> np.ndarray:
    """As many tied entries of each row as are left, in the order of the tie rule, those preferred ahead of all others."""
    if ties == "high":
        flipped = None if prefer is None else prefer[:, ::-1]
        return _first(tied[:, ::-1], left, "low", flipped)[:, ::-1]
    if prefer is None:
        return tied & (np.cumsum(tied, axis=1) <= left)
    chosen, before = np.zeros_like(tied), np.zeros_like(left)
    for level in np.unique(prefer)[::-1]:
        here = tied & (prefer == level)
        place = before + np.cumsum(here, axis=1)
        chosen |= here & (place <= left)
        before = place[:, -1:]
    return chosen


@dataclass(frozen=True)
class TopK:
    """Which of each row's numbers are its ``k`` largest: true or false, by a rule for ties and one for NaN.

    Args:
        k: how many are kept a row.
        ties: a member of `Ties`.
        nan: a member of `NanRank`.

    >>> TopK(2, "low")(np.float32([[1, 3, 3, 3], [0, -0.0, np.nan, -1]])).astype(int).tolist()
    [[0, 1, 1, 0], [1, 0, 1, 0]]
    """

    k: int
    ties: str = "low"
    nan: str = "largest"

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Which numbers of an array are selected.

        Args:
            x: an array of any float dtype, whose rows are ``x[i, ...]``.

        Returns:
            Booleans of its shape.
        """
        rows = x.reshape(_rows(x.shape))
        return top_k(keys(rows, self.nan), self.k, self.ties).reshape(x.shape)

    def exactly(self, terms: Sequence[Any]) -> list[bool]:
        """Of the numbers of one row, in exact arithmetic: by how many go ahead of each.

        Args:
            terms: numbers that can be compared; what is not equal to itself is NaN.

        Returns:
            Whether each of them is selected.
        """
        unknown = 1 if self.nan == "largest" else -1
        ranked = [(unknown, 0) if x != x else (0, x) for x in terms]
        return [self._ahead(ranked, i) < self.k for i in range(len(ranked))]

    def _ahead(self, ranked: Sequence[Any], i: int) -> int:
        own, others = ranked[i], [(j, x) for j, x in enumerate(ranked) if j != i]
        larger = sum(x > own for _, x in others)
        tied = {
            "low": lambda j: j < i,
            "high": lambda j: j > i,
            "keep_all": lambda j: False,
            "prune_all": lambda j: True,
        }[self.ties]
        return larger + sum(x == own and tied(j) for j, x in others)

    def ends(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Which are kept at worst and at best, where each number lies between two ends.

        A number is kept the sooner the larger it is and the smaller all others are.

        Args:
            low: the least that each may be.
            high: the largest.

        Returns:
            Booleans of what is kept however the numbers lie, and of what may be kept.
        """
        shape, places = low.shape, np.arange(_rows(low.shape)[1])
        bounds = [keys(np.asarray(each, np.float64).reshape(_rows(shape)), self.nan) for each in (low, high)]
        found = []
        for own, others in (bounds, bounds[::-1]):
            kept = np.empty(own.shape, bool)
            for i in places:
                tied = {"low": places < i, "high": places > i, "keep_all": places < 0, "prune_all": places != i}[
                    self.ties
                ]
                ahead = (others > own[:, i, None]) | ((others == own[:, i, None]) & tied)
                ahead[:, i] = False
                kept[:, i] = np.count_nonzero(ahead, axis=1) < self.k
            found.append(kept.reshape(shape))
        return found[0], found[1]


def _rows(shape: tuple[int, ...]) -> tuple[int, int]:
    """The numbers of rows, and of what each has: all axes but the first."""
    return (shape[0], int(np.prod(shape[1:]))) if shape else (1, 1)
