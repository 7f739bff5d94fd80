"""Which side of a matrix a projection is of, and the shapes that follow from it."""

from __future__ import annotations

import math


def on_left(shape: tuple[int, ...], side: str) -> bool:
    """Whether it is columns that are seen in a basis, of the ``shorter`` or the ``longer`` side; of a square, rows or columns."""
    rows, columns = shape
    return rows >= columns if side == "longer" else rows < columns


def projected(p: tuple[int, ...], rank: int, side: str) -> dict[str, tuple[int, int]]:
    """The shapes of a basis of so many vectors for one side of a parameter, and of the parameter seen in it."""
    rows, columns = p[0], math.prod(p[1:])
    count = min(rank, rows, columns)
    if on_left((rows, columns), side):
        return {"thin": (rows, count), "low": (count, columns)}
    return {"thin": (columns, count), "low": (rows, count)}
