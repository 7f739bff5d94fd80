"""Systems of few unknowns, step by step in NumPy's words: what `numpy.linalg` gives, with the same bits everywhere.

Bodies on arrays of fixed bits, and on tapes, solve by these. Of more unknowns than `MOST` the library is asked.
"""

from __future__ import annotations

from typing import Any

import numpy as np

#: unknowns up to which the steps are refgrad's own
MOST = 64


def solved(a: Any, b: Any) -> tuple[Any, list[Any]]:
    """The solution of a system, by elimination with exchanges of rows.

    Args:
        a: square matrices, stacked along leading axes, or what stands for them.
        b: right sides: a vector, or matrices of columns.

    Returns:
        As `numpy.linalg.solve`, and the pivots, of which a singular matrix has one that is zero.

    >>> x, _ = solved(np.array([[0.0, 2.0], [4.0, 0.0]]), np.array([2.0, 4.0]))
    >>> x.tolist()
    [1.0, 1.0]
    """
    vector, n = b.ndim == 1, a.shape[-1]
    columns = b[:, None] if vector else b
    stacked = np.broadcast_shapes(a.shape[:-2], columns.shape[:-2])
    parts = [np.broadcast_to(x, (*stacked, *x.shape[-2:])) for x in (a, columns)]
    rest, rows = np.concatenate(parts, axis=-1), []
    for left in range(n, 0, -1):
        best, places = np.argmax(np.abs(rest[..., 0]), axis=-1)[..., None], np.arange(left)
        order = np.where(places == 0, best, np.where(places == best, 0 * best, places + 0 * best))
        rest = np.take_along_axis(rest, order[..., None], axis=-2)
        first = rest[..., :1, :]
        rows.append(first[..., 0, :])
        factors = rest[..., 1:, :1] / first[..., :1]
        rest = rest[..., 1:, 1:] - factors * first[..., 1:]
    found: list[Any] = []
    for row in reversed(rows):
        value = row[..., len(found) + 1 :]
        if found:
            known = np.stack(found[::-1], axis=-2)
            value = value - np.sum(row[..., 1 : len(found) + 1, None] * known, axis=-2)
        found.append(value / row[..., :1])
    x = np.stack(found[::-1], axis=-2)
    return (x[..., 0] if vector else x), [row[..., 0] for row in rows]


def factor(a: Any) -> tuple[Any, list[Any]]:
    """The lower factor of symmetric positive definite matrices, column by column.

    Args:
        a: square matrices, stacked along leading axes, or what stands for them; of which the lower half is read.

    Returns:
        As `numpy.linalg.cholesky`, and the numbers under the roots, which are not all positive where a matrix is not definite.

    >>> factor(np.array([[4.0, 2.0], [2.0, 5.0]]))[0].tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    columns, under = list[Any](), []
    for j in range(a.shape[-1]):
        column = a[..., j:, j]
        if columns:
            before = np.stack([c[..., j:] for c in columns], axis=-1)
            column = column - np.sum(before * before[..., :1, :], axis=-1)
        under.append(column[..., 0])
        below = column / np.sqrt(column[..., :1])
        above = np.zeros_like(a[..., :j, j])
        columns.append(np.concatenate([above, below], axis=-1))
    return np.stack(columns, axis=-1), under
