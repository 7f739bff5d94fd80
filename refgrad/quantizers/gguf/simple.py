"""Formats whose scale is read off the block's extremes: Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, TQ1_0, TQ2_0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from refgrad.quantizers.gguf import searches
from refgrad.quantizers.gguf.blocks import BlockFormat, half, numbers
from refgrad.quantizers.gguf.layout import Bits, Fields, Half, Layout, Trits, bit_string, planes
from refgrad.quantizers.gguf.twins import fast
from refgrad.rule import Citation


def source(function: str, line: int) -> Citation:
    """Where ggml defines a format's quantization: a function of src/ggml-quants.c, and the line where it begins."""
    return Citation(
        "ggml authors",
        "ggml, a tensor library",
        f"src/ggml-quants.c, {function}",
        read="authors' code",
        source=f"ggml-org/ggml d99724f, src/ggml-quants.c line {line}, compiled and run",
    )


class SignedExtreme(BlockFormat):
    """Codes around zero; the element of largest magnitude, with its sign, takes the lowest code.

    d = m / -N for the extreme m (the first one on ties), q = min(2N - 1, trunc(x * (1/d) + N + 1/2)), with the unrounded d;
    binary16 d is stored. A block of zeros has d = -0.0 and codes N, and decodes to -0.0.
    """

    levels: ClassVar[int]

    def search(self, x: np.ndarray) -> Fields:
        """By the rule above."""
        d, codes = fast(searches.code_signed, x, self.levels)
        return {"scale": half(d), "codes": codes}


class Q4_0(SignedExtreme):
    """4-bit codes, one scale to 32 elements: x is about (q - 8) d. Source: ggml, quantize_row_q4_0_ref."""

    levels = 8
    block = 32
    layout = Layout(18, Half("scale", 0), *planes("codes", 2, 32, run=16, width=4))
    values = numbers(*range(-8, 8))
    citation = source("quantize_row_q4_0_ref", 113)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )


class Q5_0(SignedExtreme):
    """5-bit codes, one scale to 32 elements: x is about (q - 16) d. Source: ggml, quantize_row_q5_0_ref."""

    levels = 16
    block = 32
    layout = Layout(22, Half("scale", 0), *planes("codes", 6, 32, run=16, width=4), *bit_string("codes", 2, 32, low=4))
    values = numbers(*range(-16, 16))
    citation = source("quantize_row_q5_0_ref", 187)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )


class FromMinimum(BlockFormat):
    """Codes from the block's minimum up to its maximum.

    d = (max - min) / N, q = min(N, trunc((x - min) * (1/d) + 1/2)), with unrounded d and min; both are stored as binary16.
    A constant block has d = 0 and decodes to its rounded minimum.
    """

    def search(self, x: np.ndarray) -> Fields:
        """By the rule above."""
        d, low, codes = fast(searches.code_range, x, len(self.values) - 1)
        return {"scale": half(d), "minimum": half(low), "codes": codes}


class Q4_1(FromMinimum):
    """4-bit codes, a scale and a minimum to 32 elements: x is about q d + m. Source: ggml, quantize_row_q4_1_ref."""

    block = 32
    layout = Layout(20, Half("scale", 0), Half("minimum", 2), *planes("codes", 4, 32, run=16, width=4))
    values = numbers(*range(16))
    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "codes count from the smallest number in rounded steps, which do not end at the largest",
    }
    citation = source("quantize_row_q4_1_ref", 150)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )


class Q5_1(FromMinimum):
    """5-bit codes, a scale and a minimum to 32 elements: x is about q d + m. Source: ggml, quantize_row_q5_1_ref."""

    block = 32
    layout = Layout(
        24,
        Half("scale", 0),
        Half("minimum", 2),
        *planes("codes", 8, 32, run=16, width=4),
        *bit_string("codes", 4, 32, low=4),
    )
    values = numbers(*range(32))
    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "codes count from the smallest number in rounded steps, which do not end at the largest",
    }
    citation = source("quantize_row_q5_1_ref", 231)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )


class Symmetric(BlockFormat):
    """Integers around zero: d = max|x| / N, q = x * (1/d) to the nearest integer, halves away from zero.

    The unrounded d is used; binary16 d is stored. A block of zeros has d = 0 and decodes to +0.0.
    """

    levels: ClassVar[int]
    #: the code of zero
    zero: ClassVar[int]

    def search(self, x: np.ndarray) -> Fields:
        """By the rule above."""
        d, codes = fast(searches.code_symmetric, x, self.levels, self.zero)
        return {"scale": half(d), "codes": codes}


class Q8_0(Symmetric):
    """8-bit integers, one scale to 32 elements: x is about q d. Source: ggml, quantize_row_q8_0_ref."""

    levels, zero = 127, 0
    block = 32
    layout = Layout(34, Half("scale", 0), Bits("codes", 0, 32, 2))
    values = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float32)
    citation = source("quantize_row_q8_0_ref", 276)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )


class TQ1_0(Symmetric):
    """Ternary, five digits a byte, one scale to 256 elements: x is about (q - 1) d. Source: ggml, quantize_row_tq1_0_ref."""

    levels, zero = 1, 1
    block = 256
    layout = Layout(
        54,
        Trits("codes", 0, 32, 0),
        Trits("codes", 160, 16, 32),
        Trits("codes", 240, 4, 48, digits=4),
        Half("scale", 52),
    )
    values = numbers(-1, 0, 1)
    citation = source("quantize_row_tq1_0_ref", 2316)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )


class TQ2_0(Symmetric):
    """Ternary, two bits an element, one scale to 256 elements: x is about (q - 1) d. Source: ggml, quantize_row_tq2_0_ref."""

    levels, zero = 1, 1
    block = 256
    layout = Layout(66, *planes("codes", 0, 256, run=32, width=2), Half("scale", 64))
    values = numbers(-1, 0, 1, 2)
    citation = source("quantize_row_tq2_0_ref", 2382)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )
