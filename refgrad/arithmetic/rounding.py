"""Rounding to a small format, on arrays: the exponent by frexp, the significand by an exact scaling, then one choice.

All steps before the choice are exact in float64, so that nothing is rounded twice. The other way, one number at a time in
exact arithmetic, is `refgrad.arithmetic.rounding_exact`; both agree on every code of every format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import numpy as np

from refgrad.arithmetic.minifloats import PASSES_LARGEST, Minifloat
from refgrad.errors import ArgumentError, bad_argument

Up = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

#: whether a significand of floor ``kept`` and fraction ``rest`` goes up in magnitude, by mode
GOES_UP: Mapping[str, Up] = {
    "nearest_even": lambda kept, rest, negative: (rest > 0.5) | ((rest == 0.5) & (kept % 2 == 1)),
    "nearest_away": lambda kept, rest, negative: rest >= 0.5,
    "toward_zero": lambda kept, rest, negative: np.zeros(kept.shape, bool),
    "up": lambda kept, rest, negative: (rest > 0) & ~negative,
    "down": lambda kept, rest, negative: (rest > 0) & negative,
    "odd": lambda kept, rest, negative: (rest > 0) & (kept % 2 == 0),
}


def encode(
    x: np.ndarray,
    form: Minifloat,
    mode: str = "nearest_even",
    overflow: str = "overflow",
    random: np.ndarray | None = None,
    bits: int = 32,
) -> np.ndarray:
    """The codes of an array rounded to a format.

    Args:
        x: float32 or float64, of any shape.
        form: the format.
        mode: a member of `minifloats.ROUNDINGS`.
        overflow: a member of `minifloats.OVERFLOWS`.
        random: for the mode "stochastic", whole numbers below ``2**bits``, shaped like ``x``.
        bits: how many random bits there are, at most 32.

    Returns:
        Codes, one an element, of `Minifloat.code_dtype`.

    Raises:
        ArgumentError: NaN is among the numbers, and the format has none.
    """
    x = np.asarray(x, dtype=np.float64)
    negative, size = np.signbit(x), np.abs(x)
    finite = np.isfinite(size)
    size = np.where(finite, size, 0.0)
    exponent = np.where(size > 0, np.maximum(np.frexp(size)[1] - 1, form.least_exponent), form.least_exponent)
    scaled = np.ldexp(size, form.mantissa_bits - exponent)
    kept = np.floor(scaled)
    rest = scaled - kept
    if mode == "stochastic":
        if random is None:
            raise bad_argument("random", None, "whole numbers shaped like x, for the mode 'stochastic'")
        up = random < np.floor(np.ldexp(rest, bits))
    else:
        up = GOES_UP[mode](kept, rest, negative)
    first = 0 if form.zero else 1 << form.mantissa_bits
    code = ((exponent - form.least_exponent).astype(np.int64) << form.mantissa_bits) + (kept + up).astype(np.int64)
    code = np.maximum(code - first, 0)
    positive_passes, negative_passes = PASSES_LARGEST[mode]
    beyond = form.beyond_code(overflow)
    passed = np.where(np.where(negative, negative_passes, positive_passes), beyond, form.largest_code)
    code = np.where(code > form.largest_code, passed, code)
    code = np.where(np.isinf(x), beyond, code)
    return _signed(code, x, negative, form)


def _signed(code: np.ndarray, x: np.ndarray, negative: np.ndarray, form: Minifloat) -> np.ndarray:
    """Codes with their signs, and those of NaN."""
    nan = np.isnan(x) if form.zero else ~(x > 0)
    if nan.any():
        if form.nan_code is None:
            raise no_nan(form)
        code = np.where(nan, form.nan_code, code)
    negative = negative if form.has_minus_zero else negative & (code != 0)
    return np.where(negative, code | form.sign_code, code).astype(form.code_dtype)


def no_nan(form: Minifloat) -> ArgumentError:
    """The error for a NaN that a format cannot hold."""
    return bad_argument("x", "NaN", f"a number, because {form.name} has no NaN")


def decode(codes: np.ndarray, form: Minifloat) -> np.ndarray:
    """The numbers that codes stand for, in float32, where each is exact.

    Raises:
        ArgumentError: a code has more bits than the format.
    """
    return gathered(form.values, check_codes(codes, 1 << form.bits))


def gathered(table: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """The numbers of a table at places, in half the time of an index.

    Args:
        table: a vector.
        codes: places in it, of an integer dtype; negative ones from its end.

    Returns:
        An array shaped like ``codes``.

    Raises:
        IndexError: a place that the table has not.

    >>> gathered(np.asarray([0.0, 0.5]), np.asarray([[1, 0]], np.uint8)).tolist()
    [[0.5, 0.0]]
    """
    if type(codes) is not np.ndarray and hasattr(codes, "_apply"):  # on a device
        return codes._apply("look_up", table, codes)
    return table[codes] if codes.dtype == np.uint64 else table.take(codes)


def all_within(codes: np.ndarray, low: int, high: int) -> bool:
    """True if whole numbers lie between two, ends included; an end that their dtype keeps is not looked for.

    Args:
        codes: an array of an integer dtype.
        low: the least that they may be.
        high: the largest.

    >>> all_within(np.asarray([3, 15], np.uint8), 0, 15), all_within(np.asarray([-1]), 0, 15)
    (True, False)
    """
    if not codes.size:
        return True
    least, most = _limits(codes.dtype)
    # of a short array the place of an extreme is found in half the time of the extreme itself
    if low > least and codes.item(codes.argmin()) < low:
        return False
    return high >= most or bool(codes.item(codes.argmax()) <= high)


@cache
def _limits(dtype: np.dtype) -> tuple[int, int]:
    """The least and the largest number of an integer dtype."""
    facts = np.iinfo(dtype)
    return int(facts.min), int(facts.max)


def check_codes(codes: np.ndarray, count: int, name: str = "codes") -> np.ndarray:
    """Codes as they are; `ArgumentError` unless they are whole numbers from 0 and below ``count``."""
    codes = np.asarray(codes)
    if codes.dtype.kind not in "ui":
        raise bad_argument(f"{name}.dtype", str(codes.dtype), "an integer dtype")
    if not all_within(codes, 0, count - 1):
        least, most = int(codes.min()), int(codes.max())
        raise bad_argument(name, least if least < 0 else most, f"whole numbers from 0 to {count - 1}")
    return codes


def round_to_format(
    x: np.ndarray, form: Minifloat, mode: str = "nearest_even", overflow: str = "overflow"
) -> np.ndarray:
    """Numbers rounded to a format, in float32; see `encode`."""
    return form.values[encode(x, form, mode, overflow)]
