"""Places that numbers were moved to, as an index of slices; and arrays of constants, by the function that makes them.

A gradient moves numbers back by tables of places. A reader is shown the slices or the order of axes that say the same.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

#: an index of whole numbers and slices, one an axis
Key = tuple[int | slice, ...]
#: axes up to which orders of them are tried
MOST_AXES = 5


def index_of(places: np.ndarray, shape: tuple[int, ...]) -> Key | None:
    """An index of whole numbers and slices that takes some places, in their order.

    Args:
        places: where the numbers stand in a flat array.
        shape: that array's shape.

    Returns:
        The index, with an end for every slice that has one; None if there is none.

    >>> index_of(np.array([1, 3, 5]), (3, 2))
    (slice(0, 3, 1), 1)
    >>> index_of(np.array([0, 2]), (4,))  # the end is the array's, not one after what is taken last
    (slice(0, 4, 2),)
    """
    flat = places.ravel()
    if not flat.size or not shape:
        return None
    key = tuple(map(_along, np.unravel_index(flat, shape), shape))
    taken = np.arange(math.prod(shape)).reshape(shape)[key]
    return key if np.array_equal(np.ravel(taken), flat) else None


def order_of(places: np.ndarray, shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """The order of axes in which all numbers of an array stand in some places; None if there is none.

    Args:
        places: where the numbers stand in a flat array.
        shape: that array's shape.

    >>> order_of(np.array([0, 2, 1, 3]), (2, 2))
    (1, 0)
    """
    if places.size != math.prod(shape) or len(shape) > MOST_AXES:
        return None
    numbers = np.arange(places.size).reshape(shape)
    orders = itertools.permutations(range(len(shape)))
    return next((o for o in orders if np.array_equal(numbers.transpose(o).ravel(), places.ravel())), None)


def _along(coordinates: np.ndarray, length: int) -> int | slice:
    """The slice along an axis of a length that has some coordinates, in the order in which they first occur."""
    found = list(dict.fromkeys(coordinates.tolist()))
    if len(found) == 1:
        return int(found[0])
    first, last, step = found[0], found[-1], found[1] - found[0]
    if step > 0:
        return slice(first, length if last + step >= length else last + 1, step)
    return slice(first, last - 1 if last else None, step)


class Made(NamedTuple):
    """A function that makes an array of a shape.

    Attributes:
        text: what is written, with a place for each length, and for all of them.
        array: the array of a shape.
    """

    text: str
    array: Callable[[tuple[int, ...]], np.ndarray]


def makers(array: np.ndarray) -> Iterator[Made]:
    """What may have made an array of constants, the simplest first.

    Args:
        array: the array.

    >>> [made.text for made in makers(np.tri(3)) if np.array_equal(made.array((3, 3)), np.tri(3))]
    ['np.tri({0}, {1})']
    """
    kind = ", dtype=bool" if array.dtype.kind == "b" else ", dtype=int" if array.dtype.kind in "iu" else ""
    first = array.flat[0].item()
    yield Made(f"np.full(({{all}}), {_number(first)})", lambda shape: np.full(shape, first))
    if array.ndim and max(array.shape) == array.size:
        along = int(np.argmax(array.shape))
        text = f"np.arange({{{along}}})"
        text = text if array.ndim == 1 else f"np.reshape({text}, ({{all}}))"
        yield Made(text, lambda shape: np.arange(math.prod(shape)).reshape(shape))
    if array.ndim == 2:
        yield Made(f"np.eye({{0}}, {{1}}{kind})", lambda shape: np.eye(shape[0], shape[1]))
        for k in (0, -1, 1):
            text = f"np.tri({{0}}, {{1}}{f', {k}' if k else ''}{kind})"
            yield Made(text, _triangle(k))
            unlike = f"~{text}" if kind == ", dtype=bool" else f"(1 - {text})"
            yield Made(unlike, _triangle(k, other=True))


def _triangle(k: int, other: bool = False) -> Callable[[tuple[int, ...]], np.ndarray]:
    def array(shape: tuple[int, ...]) -> np.ndarray:
        found = np.tri(shape[0], shape[1], k)
        return 1 - found if other else found

    return array


def _number(value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return f"{'-' if value < 0 else ''}np.{abs(value)}"
    return repr(value)
