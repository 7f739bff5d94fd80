"""Which side of a matrix a projection is of, and the shapes that follow from it."""

from __future__ import annotations

import math


def on_left(shape: tuple[int, ...], side: str) -> bool:
    """True if it is columns that are seen in a basis, of the ``shorter`` or ``longer`` side; of a square, rows or columns."""
    rows, columns = shape
    return rows >= columns if side == "longer" else rows < columns


def projected(p: tuple[int, ...], rank: int, side: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """The shapes of a basis of so many vectors for one side of a parameter, and of the parameter seen in it."""
    rows, columns = p[0], math.prod(p[1:])
    count = min(rank, rows, columns)
    if on_left((rows, columns), side):
        return (rows, count), (count, columns)
    return (columns, count), (rows, count)
