"""The gate: every array that a rule is handed passes here, so that what computes sees NumPy's own arrays of known floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import is_float
from refgrad.errors import ArgumentError, bad_argument, with_article


def plain_array(value: Any, name: str) -> np.ndarray:
    """An array of any dtype as NumPy's own: the same memory, without what a subclass makes of it.

    Args:
        value: an array of NumPy's own type or of a subclass, such as `numpy.matrix` or `numpy.memmap`; or a NumPy scalar.
        name: what errors call it.

    Raises:
        ArgumentError: it is no array, or a masked one, whose mask no rule would see.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise ArgumentError(f"{name} is a masked array; legal: a NumPy array, such as {name}.filled(0.0)")
    if isinstance(value, np.generic):
        return np.asarray(value)
    if not isinstance(value, np.ndarray):
        raise ArgumentError(f"{name} is {with_article(type(value).__name__)}; legal: a NumPy array of a float dtype")
    return value if type(value) is np.ndarray else value.view(np.ndarray)


def as_given(value: Any, name: str) -> np.ndarray:
    """An array of a float dtype as NumPy's own, to be read and written where it is, whatever the order of its bytes.

    Args:
        value: as for `plain_array`.
        name: what errors call it.

    Raises:
        ArgumentError: what `plain_array` says, or it has no float dtype.
    """
    array = value if type(value) is np.ndarray else plain_array(value, name)
    if not is_float(array.dtype):
        raise bad_argument(f"{name}.dtype", str(array.dtype), "a float dtype, such as float32, float64 or bfloat16")
    return array


def as_array(value: Any, name: str) -> np.ndarray:
    """An array of a float dtype as NumPy's own, its bytes in the order of the machine; to be read alone.

    Args:
        value: as for `plain_array`.
        name: what errors call it.

    Returns:
        The same memory, or a copy where the bytes were in another order.

    Raises:
        ArgumentError: what `as_given` says.

    >>> as_array(np.asarray([1.0], ">f8"), "x").dtype.isnative
    True
    """
    array = as_given(value, name)
    return array if array.dtype.isnative else array.astype(array.dtype.type)


def as_it_is(array: Any, dtype: np.dtype, shape: tuple[int, ...] | None = None, written: bool = False) -> bool:
    """True if a value is just what kernels take: no copy, no closer look, and no other check of it is needed.

    Args:
        array: any value.
        dtype: the dtype that it must have, in the order of the machine.
        shape: the shape that it must have; by default any.
        written: True if it is written too.
    """
    if type(array) is not np.ndarray or (array.dtype is not dtype and array.dtype != dtype):
        return False
    if shape is not None and array.shape != shape:
        return False
    flags = array.flags
    return flags.carray or (not written and flags.c_contiguous and flags.aligned)  # the former is writeable too
