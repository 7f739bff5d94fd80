"""The kernel that rounds float32 arrays to a small format, on the bits; one for each mode, for all formats.

What it does is what `refgrad.arithmetic.rounding.encode` does in floating point; the codes are the same.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from refgrad.arithmetic.minifloats import PASSES_LARGEST, Minifloat
from refgrad.backends import kernels, thread_pool
from refgrad.backends.source import KernelSource

#: whether a significand goes up, by mode: ``kept`` are its whole units, ``rest`` what is below, ``half`` half a unit
GOES_UP = {
    "nearest_even": "rest + (kept & one) > half",
    "nearest_away": "rest >= half",
    "toward_zero": "False",
    "up": "rest > zero and negative == zero",
    "down": "rest > zero and negative != zero",
    "odd": "rest > zero and (kept & one) == zero",
    "stochastic": "np.int64(random[i]) < ((np.int64(rest) << bits) >> np.int64(whole_shift if whole_shift < 63 else 63))",
}

INTEGERS = ("n", "mantissa", "least", "first", "largest", "beyond", "nan", "sign", "least_signed", "bits")

#: beyond this shift nothing of a 24-bit significand is left but that it was not zero
_CAP = 25

_TEXT = """# {title}
def kernel({integers}, {pointers}):
{arrays}
    zero, one, cap, bias = np.int32(0), np.int32(1), np.int32({cap}), np.int32(127)
    implicit, fraction = np.int32(0x800000), np.int32(0x7FFFFF)
    everything, infinity = np.int32(0x7FFFFFFF), np.int32(0x7F800000)
    mantissa32, least32, first32, largest32 = np.int32(mantissa), np.int32(least), np.int32(first), np.int32(largest)
    beyond32, nan32, sign32, least_signed32 = np.int32(beyond), np.int32(nan), np.int32(sign), np.int32(least_signed)
    all_shift = np.int32(23 - mantissa)
    for i in range(n):
        magnitude = np.int32(x[i] & everything)
        negative = np.int32((x[i] >> 31) & one)
{places}
        kept = np.int32(significand >> shift)
        rest = np.int32(significand & np.int32(np.int32(one << shift) - one))
        half = np.int32(one << np.int32(shift - one))
        up = one if {goes_up} else zero
        code = np.int32({exponent}kept + up)
        {no_zero_offset}
        passed = {passed}
        code = code if code <= largest32 else passed
        code = beyond32 if magnitude == infinity else code
        code = nan32 if magnitude > infinity else code
        {no_zero}
        code = np.int32(code | (sign32 if negative != zero and code >= least_signed32 else zero))
        codes[i] = code
"""

#: how far a significand is shifted, by how the format's exponents lie to those of float32: fewer; the same, so that
#: exponent and significand stay together; or one more below, where float32 has subnormals and the format has none
_PLACES = {
    "fewer": """
        field = np.int32(magnitude >> 23)
        significand = np.int32((magnitude & fraction) | (implicit if field > zero else zero))
        exponent = np.int32((field if field > zero else one) - bias)
        below = np.int32(least32 - exponent if exponent < least32 else zero)
        whole_shift = np.int32(all_shift + below)
        shift = np.int32(whole_shift if whole_shift < cap else cap)""",
    "same": """
        significand, whole_shift, shift = magnitude, all_shift, all_shift""",
    "more": """
        exponent = np.int32(magnitude >> 23) - bias
        significand = np.int32((magnitude & fraction) | (implicit if exponent > -bias else zero))
        shift = np.int32(all_shift - (zero if exponent > -bias else one))
        below, whole_shift = zero, shift""",
}
_EXPONENT = "np.int32(np.int32(exponent + below - least32) << mantissa32) + "

_PASSED = {
    (True, True): "beyond32",
    (False, False): "largest32",
    (True, False): "beyond32 if negative == zero else largest32",
    (False, True): "largest32 if negative == zero else beyond32",
}


@cache
def source(mode: str, width: int, places: str) -> KernelSource:
    """The kernel of a mode, for codes of 8 or 16 bits, by a key of `_PLACES`."""
    zero = places != "more"
    arrays = ("x", "codes", "random") if mode == "stochastic" else ("x", "codes")
    types = ("int32", f"uint{width}", "uint32")[: len(arrays)]
    text = _TEXT.format(
        title=f"round to a format, {mode}: {' '.join(types)}",
        integers=", ".join(INTEGERS),
        pointers=", ".join(f"{a}_at" for a in arrays),
        arrays="\n".join(f"    {a} = carray({a}_at, (n,))" for a in arrays),
        cap=_CAP,
        goes_up=GOES_UP[mode],
        passed=_PASSED[PASSES_LARGEST[mode]],
        places=_PLACES[places].lstrip("\n"),
        exponent="" if places == "same" else _EXPONENT,
        no_zero_offset="" if zero else "code = code - first32 if code > first32 else zero",
        no_zero="" if zero else "code = nan32 if magnitude == zero or negative != zero else code",
    )
    return KernelSource(text, arrays, 0, np.dtype(np.float32), len(INTEGERS), types)


def encode(
    x: np.ndarray,
    form: Minifloat,
    mode: str,
    overflow: str,
    random: np.ndarray | None = None,
    bits: int = 32,
    count: int | None = None,
) -> np.ndarray:
    """`rounding.encode` of a float32 array, by ``count`` threads; NaN in a format without one gives 0."""
    x, codes = np.ascontiguousarray(x), np.empty(x.shape, form.code_dtype)
    places = "more" if not form.zero else "same" if form.least_exponent == -126 else "fewer"
    kernel = kernels.get(source(mode, codes.itemsize * 8, places))
    facts = (
        form.mantissa_bits,
        form.least_exponent,
        0 if form.zero else 1 << form.mantissa_bits,
        form.largest_code,
        form.beyond_code(overflow),
        form.nan_code or 0,
        form.sign_code,
        0 if form.has_minus_zero else 1,
        bits,
    )
    arrays = [x, codes] if random is None else [x, codes, np.ascontiguousarray(random, np.uint32)]

    chunks = [
        kernel.pack(n, *facts, *(a.ctypes.data + start * a.itemsize for a in arrays))
        for start, n in thread_pool.split(x.size, thread_pool.worth(x.size) if count is None else count)
    ]
    if chunks:
        thread_pool.run(kernel, chunks, arrays)
    return codes
