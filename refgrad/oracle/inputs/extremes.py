"""Arrays of zeros, with a row of zeros, with ends that are each other's negative, and far larger than ordinary ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.oracle.inputs.cases import Arrays, Cases

#: of how many elements an array is at most that is changed
MOST = 1024
#: the largest number of a format to this power: its fifth power is finite, the largest is 2^24 for float32
LARGE = 3 / 16

Change = Callable[[np.ndarray], np.ndarray]


def large(array: np.ndarray) -> np.ndarray:
    """An array times a number far above those of ordinary cases, whose powers are finite still.

    Args:
        array: of any float dtype.
    """
    return (array * np.asarray(dtypes.format_of(array.dtype).largest ** LARGE, array.dtype)).astype(array.dtype)


def _zero_row(array: np.ndarray) -> np.ndarray:
    kept = array.copy()
    kept[:1] = 0
    return kept


def _symmetric(array: np.ndarray) -> np.ndarray:
    """With the largest magnitude of each row at both ends."""
    kept, most = array.copy(), np.abs(array).max(axis=-1)
    kept[..., 0], kept[..., -1] = most, -most
    return kept


CHANGES: Mapping[str, Change] = {
    "all zero": np.zeros_like,
    "a row of zeros": _zero_row,
    "max = -min": _symmetric,
    "large": large,
}


def extremes(cases: Cases, primary: str, takes: Callable[[Arrays], bool]) -> Cases | None:
    """A case of few elements, with two axes if there is one, changed in each way that a rule takes; None if there is none.

    Args:
        cases: cases of many shapes.
        primary: the array that is changed.
        takes: whether the rule takes the arrays of a case.
    """
    few = [a for a in cases.arrays if a[primary].ndim and 1 < a[primary].size <= MOST]
    if not few:
        return None
    arrays = max(few, key=lambda a: (a[primary].ndim == 2, a[primary].size))
    made = {name: {**arrays, primary: change(arrays[primary])} for name, change in CHANGES.items()}
    kept = {name: each for name, each in made.items() if takes(each)}
    return Cases(list(kept.values()), list(kept), cases.seed) if kept else None


def by_columns(cases: Cases) -> Cases:
    """The same numbers in arrays that lie column by column in memory, where they have two axes."""
    return cases.mapped(np.asfortranarray)
