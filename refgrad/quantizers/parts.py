"""The gate that the parts of what was quantized pass before they are decoded, and the short way through it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from refgrad.arguments import FROM_ZERO, several
from refgrad.arithmetic.arrays import plain_array
from refgrad.arithmetic.dtypes import as_dtype, is_float
from refgrad.arithmetic.rounding import all_within
from refgrad.derived import derived
from refgrad.errors import bad_argument
from refgrad.float_environment import HALF, LITTLE, ONE, SMALLEST_NORMAL

#: the float dtypes that most arrays have, and those among them to which nothing is too large
FLOATS = frozenset(as_dtype(name) for name in ("float64", "float32", "float16", "bfloat16"))
WIDE = frozenset((np.dtype(np.float64), np.dtype(np.float32)))
#: the dtypes that most parts have, which are just what decoding takes
PLAIN = FLOATS | frozenset(map(np.dtype, "?bBhHiIlLqQ"))


@dataclass(frozen=True, slots=True)
class _Look:
    """What the parts of a rule are looked at for: their names, the ends of legal codes, and whether decoding is silent."""

    parts: tuple[str, ...]
    legal_codes: tuple[int, int] | None
    silent: bool


@derived
def _look(rule: Any) -> _Look:
    return _Look(tuple(rule.parts), rule.legal_codes, rule.silent)


def short_way(whole: Callable[..., np.ndarray], record: type) -> Callable[..., np.ndarray]:
    """`Quantizer.dequantize` for parts of which one look says that nothing is to be done; all others go the whole way.

    The look is short because the checks of a small array would otherwise take as long as its numbers. It accepts alone: what
    it does not know, and what decoding stumbles over, is looked at once more, by the checks that say what is wrong.

    Args:
        whole: the method with all of its checks.
        record: the class of what quantizers make.

    Returns:
        The method, as callers get it.
    """

    @functools.wraps(whole)
    def dequantize(self: Any, quantized: Any) -> np.ndarray:
        # in the standard environment, which is asked as in `refgrad.entry_points`
        if type(quantized) is record and ONE + LITTLE == ONE - LITTLE and SMALLEST_NORMAL * HALF != 0.0:
            try:
                found = _at_a_look(self, _look(self), quantized)
            except (ArithmeticError, LookupError, TypeError, ValueError):
                found = None
            if found is not None:
                return found
        return whole(self, quantized)

    return dequantize


def _at_a_look(rule: Any, look: _Look, quantized: Any) -> np.ndarray | None:
    """The array, or None where more than a look is needed."""
    arrays, shape, dtype = quantized.arrays, quantized.shape, quantized.dtype
    parts = look.parts
    if type(arrays) is not dict or len(arrays) != len(parts) or dtype not in FLOATS or not _is_shape(shape):
        return None
    for part in parts:
        array = arrays[part]
        if type(array) is not np.ndarray or array.dtype not in PLAIN:
            return None
    if look.legal_codes is not None and not all_within(arrays["codes"], *look.legal_codes):
        return None
    if look.silent and dtype in WIDE:
        return rule.decoded(arrays, shape, dtype)  # type: ignore[no-any-return]
    return _silently(rule, arrays, shape, dtype)


@np.errstate(all="ignore")
def _silently(rule: Any, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    return rule.decoded(arrays, shape, dtype)  # type: ignore[no-any-return]


def kept_array(value: Any, name: str) -> np.ndarray:
    """A part of what was quantized as NumPy's own array, its bytes in the order of the machine.

    Args:
        value: the part.
        name: what errors call it.

    Returns:
        The same memory, or a copy where the bytes were in another order.

    Raises:
        ArgumentError: it is no array of integers, booleans or floats.
    """
    array = plain_array(value, name)
    if array.dtype.kind not in "iub" and not is_float(array.dtype):
        raise bad_argument(f"{name}.dtype", str(array.dtype), "integers, booleans or a float dtype")
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


@cache
def is_kept(dtype: np.dtype) -> bool:
    """True of the dtypes that `kept_array` gives."""
    return dtype.isnative and (dtype.kind in "iub" or is_float(dtype))


def _is_shape(value: Any) -> bool:
    """True of a tuple of lengths, as arrays have it."""
    if type(value) is tuple:
        for length in value:
            if type(length) is not int or length < 0:
                break
        else:
            return True
    return False


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of the array that was quantized; `ArgumentError` if it is none."""
    if _is_shape(value):
        return value  # type: ignore[no-any-return]
    return tuple(FROM_ZERO.check("quantized.shape", length) for length in several("quantized.shape", value, "lengths"))
