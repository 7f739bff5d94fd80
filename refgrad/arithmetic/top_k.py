"""From scores to a mask: integer work with a stated rule for ties and for NaN, so that nothing is left to a sort.

Scores are turned into integers of the same order (`keys`); the largest of each row are kept (`top_k`).
"""

from __future__ import annotations

from typing import Annotated

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
