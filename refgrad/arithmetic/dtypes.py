"""Floating-point formats: unit roundoff, smallest numbers, the working precision, and rounding onto a grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import ml_dtypes
import numpy as np

from refgrad.errors import ArgumentError, bad_argument


@dataclass(frozen=True)
class Format:
    """The facts of a binary floating-point format that error bounds need."""

    dtype: np.dtype
    #: half a unit in the last place of 1: the largest relative error of one rounding to nearest
    unit_roundoff: float
    smallest_normal: float
    smallest_subnormal: float
    largest: float


def native(dtype: np.dtype) -> np.dtype:
    """The same dtype in the byte order of the machine.

    Args:
        dtype: any dtype; those that keep their data elsewhere, as texts of any length do, cannot be asked for another order.
    """
    return dtype if dtype.isnative else dtype.newbyteorder("=")


@cache
def format_of(dtype: Any) -> Format:
    """The facts of a float dtype, those of ml_dtypes included; `ArgumentError` for any other."""
    dtype = native(np.dtype(dtype))
    try:
        if dtype.kind == "c":
            raise TypeError  # a complex dtype has the facts of its parts, but is no float dtype
        info = ml_dtypes.finfo(dtype)
    except (ValueError, TypeError):
        raise bad_argument(
            "dtype", str(dtype), "a float dtype, such as float32, float64, float16 or bfloat16"
        ) from None
    largest = float(info.max) if dtype != np.float64 else np.finfo(np.float64).max
    return Format(
        dtype, float(info.eps) / 2, float(info.smallest_normal), float(info.smallest_subnormal), float(largest)
    )


@cache
def is_float(dtype: Any) -> bool:
    """True if a dtype is a floating-point format that refgrad knows."""
    try:
        format_of(dtype)
    except ValueError:
        return False
    return np.dtype(dtype) != np.dtype(np.longdouble) or np.dtype(np.longdouble) == np.dtype(np.float64)


def as_dtype(value: Any, name: str = "dtype") -> np.dtype:
    """A float dtype, or one by name, those of ml_dtypes included; `ArgumentError` that names the argument for anything else."""
    if isinstance(value, np.dtype) and is_float(value):
        return value
    named = getattr(ml_dtypes, value, value) if isinstance(value, str) else value
    try:
        # NumPy would ask whatever else has a dtype
        found = np.dtype(named) if isinstance(value, str | type | np.dtype) else None
    except (
        Exception
    ):  # SyntaxError too, of texts that NumPy reads as dtypes of several parts, and what others' code raises
        found = None
    if found is None or not is_float(found):
        raise bad_argument(name, value, "a float dtype, such as 'float32' or 'bfloat16'")
    return found


@cache
def working(dtype: Any) -> np.dtype:
    """The dtype that arithmetic on arrays of a dtype is done in: float64 for float64, else float32."""
    if not is_float(dtype):
        raise bad_argument("dtype", str(np.dtype(dtype)), "a float dtype, such as float32, float64 or bfloat16")
    return np.dtype(np.float64) if native(np.dtype(dtype)) == np.float64 else np.dtype(np.float32)


def round_to(values: np.ndarray, dtype: Any) -> np.ndarray:
    """Float64 values rounded once to nearest, ties to even, onto the grid of a dtype, and back as float64."""
    dtype = np.dtype(dtype)
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        if dtype in (np.float64, np.float32, np.float16):
            return values.astype(dtype).astype(np.float64)
        # ml_dtypes casts from float64 by way of float32; rounding that first step to odd makes the pair one rounding
        return _odd_float32(values).astype(dtype).astype(np.float64)


def cast(values: np.ndarray, name: str, rounding: str) -> np.ndarray:
    """Float64 values rounded onto the grid of a dtype by name, "nearest" or "truncated", and back as float64."""
    dtype = np.dtype(getattr(ml_dtypes, name, name))
    near = round_to(np.asarray(values, dtype=np.float64), dtype)
    if rounding == "nearest":
        return near
    beyond = np.abs(near) > np.abs(values)
    return np.where(beyond, np.nextafter(near.astype(dtype), np.asarray(0, dtype)).astype(np.float64), near)


def _odd_float32(values: np.ndarray) -> np.ndarray:
    near = values.astype(np.float32)
    toward_zero = np.where(np.abs(near.astype(np.float64)) > np.abs(values), np.nextafter(near, np.float32(0)), near)
    toward_zero = toward_zero.astype(np.float32)
    inexact = np.isfinite(values) & (toward_zero.astype(np.float64) != values)
    return np.where(inexact, (toward_zero.view(np.uint32) | np.uint32(1)).view(np.float32), toward_zero)


def ulp(values: np.ndarray, dtype: Any) -> np.ndarray:
    """The unit in the last place of the binade that holds each value (Muller 2005), as float64; subnormals included."""
    facts = format_of(dtype)
    magnitude = np.clip(np.abs(values), facts.smallest_normal, facts.largest)
    _, exponent = np.frexp(magnitude)
    return np.ldexp(2.0 * facts.unit_roundoff, exponent - 1)


def shortest(value: float, dtype: Any) -> str:
    """The decimal with the fewest digits that reads back to a number in a dtype; if it is not of its grid, in float64."""
    if not np.isfinite(value):
        return str(value)
    grid = dtype if float(round_to(np.asarray(value), dtype)) == value else np.float64
    texts = (f"{value:.{digits}g}" for digits in range(1, 18))
    return next(text for text in texts if float(round_to(np.asarray(float(text)), grid)) == value)


def all_true(known: np.ndarray) -> bool:
    """True if all of an array of truth values are: of a short one the place of a false one is found before `all` has begun."""
    return not known.size or bool(known.item(known.argmin()))


def finite(x: Any, name: str) -> np.ndarray:
    """An array in float64; `ArgumentError` if one of its numbers is NaN or infinite."""
    x = np.asarray(x, np.float64)
    if not all_true(np.isfinite(x)):
        raise ArgumentError(f"{name} holds NaN or infinities; legal: finite numbers")
    return x


def whole_numbers(x: Any) -> bool:
    """True of an array of labels, which no arithmetic stands for: bodies are handed it as it is."""
    return isinstance(x, np.ndarray) and x.dtype.kind in "iu"
