"""Small floating-point formats as data: a code is a sign, an exponent and a mantissa; some codes mean NaN or infinity."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from refgrad.rule import Choice, by

#: which codes mean no number
SPECIALS = Choice(
    ieee="the highest exponent holds infinity (mantissa zero) and NaN (any other)",
    nan_at_end="of each sign the highest code is NaN; there is no infinity",
    nan_at_minus_zero="the code of minus zero is NaN; there is no infinity and no minus zero",
    none="every code is a number",
)

ROUNDINGS = Choice(
    nearest_even=by(
        "to nearest; a tie goes to the even significand, or to the larger one where neither is even",
        "published: IEEE 754",
    ),
    nearest_away="to nearest; a tie goes away from zero",
    toward_zero="to the nearest number of no larger magnitude",
    up="to the nearest number that is not less; from beyond the most negative number, to that",
    down="to the nearest number that is not greater; from beyond the largest number, to that",
    odd="what is between two numbers goes to the odd significand; beyond the largest number, to that",
    stochastic="up in magnitude with the probability of the distance, cut to a number of random bits",
)

OVERFLOWS = Choice(
    overflow="to infinity where a mode rounds beyond the largest number; NaN, or the largest number, where there is none",
    saturate="to the largest number, infinities as well",
)

#: the modes that round beyond the largest number, by the sign of what is rounded
PASSES_LARGEST = {
    "nearest_even": (True, True),
    "nearest_away": (True, True),
    "toward_zero": (False, False),
    "up": (True, False),
    "down": (False, True),
    "odd": (False, False),
    "stochastic": (True, True),
}


@dataclass(frozen=True)
class Minifloat:
    """A binary format of 16 bits or fewer. Codes are numbered by sign, exponent and mantissa, the sign highest."""

    name: str
    exponent_bits: int
    mantissa_bits: int
    bias: int
    specials: str
    signed: bool = True
    #: whether the lowest exponent holds zero and subnormals; a scale format may have neither
    zero: bool = True

    @cached_property
    def magnitude_bits(self) -> int:
        """Bits of a code without the sign."""
        return self.exponent_bits + self.mantissa_bits

    @cached_property
    def bits(self) -> int:
        """Bits of a code."""
        return self.magnitude_bits + self.signed

    @cached_property
    def sign_code(self) -> int:
        """The bit of the sign; 0 if there is none."""
        return 1 << self.magnitude_bits if self.signed else 0

    @cached_property
    def least_exponent(self) -> int:
        """The exponent of the smallest number with a full significand."""
        return int(self.zero) - self.bias

    @cached_property
    def infinity_code(self) -> int | None:
        """The code of plus infinity."""
        return ((1 << self.exponent_bits) - 1) << self.mantissa_bits if self.specials == "ieee" else None

    @cached_property
    def nan_code(self) -> int | None:
        """The code that a NaN gets: the quiet one without payload."""
        codes = {
            "ieee": (self.infinity_code or 0) | 1 << max(self.mantissa_bits - 1, 0),
            "nan_at_end": (1 << self.magnitude_bits) - 1,
            "nan_at_minus_zero": self.sign_code,
        }
        return codes.get(self.specials)

    @cached_property
    def largest_code(self) -> int:
        """The code of the largest number."""
        if self.infinity_code is not None:
            return self.infinity_code - 1
        return (1 << self.magnitude_bits) - (2 if self.specials == "nan_at_end" else 1)

    @cached_property
    def has_minus_zero(self) -> bool:
        """True if zero has a sign."""
        return self.signed and self.zero and self.specials != "nan_at_minus_zero"

    def beyond_code(self, overflow: str) -> int:
        """The code of what lies beyond the largest number, under a policy of `OVERFLOWS`; without its sign."""
        if overflow == "saturate":
            return self.largest_code
        return next((c for c in (self.infinity_code, self.nan_code) if c is not None), self.largest_code)

    @cached_property
    def code_dtype(self) -> np.dtype:
        """The dtype that codes are kept in, one an element."""
        return np.dtype(np.uint8 if self.bits <= 8 else np.uint16)

    @cached_property
    def values(self) -> np.ndarray:
        """The value of every code, in float32, where each is exact."""
        codes = np.arange(1 << self.bits)
        magnitude = codes & ((1 << self.magnitude_bits) - 1)
        field, mantissa = magnitude >> self.mantissa_bits, magnitude & ((1 << self.mantissa_bits) - 1)
        full = field > 0 if self.zero else np.ones_like(codes, bool)
        significand = mantissa + (full.astype(np.int64) << self.mantissa_bits)
        exponent = np.where(full, field - self.bias, self.least_exponent) - self.mantissa_bits
        values = np.ldexp(significand.astype(np.float64), exponent)
        values = np.where((codes & self.sign_code) != 0, -values, values)
        if self.infinity_code is not None:
            values = np.where(magnitude == self.infinity_code, np.copysign(np.inf, values), values)
        values[self.nan_codes] = np.nan
        values = values.astype(np.float32)
        values.flags.writeable = False
        return values

    @cached_property
    def nan_codes(self) -> np.ndarray:
        """Every code that means NaN."""
        codes = np.arange(1 << self.bits)
        magnitude = codes & ((1 << self.magnitude_bits) - 1)
        wanted = {
            "ieee": magnitude > (self.infinity_code or 0),
            "nan_at_end": magnitude == (1 << self.magnitude_bits) - 1,
            "nan_at_minus_zero": codes == self.sign_code,
            "none": codes < 0,
        }
        return codes[wanted[self.specials]]

    @cached_property
    def largest(self) -> float:
        """The largest number."""
        return float(self.values[self.largest_code])

    @cached_property
    def largest_exponent(self) -> int:
        """The exponent of the largest number: the power of two that it is at least."""
        return int(np.frexp(self.largest)[1]) - 1


_RECORDS = [
    Minifloat("bfloat16", 8, 7, 127, "ieee"),
    Minifloat("float16", 5, 10, 15, "ieee"),
    Minifloat("float8_e4m3fn", 4, 3, 7, "nan_at_end"),
    Minifloat("float8_e5m2", 5, 2, 15, "ieee"),
    Minifloat("float8_e4m3fnuz", 4, 3, 8, "nan_at_minus_zero"),
    Minifloat("float8_e5m2fnuz", 5, 2, 16, "nan_at_minus_zero"),
    Minifloat("float8_e4m3", 4, 3, 7, "ieee"),
    Minifloat("float8_e3m4", 3, 4, 3, "ieee"),
    Minifloat("float8_e4m3b11fnuz", 4, 3, 11, "nan_at_minus_zero"),
    Minifloat("float8_e8m0fnu", 8, 0, 127, "nan_at_end", signed=False, zero=False),
    Minifloat("float6_e2m3fn", 2, 3, 1, "none"),
    Minifloat("float6_e3m2fn", 3, 2, 3, "none"),
    Minifloat("float4_e2m1fn", 2, 1, 1, "none"),
]

#: every format by the name that ml_dtypes gives it
MINIFLOATS: dict[str, Minifloat] = {record.name: record for record in _RECORDS}
