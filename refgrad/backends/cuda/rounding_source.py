"""The kernel that rounds float32 to a small format in every mode, on the bits; random bits are drawn where they are used.

What it does is what `refgrad.arithmetic.rounding.encode` does in floating point, and `backends.rounding_kernels` on a CPU.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from refgrad.arithmetic.minifloats import PASSES_LARGEST, Minifloat
from refgrad.backends.c_dialect import TYPES
from refgrad.backends.cuda.device import Device, grid
from refgrad.backends.cuda.dialect import DIALECT, SYMBOL
from refgrad.backends.cuda.philox_source import WORD
from refgrad.backends.source import KernelSource

#: whether a significand goes up, by mode: ``kept`` are its whole units, ``rest`` what is below, ``half`` half a unit
_GOES_UP = {
    "nearest_even": "rest + (kept & 1) > half",
    "nearest_away": "rest >= half",
    "toward_zero": "false",
    "up": "rest > 0 && !negative",
    "down": "rest > 0 && negative",
    "odd": "rest > 0 && (kept & 1) == 0",
    "stochastic": "(int64_t)(philox_word(i, seed, 0) >> (32 - {bits})) "
    "< (((int64_t)rest << {bits}) >> (whole_shift < 63 ? whole_shift : 63))",
}
_PASSED = {
    (True, True): "{beyond}",
    (False, False): "{largest}",
    (True, False): "negative ? {largest} : {beyond}",
    (False, True): "negative ? {beyond} : {largest}",
}
#: how far a significand is shifted, by how the format's exponents lie to those of float32
_PLACES = {
    "fewer": """
        int32_t field = size >> 23;
        int32_t significand = (size & 0x7FFFFF) | (field > 0 ? 0x800000 : 0);
        int32_t exponent = (field > 0 ? field : 1) - 127;
        int32_t below = exponent < {least} ? {least} - exponent : 0;
        int32_t whole_shift = {shift} + below, shift = whole_shift < 25 ? whole_shift : 25;
        int32_t offset = (exponent + below - ({least})) * {implicit};""",
    "same": """
        int32_t significand = size, whole_shift = {shift}, shift = {shift}, offset = 0;""",
    "more": """
        int32_t exponent = (size >> 23) - 127;
        int32_t significand = (size & 0x7FFFFF) | (exponent > -127 ? 0x800000 : 0);
        int32_t shift = {shift} - (exponent > -127 ? 0 : 1), whole_shift = shift;
        int32_t offset = (exponent - ({least})) * {implicit};""",
}
_KERNEL = """extern "C" __global__ void {symbol}(int64_t n, int64_t seed, float *x, {type} *codes) {{
#pragma unroll 1
    {strided}
        int32_t bits = bits_float32_int32(x[i]), size = bits & 0x7FFFFFFF;
        bool negative = bits < 0;{places}
        int32_t kept = significand >> shift, rest = significand & ((1 << shift) - 1), half = 1 << (shift - 1);
        int32_t code = offset + kept + ({goes_up} ? 1 : 0);
        {no_zero_offset}
        code = code > {largest} ? ({passed}) : code;
        code = size == 0x7F800000 ? {beyond} : code;
        code = size > 0x7F800000 ? {nan} : code;
        {no_zero}
        codes[i] = ({type})(code | (negative && code >= {least_signed} ? {sign} : 0));
    }}
}}
"""


@cache
def source(form: Minifloat, mode: str, overflow: str, bits: int) -> KernelSource:
    """The kernel of a format and a mode.

    Args:
        form: the facts of the format.
        mode: a member of `refgrad.arithmetic.minifloats.ROUNDINGS`.
        overflow: what becomes of numbers that are too large.
        bits: how many random bits decide.
    """
    kind, zero = str(form.code_dtype), form.zero
    facts: dict[str, Any] = {
        "bits": bits,
        "beyond": form.beyond_code(overflow),
        "largest": form.largest_code,
        "least": form.least_exponent,
        "shift": 23 - form.mantissa_bits,
        "implicit": 1 << form.mantissa_bits,
    }
    places = "more" if not zero else "same" if form.least_exponent == -126 else "fewer"
    text = _KERNEL.format(
        **facts,
        symbol=SYMBOL,
        strided=DIALECT.strided("i", "n")[1],
        type=TYPES[kind],
        places=_PLACES[places].format(**facts),
        goes_up=_GOES_UP[mode].format(**facts),
        passed=_PASSED[PASSES_LARGEST[mode]].format(**facts),
        no_zero_offset="" if zero else "code = code > 1 ? code - 1 : 0;",
        no_zero="" if zero else f"code = size == 0 || negative ? {form.nan_code or 0} : code;",
        nan=form.nan_code or 0,
        sign=form.sign_code,
        least_signed=0 if form.has_minus_zero else 1,
    )
    lines = [DIALECT.comment(f"float32 to {form.name}, {mode}, {overflow}"), WORD, text]
    return KernelSource(DIALECT.file(lines, []), ("x", "codes"), 0, np.dtype(np.float32), 2, ("float32", kind))


def encode(x: Any, form: Minifloat, mode: str, overflow: str, seed: int, bits: int, device: Device) -> Any:
    """The codes of an array.

    Args:
        x: float32, contiguous on the device; without NaN where the format has none.
        form: the facts of the format.
        mode: how it is rounded; by chance by the highest bits of the words of Philox4x32-10 with key ``(seed, 0)``.
        overflow: what becomes of numbers that are too large.
        seed: that of random bits.
        bits: how many of these decide.
        device: the device.
    """
    codes = device.empty(x.shape, form.code_dtype)
    if x.size:
        given = [x.size, seed, device.address(x), device.address(codes)]
        device.launch(source(form, mode, overflow, bits), *grid(x.size), given, device.stream())
    return codes
