"""Numbers as people write them: arrays, numbers, and hex floats as strings."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arguments import number
from refgrad.arithmetic.arrays import plain_array
from refgrad.arithmetic.dtypes import as_dtype, is_float
from refgrad.errors import bad_argument
from refgrad.float_environment import in_standard

#: what stands for numbers
NUMBERS = "numbers, or strings such as '0x1.8p+0', all rows of one length"


def numbers(values: Any, dtype: Any, name: str = "inputs") -> np.ndarray:
    """Numbers or hex strings as an array.

    Args:
        values: an array, which is cast; or numbers or hex strings, nested as they are.
        dtype: the float dtype of the result.
        name: what errors call them.

    Returns:
        An array of the same shape; one number becomes one of one axis.

    Raises:
        ArgumentError: what is no number or no hex float, lists of different lengths in one array, or no float dtype.
    """
    dtype = as_dtype(dtype)
    if isinstance(values, np.ndarray):
        array = plain_array(values, name)
        if array.dtype.kind not in "iub" and not is_float(array.dtype):
            raise bad_argument(f"{name}.dtype", str(array.dtype), "a dtype of numbers")
        return array.astype(dtype)
    if isinstance(values, bytes | bytearray | memoryview):  # whose letters NumPy takes for numbers
        raise bad_argument(name, values, NUMBERS)
    try:
        nested = np.atleast_1d(np.asarray(values, dtype=object))
    except Exception as error:  # lists of different lengths, or whatever the code of others raises
        raise bad_argument(name, values, NUMBERS) from error
    flat = [number_of(v, name) for v in nested.ravel()]
    return np.asarray(flat, dtype=np.float64).astype(dtype).reshape(nested.shape)


@in_standard  # Python reads decimals as the processor rounds
def number_of(value: Any, name: str = "inputs") -> float:
    """A number, or one as a string: in hexadecimal with 0x before it, in decimals without.

    Args:
        value: the number, the string, or an array of one number.
        name: what errors call it.

    Returns:
        The number.

    Raises:
        ArgumentError: what is none.
    """
    value = value.item() if isinstance(value, np.ndarray) and value.size == 1 else value
    if isinstance(value, str):
        try:
            return float.fromhex(value) if "x" in value.lower() else float(value)
        except (ValueError, OverflowError):
            raise bad_argument(name, value, NUMBERS) from None
    return number(value, name, NUMBERS)
