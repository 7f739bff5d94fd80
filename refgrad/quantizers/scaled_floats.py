"""Small floats with one float32 scale for each group: FP8 as it is trained and served with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic import rounding
from refgrad.arithmetic.minifloats import MINIFLOATS, Minifloat
from refgrad.arithmetic.primitives import tree_max
from refgrad.arithmetic.steps import FormatCodes, ToFormat, step
from refgrad.quantizers.blockwise import Normalize
from refgrad.quantizers.cast import codes_of
from refgrad.quantizers.rows import Layout, RowQuantizer, granularity
from refgrad.rule import Choice, Citation, NonNegative, Whole, by


class ScaledFloat(RowQuantizer):
    """Each group divided by a scale that sends its largest magnitude to the largest number of a small format.

    s = amax / largest of a group; elements are x / s rounded to the format, ties to even, saturating. Parts: ``scale``, one
    a group, in the working dtype; ``codes``, shaped like ``x``, one an element, uint8. A group of zeros has codes of zero, and
    the scale that ``empty_scale`` says; a NaN or an infinity in a group makes all of it NaN. ``least`` is what amax is at
    least (torchao's optimizer states: 1e-12).
    Source: Micikevicius et al. 2022, arXiv:2209.05433, section 3; in blocks: DeepSeek-AI 2024, arXiv:2412.19437, 3.3.2.
    """

    format: Annotated[
        str,
        Choice(
            float8_e4m3fn="OCP FP8 E4M3: up to 448",
            float8_e5m2="OCP FP8 E5M2: up to 57344",
            float8_e4m3fnuz="E4M3 with bias 8: up to 240",
            float8_e5m2fnuz="E5M2 with bias 16: up to 57344",
            float6_e2m3fn="FP6 E2M3: up to 7.5",
            float6_e3m2fn="FP6 E3M2: up to 28",
            float4_e2m1fn="FP4 E2M1: up to 6",
        ),
    ] = "float8_e4m3fn"
    granularity: Annotated[
        str,
        granularity(
            "block_size", group=("elsewhere: DeepSeek, activations, 128",), block=("torchao: optimizer states, 256",)
        ),
    ] = "tensor"
    axis: Annotated[int, Whole(0)] = 0
    block_size: Annotated[int, Whole(1)] = 128
    normalize: Normalize = "divide"
    least: NonNegative = 0.0
    empty_scale: Annotated[
        str,
        Choice(
            zero=by("a group of zeros has scale 0", "published: amax / largest"),
            one=by("a group of zeros has scale 1", "elsewhere: so that nothing is divided by 0"),
        ),
    ] = "zero"

    parts = ("scale", "codes")
    citation = Citation(
        "Micikevicius et al. 2022",
        "FP8 Formats for Deep Learning",
        "arXiv:2209.05433, section 3",
        read="package",
        source="torchao 0.18.0",
    )
    unspecified = "a group of zeros; the division or a reciprocal; what the scale is rounded to: the working dtype"

    @property
    def record(self) -> Minifloat:
        """The facts of the format."""
        return MINIFLOATS[self.format]

    def tied(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Midpoints of the format under the scale 2**-3."""
        values = rounding.decode(np.arange(2**self.record.bits, dtype=np.uint8), self.record).astype(np.float64)
        values = np.unique(values[np.isfinite(values)])
        x = random.choice((values[1:] + values[:-1]) / 2, shape)
        x[..., ::16] = values[-1]
        return x * 2.0**-3

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """By granularity."""
        return Layout.of(self.granularity, shape, self.axis, self.block_size, "block_size")

    @property
    def kept_codes(self) -> FormatCodes:
        """Codes of the format."""
        return FormatCodes(self.format)

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The rule on rows; ``codes`` are the elements, before they are multiplied by the scale."""
        x = given["x"]
        amax = tree_max(np.abs(x), "row")
        if self.least:
            amax = np.maximum(amax, self.least)
        scale = amax / self.record.largest
        if self.empty_scale == "one":
            scale = np.where(amax == 0, 1.0, scale)
        scaled = x / scale if self.normalize == "divide" else x * (1.0 / scale)
        scaled = np.where(scale == 0, 0.0 * x, scaled)
        codes = step(scaled, ToFormat(self.format))
        return {"scale": scale, "codes": codes, "y": self.restore({"scale": scale, "codes": codes})}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Element times scale."""
        return parts["codes"] * parts["scale"]

    def stored(self, part: str, values: np.ndarray, layout: Layout) -> np.ndarray:
        """Scales as they are, elements as codes of their format; NaN is the code of zero: its scale tells."""
        if part == "scale":
            return values.reshape(-1)
        return layout.joined(codes_of(np.where(np.isnan(values), 0, values).astype(values.dtype), self.record))

    def values(self, part: str, kept: np.ndarray, layout: Layout) -> np.ndarray:
        """What codes stand for, in float32."""
        if part == "scale":
            return kept.reshape(-1, 1)
        return layout.cut(rounding.decode(kept, self.record))
