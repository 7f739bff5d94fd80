"""Formats whose scales are found by a search: Q2_K to Q6_K (super-blocks of 256 elements), and IQ4_NL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import numpy as np

from refgrad.quantizers.gguf import searches
from refgrad.quantizers.gguf.blocks import BlockFormat, half, numbers
from refgrad.quantizers.gguf.layout import Bits, Fields, Half, Layout, planes
from refgrad.quantizers.gguf.searches import NOTHING, ONE, TINY, ZERO, extreme, nearest_integer
from refgrad.quantizers.gguf.simple import source
from refgrad.quantizers.gguf.twins import fast
from refgrad.rule import Choice, by

SUPER_BLOCK = 256


def products(step: np.ndarray, integers: np.ndarray) -> np.ndarray:
    """What the integers of each super-block stand for, one a group."""
    return (step.astype(np.float32)[:, None] * integers.astype(np.float32)).reshape(-1)


#: eight pairs of 6-bit numbers in 12 bytes: the upper four of each have their top two bits with the lower four
PAIRS_OF_SIX_BITS = (
    Bits("scales", 0, 4, 4, width=6),
    Bits("scales", 4, 4, 4, width=2, shift=6, low=4),
    Bits("minimums", 0, 4, 8, width=6),
    Bits("minimums", 4, 4, 8, width=2, shift=6, low=4),
    Bits("scales", 4, 4, 12, width=4),
    Bits("minimums", 4, 4, 12, width=4, shift=4),
)


class ScaleAndMinimum(BlockFormat):
    """A scale and a minimum for each group of a super-block, quantized in their turn.

    Each group is fitted by `searches.fit_affine`; scales and minimums become integers 0 .. N of their largest, whose
    binary16 share d = max / N is stored. Codes are computed once more from what was stored,
    q = round((x + dmin m) / (d s)), unless d s is 0, where the first ones stay.
    """

    block = SUPER_BLOCK
    group: ClassVar[int]
    #: the largest integer that a scale or minimum takes
    top: ClassVar[int]
    #: where the search starts, and its last try
    start: ClassVar[float]
    tries: ClassVar[int]
    #: whether the search sums errors' magnitudes, or their squares
    absolute: ClassVar[bool] = False

    def weigh(self, x: np.ndarray) -> np.ndarray:
        """The weight of each element's error: the group's root mean square and the magnitude."""
        return np.sqrt(searches.total(x * x) / np.float32(self.group))[:, None] + np.abs(x)

    def search(self, x: np.ndarray) -> Fields:
        """By the rule above."""
        levels = len(self.values) - 1
        groups = x.reshape(-1, self.group)
        weights = self.weigh(groups)
        scale, minimum, first = fast(
            searches.fit_affine, groups, weights, levels, self.start, self.tries, self.absolute
        )
        d, scales = self.integers(scale)
        d_min, minimums = self.integers(minimum)
        codes = fast(searches.code_again, groups, products(d_min, minimums), products(d, scales), first, 0, levels)
        codes = codes.reshape(x.shape)
        return {"scale": d, "minimum": d_min, "scales": scales, "minimums": minimums, "codes": codes}

    def integers(self, found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The binary16 step and the integers of each super-block's non-negative numbers, one a group."""
        found = found.reshape(-1, self.block // self.group)
        largest = np.maximum(found.max(axis=1), ZERO)
        inverse = np.where(largest > 0, np.float32(self.top) / largest, ZERO)
        integers = nearest_integer(inverse[:, None] * found).astype(np.uint8)
        return half(largest / np.float32(self.top)), np.minimum(integers, np.uint8(self.top))


class Q2_K(ScaleAndMinimum):
    """2-bit codes in groups of 16, 4-bit scales and minimums: x is about d s q - dmin m.

    The search weighs by |x| and sums |error|. Source: ggml, quantize_row_q2_K_ref.
    """

    group, top, start, tries, absolute = 16, 15, -0.5, 15, True
    layout = Layout(
        84,
        Bits("scales", 0, 16, 0, width=4),
        Bits("minimums", 0, 16, 0, width=4, shift=4),
        *planes("codes", 16, 256, run=32, width=2),
        Half("scale", 80),
        Half("minimum", 82),
    )
    values = numbers(*range(4))
    scale_values = numbers(*range(16))
    citation = source("quantize_row_q2_K_ref", 891)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )

    def weigh(self, x: np.ndarray) -> np.ndarray:
        """The magnitude."""
        return np.abs(x)


class Q4_K(ScaleAndMinimum):
    """4-bit codes in groups of 32, 6-bit scales and minimums: x is about d s q - dmin m.

    Source: ggml, quantize_row_q4_K_ref.
    """

    group, top, start, tries = 32, 63, -1.0, 20
    layout = Layout(
        144,
        Half("scale", 0),
        Half("minimum", 2),
        *PAIRS_OF_SIX_BITS,
        *planes("codes", 16, 256, run=32, width=4),
    )
    values = numbers(*range(16))
    scale_values = numbers(*range(64))
    citation = source("quantize_row_q4_K_ref", 1457)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )


class Q5_K(ScaleAndMinimum):
    """5-bit codes in groups of 32, 6-bit scales and minimums: x is about d s q - dmin m.

    Source: ggml, quantize_row_q5_K_ref.
    """

    group, top, start, tries = 32, 63, -0.5, 15
    layout = Layout(
        176,
        Half("scale", 0),
        Half("minimum", 2),
        *PAIRS_OF_SIX_BITS,
        *planes("codes", 48, 256, run=32, width=4),
        *planes("codes", 16, 256, run=32, width=1, low=4),
    )
    values = numbers(*range(32))
    scale_values = numbers(*range(64))
    citation = source("quantize_row_q5_K_ref", 1644)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )


class SignedScale(BlockFormat):
    """A signed scale for each group of 16 of a super-block, quantized in its turn; codes around zero.

    The scale of largest magnitude (the first one on ties) becomes the lowest integer -N, the others follow; the binary16
    step d = 1 / (-N / scale) is stored. Codes are computed once more from what was stored, q = round(x / (d s)), unless
    d s is 0, where the first ones stay.
    """

    block = SUPER_BLOCK
    group = 16
    #: the magnitude of the lowest integer that a scale takes
    top: ClassVar[int]

    def fit(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Scale and codes of each group."""
        raise NotImplementedError

    def stored(self, integers: np.ndarray) -> np.ndarray:
        """The bytes that stand for scales from -N to N - 1."""
        raise NotImplementedError

    def search(self, x: np.ndarray) -> Fields:
        """By the rule above."""
        levels = len(self.values) // 2
        groups = x.reshape(-1, self.group)
        scale, first = self.fit(groups)
        scale = np.nan_to_num(scale.reshape(-1, self.block // self.group), nan=0.0, posinf=np.inf, neginf=-np.inf)
        largest = self.significant(extreme(scale))
        inverse = np.where(largest != 0, np.float32(-self.top) / largest, ZERO)
        d = half(np.where(largest != 0, ONE / inverse, ZERO))
        integers = np.clip(nearest_integer(inverse[:, None] * scale), -self.top, self.top - 1)
        s = products(d, integers)
        codes = fast(searches.code_again, groups, np.full_like(s, NOTHING), s, first, -levels, levels - 1)
        fields = {"scale": d, "scales": self.stored(integers), "codes": codes.reshape(x.shape)}
        return self.cleared(fields, largest)

    def significant(self, largest: np.ndarray) -> np.ndarray:
        """Each super-block's largest scale, 0 if it counts as zero."""
        return largest

    def cleared(self, fields: Fields, largest: np.ndarray) -> Fields:
        """The fields, with those of super-blocks of zeros as the format wants them."""
        return fields


class Q3_K(SignedScale):
    """3-bit codes in groups of 16, 6-bit signed scales: x is about d (s - 32) (q - 4). Source: ggml, quantize_row_q3_K_ref."""

    top = 32
    layout = Layout(
        110,
        *planes("codes", 0, 256, run=32, width=1, low=2),
        *planes("codes", 32, 256, run=32, width=2),
        *planes("scales", 96, 16, run=8, width=4),
        *planes("scales", 104, 16, run=4, width=2, low=4),
        Half("scale", 108),
    )
    values = numbers(*range(-4, 4))
    scale_values = numbers(*range(-32, 32))
    exempt_laws: ClassVar[Mapping[str, str]] = {
        "monotone": "a row has blocks with scales of their own",
    }
    citation = source("quantize_row_q3_K_ref", 1229)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )

    def fit(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """By coordinates."""
        return fast(searches.fit_by_coordinates, groups, 4)

    def stored(self, integers: np.ndarray) -> np.ndarray:
        """Shifted by 32."""
        return (integers + 32).astype(np.uint8)

    def cleared(self, fields: Fields, largest: np.ndarray) -> Fields:
        """Where all scales are zero, the bytes of the scales are zero too (and stand for -32)."""
        fields["scales"][largest == 0] = 0
        return fields


class Q6_K(SignedScale):
    """6-bit codes in groups of 16, 8-bit signed scales: x is about d s (q - 32). Source: ggml, quantize_row_q6_K_ref."""

    top = 128
    layout = Layout(
        210,
        *planes("codes", 0, 256, run=64, width=4),
        *planes("codes", 128, 256, run=32, width=2, low=4),
        Bits("scales", 0, 16, 192),
        Half("scale", 208),
    )
    values = numbers(*range(-32, 32))
    scale_values = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.float32)
    exempt_laws: ClassVar[Mapping[str, str]] = {
        "monotone": "a row has blocks with scales of their own",
    }
    citation = source("quantize_row_q6_K_ref", 1869)
    unspecified = (
        "nothing: the C code is the definition, and its bits are followed, without contraction; blocks with NaN or "
        "infinities are undefined there and have codes of their own here"
    )

    def fit(self, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Around the extreme."""
        return fast(searches.fit_symmetric, groups, 32)

    def stored(self, integers: np.ndarray) -> np.ndarray:
        """Two's complement."""
        return integers.astype(np.int8).view(np.uint8)

    def significant(self, largest: np.ndarray) -> np.ndarray:
        """A scale below 1e-15 counts as zero."""
        return np.where(np.abs(largest) >= TINY, largest, ZERO)

    def cleared(self, fields: Fields, largest: np.ndarray) -> Fields:
        """A super-block of zeros is all zero bytes."""
        fields["codes"][largest == 0] = 0
        return fields


class IQ4_NL(BlockFormat):
    """4-bit indices into a table that is denser near zero, one scale to 32 elements: x is about d K[q].

    Source: ggml, quantize_row_iq4_nl_impl. In a block that counts as zero (largest magnitude below 1e-15) all indices are
    those of the entry nearest to 0, which is 1, so that it decodes to +0.0.
    """

    tries: Annotated[
        str,
        Choice(
            seven=by("fifteen scales around the extreme are tried", "ggml: quantize_iq4_nl, which writes files"),
            none=by("the scale is fitted once to the first codes, which are kept", "ggml: quantize_row_iq4_nl_ref"),
        ),
    ] = "seven"

    block = 32
    layout = Layout(18, Half("scale", 0), *planes("codes", 2, 32, run=16, width=4))
    values = numbers(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)
    citation = source("quantize_row_iq4_nl_impl", 4966)
    unspecified = (
        "which of the two quantizers of that name is meant: the one that tries fifteen scales (tries=none is the "
        "other); a block that counts as zero has indices that the C code leaves uninitialised in one of them"
    )

    def search(self, x: np.ndarray) -> Fields:
        """By `searches.fit_table`."""
        scale, codes = fast(searches.fit_table, x, self.values, 7 if self.tries == "seven" else 0)
        return {"scale": half(scale), "codes": codes}
