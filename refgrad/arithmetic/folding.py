"""Reductions on NumPy arrays with fixed bits: terms are joined along one tree, whose shape depends on their number alone.

Terms are cut into blocks of `BLOCK`; in a block, and then among the blocks, the upper part is joined to the lower part, the
split being the largest power of two below the length, until one is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from refgrad.axes import ELEMENT, Axes
from refgrad.errors import bad_argument

#: terms that one leaf of the tree takes
BLOCK = 1024


class Fold(NamedTuple):
    """How a reduction joins two terms, by the name of an operation and by NumPy's function; and what it gives of no terms."""

    op: str
    join: Callable[[np.ndarray, np.ndarray], np.ndarray]
    nothing: float


def terms(shape: tuple[int, ...], names: Axes) -> int:
    """How many terms a fold joins to each number.

    Args:
        shape: that of what is folded.
        names: as for `rows_of`.

    Raises:
        ArgumentError: there are no rows.
    """
    if names == ELEMENT:
        return math.prod(shape)
    if not shape:
        raise bad_argument("x.ndim", 0, "at least 1 for a reduction over rows or columns")
    return math.prod(shape[1:]) if "j" in names else shape[0]


def rows_of(x: np.ndarray, names: Axes) -> tuple[np.ndarray, tuple[int, ...]]:
    """What is folded, as rows, and the result's shape, which broadcasts against what was folded.

    Args:
        x: an array shaped like a parameter, or one that broadcasts against it.
        names: those of the parameter's axes that are folded: ``i``, ``j`` or both (see `refgrad.axes`).

    Raises:
        ArgumentError: the array has no rows.
    """
    if names == ELEMENT:
        return x.reshape(1, -1), (1,) * x.ndim
    if x.ndim == 0:
        raise bad_argument("x.ndim", 0, "at least 1 for a reduction over rows or columns")
    rows = x.reshape(x.shape[0], math.prod(x.shape[1:]))
    if "j" in names:
        return rows, (x.shape[0], *(1,) * (x.ndim - 1))
    return np.ascontiguousarray(rows.T), (1, *x.shape[1:])


def tree(x: np.ndarray, names: Axes, how: Fold) -> np.ndarray:
    """An array with some of its axes folded, by name."""
    if "j" not in names and x.shape[:1] == (1,):  # columns of one term
        return x
    rows, shape = rows_of(x, names)
    if how.op == "maximum" and rows.size:
        largest = np.maximum.reduce(rows, axis=1)
        known = abs(largest.item()) > 0 if len(largest) == 1 else (np.abs(largest) > 0).all()
        if known:  # in any order, but for zeros of two signs and the payloads of NaN
            return largest.reshape(shape)
    return _tree(rows, how).reshape(shape)


def _tree(rows: np.ndarray, how: Fold) -> np.ndarray:
    count = rows.shape[1]
    if count == 0:
        return np.full(rows.shape[0], how.nothing, rows.dtype)
    if count <= BLOCK:
        return fold(rows, how)
    whole = count - count % BLOCK
    blocks = rows[:, :whole].reshape(-1, BLOCK)
    folded = fold(blocks, how).reshape(rows.shape[0], whole // BLOCK)
    if whole < count:
        folded = np.concatenate([folded, fold(rows[:, whole:], how)[:, None]], axis=1)
    return fold(folded, how)


def fold(rows: np.ndarray, how: Fold) -> np.ndarray:
    """Each row of at least one term folded to one number, the upper part onto the lower."""
    while rows.shape[1] > 1:
        half = 1 << ((rows.shape[1] - 1).bit_length() - 1)
        upper = rows.shape[1] - half
        joined = how.join(rows[:, :upper], rows[:, half:])
        rows = joined if upper == half else np.concatenate([joined, rows[:, upper:half]], axis=1)
    return rows[:, 0]
