"""Sums of products over shared axes, as products of stacked matrices: what `numpy.einsum` says, on whatever stands for arrays.

A program may add the terms of one sum in any order. Here they are in that of the axes' letters where they first stand, so that
the sum of an element is that of one row of a matrix with one column of another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic.shaped import checked_spec


def contracted(spec: str, *operands: Any) -> Any:
    """As `numpy.einsum`, by products of two arrays at a time and by sums.

    Args:
        spec: letters for the axes of each operand and of the result.
        operands: arrays, or what stands for them; an operand has no letter twice.

    Raises:
        TraceError: the text names other operands, has an ellipsis, or says no result.

    >>> a, b = np.arange(6.0).reshape(2, 3), np.arange(12.0).reshape(3, 4)
    >>> np.array_equal(contracted("ij,jk->ki", a, b), (a @ b).T)
    True
    """
    taken, _, given = checked_spec(spec, operands).partition("->")
    (letters, found), *rest = zip(taken.split(","), operands, strict=True)
    for place, (other, array) in enumerate(rest, 1):
        later = set(given).union(*taken.split(",")[place + 1 :])
        letters, found = _pair(letters, found, other, array, later)
    return _ordered(*_summed(letters, found, set(given)), given)


def repeats(spec: str) -> bool:
    """True if an operand, or the result, has a letter twice."""
    return any(len(set(part)) < len(part) for part in spec.replace("->", ",").replace(" ", "").split(","))


def _summed(letters: str, array: Any, kept: set[str]) -> tuple[str, Any]:
    """An array without the axes that nothing else has."""
    gone = tuple(i for i, letter in enumerate(letters) if letter not in kept)
    if not gone:
        return letters, array
    return "".join(a for a in letters if a in kept), np.sum(array, axis=gone)


def _ordered(letters: str, array: Any, order: Sequence[str]) -> Any:
    """An array with its axes in an order."""
    axes = tuple(letters.index(a) for a in order)
    return array if axes == tuple(range(len(axes))) else np.transpose(array, axes)


def _pair(one: str, a: Any, other: str, b: Any, later: set[str]) -> tuple[str, Any]:
    """The products of two arrays, added up over the axes that only they have."""
    one, a = _summed(one, a, later | set(other))
    other, b = _summed(other, b, later | set(one))
    shared = [letter for letter in one if letter in other]
    batch, inner = [x for x in shared if x in later], [x for x in shared if x not in later]
    rows, columns = [x for x in one if x not in other], [x for x in other if x not in one]
    left, right = _ordered(one, a, [*batch, *rows, *inner]), _ordered(other, b, [*batch, *inner, *columns])
    sizes = dict(zip((*one, *other), (*np.shape(a), *np.shape(b)), strict=True))
    count = {name: int(np.prod([sizes[x] for x in part])) for name, part in (("m", rows), ("k", inner), ("n", columns))}
    stacked = tuple(sizes[x] for x in batch)
    found = np.reshape(left, (*stacked, count["m"], count["k"])) @ np.reshape(right, (*stacked, count["k"], count["n"]))
    letters = [*batch, *rows, *columns]
    return "".join(letters), np.reshape(found, tuple(sizes[x] for x in letters))
