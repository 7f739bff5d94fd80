"""Reductions on NumPy arrays with fixed bits: terms are joined along one tree, whose shape depends on their number alone.

Terms are cut into blocks of `BLOCK`; in a block, and then among the blocks, the upper part is joined to the lower part, the
split being the largest power of two below the length, until one is left.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from refgrad.errors import bad_argument

#: terms that one leaf of the tree takes
BLOCK = 1024


class Fold(NamedTuple):
    """How a reduction joins two terms, by the name of an operation and by NumPy's function; and what it gives of no terms."""

    op: str
    join: Callable[[np.ndarray, np.ndarray], np.ndarray]
    nothing: float


def reduced_shape(shape: tuple[int, ...], over: str | None) -> tuple[int, ...]:
    """The shape of a reduction's result, which broadcasts against what was reduced."""
    if over == "tensor":
        return (1,) * len(shape)
    return (shape[0], *(1,) * len(shape[1:])) if over == "row" else (1, *shape[1:])


def reduced_axes(over: str, ndim: int, batch: int = 0) -> tuple[int, ...]:
    """The axes that a reduction over the tensor, each row or each column folds.

    Args:
        over: "tensor", "row" or "column".
        ndim: the number of axes of what is reduced.
        batch: how many of them, in front, tensors are stacked along.
    """
    every = tuple(range(batch, ndim))
    return {"tensor": every, "row": every[1:], "column": every[:1]}[over]


def rows_of(x: np.ndarray, over: str) -> tuple[np.ndarray, tuple[int, ...]]:
    """What is reduced, as rows, and the result's shape.

    Raises:
        ArgumentError: there is no such reduction, or the array has no rows.
    """
    if over == "tensor":
        return x.reshape(1, -1), (1,) * x.ndim
    if over not in ("row", "column"):
        raise bad_argument("over", over, "'tensor', 'row' or 'column'")
    if x.ndim == 0:
        raise bad_argument("x.ndim", 0, "at least 1 for a reduction over rows or columns")
    rows = x.reshape(x.shape[0], math.prod(x.shape[1:]))
    return rows if over == "row" else np.ascontiguousarray(rows.T), reduced_shape(x.shape, over)


def tree(x: np.ndarray, over: str, how: Fold) -> np.ndarray:
    """An array reduced over the tensor, each row or each column."""
    rows, shape = rows_of(x, over)
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
        rows = np.concatenate([how.join(rows[:, :upper], rows[:, half:]), rows[:, upper:half]], axis=1)
    return rows[:, 0]
