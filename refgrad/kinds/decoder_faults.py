"""Faults of decoders of small formats: codes that stand for other numbers than they should."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from refgrad.arithmetic.minifloats import Minifloat
from refgrad.quantizers.base import Quantizer
from refgrad.quantizers.cast import Cast


@dataclass(frozen=True, eq=False)
class DecoderFault:
    """What codes are taken for.

    Attributes:
        name, sentence: of it.
        values: the number that each code is taken for, in float32.
        right: the number that each code stands for.
    """

    name: str
    sentence: str
    values: np.ndarray
    right: np.ndarray

    def undone(self, codes: np.ndarray, y: np.ndarray) -> np.ndarray:
        """What a decoder gave, with the fault undone; where it is right what the fault gives, so that it departs there.

        Args:
            codes: those that were decoded.
            y: what they became, of the same shape.
        """
        right, wrong = (values[codes].astype(y.dtype) for values in (self.right, self.values))
        return np.where(_same(y, wrong), right, np.where(_same(y, right), wrong, y))


def _same(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return (one == other) & (np.signbit(one) == np.signbit(other)) | (np.isnan(one) & np.isnan(other))


def decoder_faults(rule: Quantizer) -> tuple[DecoderFault, ...]:
    """Those of a rule's format; of rules that are no casts none, and none that changes nothing."""
    return _of_format(rule.record) if isinstance(rule, Cast) else ()


@cache
def _of_format(record: Minifloat) -> tuple[DecoderFault, ...]:
    right = record.values
    wide = right.astype(np.float64)
    normal = _as_normal(record)
    subnormal = np.abs(right) < 2.0**record.least_exponent
    many = (
        (
            "subnormal codes have a leading one",
            "codes of subnormal numbers and of zero are read with a leading one",
            np.where(subnormal, normal, right),
        ),
        (
            "subnormal codes have a leading one, of the least exponent",
            "codes of subnormal numbers and of zero are read with a leading one and the exponent of the least normal number",
            np.where(subnormal, 2 * normal, right),
        ),
        (
            "subnormal codes are zero",
            "codes of subnormal numbers are read as zero",
            np.where(subnormal, np.copysign(0, right), right),
        ),
        (
            "special codes are numbers",
            "codes of NaN and infinity are read as the numbers that would stand there",
            np.where(np.isfinite(right), right, normal),
        ),
        ("every code is normal", "every code is read with a leading one, that of zero and of NaN too", normal),
        (
            "bias one too large",
            "the exponent's bias is one too large, which is a half of each number",
            np.where(subnormal, right, wide / 2),
        ),
        (
            "bias one too small",
            "the exponent's bias is one too small, which is twice each number",
            np.where(subnormal, right, wide * 2),
        ),
    )
    with np.errstate(over="ignore"):  # of a format as wide as float32 twice the largest number is infinity
        faults = [DecoderFault(name, sentence, values.astype(np.float32), right) for name, sentence, values in many]
    return tuple(fault for fault in faults if not _same(fault.values, right).all())


def _as_normal(record: Minifloat) -> np.ndarray:
    """The number of each code as if all were of normal numbers."""
    codes = np.arange(1 << record.bits)
    magnitude = codes & ((1 << record.magnitude_bits) - 1)
    field, mantissa = magnitude >> record.mantissa_bits, magnitude & ((1 << record.mantissa_bits) - 1)
    value = np.ldexp(1 + mantissa / 2.0**record.mantissa_bits, field - record.bias)
    return np.where(codes & record.sign_code, -value, value)
