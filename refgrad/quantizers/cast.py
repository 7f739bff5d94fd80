"""Rounding to a small floating-point format, as a quantizer: one code an element and no scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic import rounding
from refgrad.arithmetic.minifloats import MINIFLOATS, OVERFLOWS, ROUNDINGS, Minifloat
from refgrad.arithmetic.philox import random_words
from refgrad.arithmetic.steps import FormatCodes
from refgrad.backends import worth_compiling
from refgrad.derived import derived
from refgrad.quantizers.decoding import Decoded
from refgrad.rule import Choice, Citation, Whole

FORMATS = Choice(
    bfloat16="8 bits of exponent, 7 of mantissa",
    float16="IEEE 754 binary16: 5 bits of exponent, 10 of mantissa",
    float8_e4m3fn="OCP FP8 E4M3: up to 448, no infinity, one NaN a sign",
    float8_e5m2="OCP FP8 E5M2: up to 57344, with infinities",
    float8_e4m3fnuz="E4M3 with bias 8: up to 240, one NaN in the place of minus zero",
    float8_e5m2fnuz="E5M2 with bias 16: up to 57344, one NaN in the place of minus zero",
    float8_e4m3="E4M3 with infinities, as IEEE 754 would have it: up to 240",
    float8_e3m4="E3M4 with infinities: up to 15.5",
    float8_e4m3b11fnuz="E4M3 with bias 11: up to 30, one NaN in the place of minus zero",
    float8_e8m0fnu="powers of two from 2**-127 to 2**127, and one NaN: the scales of OCP MX",
    float6_e2m3fn="OCP FP6 E2M3: up to 7.5, numbers alone",
    float6_e3m2fn="OCP FP6 E3M2: up to 28, numbers alone",
    float4_e2m1fn="OCP FP4 E2M1: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives",
)


def codes_of(
    x: np.ndarray,
    form: Minifloat,
    mode: str = "nearest_even",
    overflow: str = "overflow",
    random: np.ndarray | None = None,
    bits: int = 32,
) -> np.ndarray:
    """`rounding.encode`, by a kernel where the array is long enough to be worth one."""
    if x.dtype != np.float32 or not worth_compiling(x.size):
        return rounding.encode(x, form, mode, overflow, random, bits)
    from refgrad.backends import rounding_kernels

    if form.nan_code is None and np.isnan(x).any():
        raise rounding.no_nan(form)
    return rounding_kernels.encode(x, form, mode, overflow, random, bits)


class Cast(Decoded):
    """Each element rounded once to a small floating-point format; the scale is one.

    Parts: ``codes``, shaped like ``x``, one an element (sign, exponent and mantissa from the highest bit), uint8 or uint16.
    NaN becomes the quiet NaN of its sign; a format without NaN refuses it. Zero keeps its sign where the format has two.
    E8M0 has neither zero nor negative numbers: they become NaN. Float64 is rounded once, not by way of float32.
    With "stochastic", element i takes the highest ``random_bits`` of word i of Philox4x32-10 with key ``(seed, 0)``.
    Source: IEEE 754-2019, 4.3 and 7.4; Micikevicius et al. 2022, arXiv:2209.05433; OCP Microscaling Formats 1.0.
    """

    device_module = "refgrad.quantizers.cast_on_device"
    decodes_in = np.dtype(np.float32)
    format: Annotated[str, FORMATS] = "float8_e4m3fn"
    rounding: Annotated[str, ROUNDINGS] = "nearest_even"
    overflow: Annotated[str, OVERFLOWS] = "overflow"
    random_bits: Annotated[int, Whole(1, 32)] = 32
    seed: Annotated[int, Whole(0, 2**32 - 1)] = 0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "half a step": "a number that is not finite has codes of its own",
    }
    citation = Citation(
        "Micikevicius et al. 2022",
        "FP8 Formats for Deep Learning",
        "arXiv:2209.05433; IEEE 754-2019, 4.3",
        read="package",
        source="ml_dtypes 0.6.0; torch 2.13.0; gfloat 0.5.2",
    )
    unspecified = (
        "beyond the largest number: infinity, NaN or the largest by format; the standard leaves to the format what "
        "has neither, and torch saturates E4M3 (overflow=saturate)"
    )

    @property
    def record(self) -> Minifloat:
        """The facts of the format."""
        return MINIFLOATS[self.format]

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """``codes``."""
        random = None
        if self.rounding == "stochastic":
            random = random_words(x.size, self.seed).reshape(x.shape) >> np.uint32(32 - self.random_bits)
        return {"codes": codes_of(x, self.record, self.rounding, self.overflow, random, self.random_bits)}

    @property
    @derived
    def read_codes(self) -> FormatCodes | None:
        """Codes of the format; of 16 bits kernels read none, for their tables would be long."""
        return FormatCodes(self.format) if self.record.bits <= 8 else None

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Codes, each of which the format has."""
        return {"codes": rounding.check_codes(arrays["codes"], 1 << self.record.bits)}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """The value of each code."""
        return parts["codes"]

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The value of each code, of any format."""
        return self.closed(rounding.decode(arrays["codes"], self.record), shape)
