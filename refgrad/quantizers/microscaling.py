"""Formats with a small floating-point scale for each short block: OCP MX, and NVFP4."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic import rounding
from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.arithmetic.primitives import tree_max
from refgrad.arithmetic.rounding import check_codes
from refgrad.arithmetic.steps import SCALE_RULES, FormatCodes, Integer, SharedScale, ToFormat, WholeCodes, step
from refgrad.axes import TENSOR, Axes
from refgrad.errors import bad_argument
from refgrad.quantizers.cast import codes_of
from refgrad.quantizers.parts import Part, numbers
from refgrad.quantizers.rows import Layout, RowQuantizer
from refgrad.rule import Choice, Citation, Whole, by

E8M0, E4M3, E2M1 = (MINIFLOATS[name] for name in ("float8_e8m0fnu", "float8_e4m3fn", "float4_e2m1fn"))


class MX(RowQuantizer):
    """OCP Microscaling: blocks along the last axis share a power of two; elements are small floats, or 8-bit fixed point.

    Parts: ``scale``, one E8M0 code a block (uint8; 255 is NaN); ``codes``, shaped like ``x``, one an element: uint8, or
    int8 in units of 1/64 for "int8". A block may be short at the end of the axis. Elements are x / scale rounded to
    nearest, ties to even, and saturate. A block of zeros has scale 2**-127; zeros keep their sign. NaN or an infinity in a
    block make its scale NaN, and with it every element.
    Source: OCP Microscaling Formats (MX) Specification 1.0, 5.1 to 6.3; Rouhani et al. 2023, arXiv:2310.10537.
    """

    format: Annotated[
        str,
        Choice(
            float8_e4m3fn="MXFP8 E4M3",
            float8_e5m2="MXFP8 E5M2",
            float6_e2m3fn="MXFP6 E2M3",
            float6_e3m2fn="MXFP6 E3M2",
            float4_e2m1fn="MXFP4",
            int8="MXINT8: two's complement in units of 1/64",
        ),
    ] = "float8_e4m3fn"
    scale_rule: Annotated[str, SCALE_RULES] = "floor"
    block_size: Annotated[int, Whole(1)] = 32
    int8_range: Annotated[
        str,
        Choice(
            symmetric=by("from -127/64 to 127/64", "published: the specification recommends it"),
            full="from -128/64 to 127/64, of int8 alone",
        ),
    ] = "symmetric"

    parts = ("scale", "codes")
    needs = {("int8_range", "full"): {"format": "int8"}}
    citation = Citation(
        "Rouhani et al. 2023",
        "Microscaling Data Formats for Deep Learning",
        "arXiv:2310.10537; OCP MX 1.0, 6.3",
        read="authors' code",
        source="microsoft/microxcaling 7bc4195; and packages by others: torchao 0.18.0; gfloat 0.5.2; ggml d99724f",
        unreachable="the OCP specification's text",
    )
    unspecified = (
        "the rounding of the shared scale is the specification's floor; others are common (scale_rule). The "
        "specification's own text was not at hand: four implementations that agree were read"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.int8_range != "symmetric" and self.format != "int8":
            raise bad_argument("MX.int8_range", self.int8_range, "'symmetric' with a format that is not int8")

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """Blocks along the last axis."""
        return Layout.last_axis(shape, self.block_size, "block_size")

    def shared_scale(self) -> SharedScale:
        """The rule from amax to scale."""
        if self.format == "int8":
            return SharedScale(127 / 64, 0, 6, self.scale_rule)
        form = MINIFLOATS[self.format]
        return SharedScale(form.largest, form.largest_exponent, form.mantissa_bits, self.scale_rule)

    @property
    def kept_codes(self) -> WholeCodes | FormatCodes:
        """Codes of the format, or multiples of 1/64."""
        return WholeCodes("int8", unit=1 / 64) if self.format == "int8" else FormatCodes(self.format)

    @property
    def kept_scales(self) -> dict[str, WholeCodes | FormatCodes]:
        """Scales, as codes of E8M0."""
        return {"scale": FormatCodes(E8M0.name, nan=E8M0.nan_code or 0)}

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The rule on rows; ``codes`` are the elements, before they are multiplied by the scale."""
        x = given["x"]
        scale = step(tree_max(np.abs(x), "row"), self.shared_scale())
        if self.format == "int8":
            lowest = -127 if self.int8_range == "symmetric" else -128
            codes = step(x / scale, Integer("even", lowest, 127, unit=1 / 64))
        else:
            codes = step(x / scale, ToFormat(self.format))
        return {"scale": scale, "codes": codes, "y": self.restore({"scale": scale, "codes": codes})}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Element times scale."""
        return parts["codes"] * parts["scale"]

    def stored(self, part: str, values: np.ndarray, layout: Layout) -> np.ndarray:
        """Scales as E8M0 codes, elements as codes of their format; those of a block with a NaN scale are 0."""
        if part == "scale":
            return codes_of(values.reshape(-1), E8M0)
        values = np.where(np.isnan(values), 0, values).astype(values.dtype)
        if self.format == "int8":
            return layout.joined((values * 64).astype(np.int8))
        return layout.joined(codes_of(values, MINIFLOATS[self.format]))

    def values(self, part: str, kept: np.ndarray, layout: Layout) -> np.ndarray:
        """What codes stand for, in float32; scales so large that elements overflow there, as float64 may have, in float64."""
        if part == "scale":
            scale = rounding.decode(kept, E8M0).reshape(-1, 1)
            return scale.astype(np.float64) if (scale > 2.0**100).any() else scale
        if self.format == "int8":
            check_codes(kept.view(np.uint8) if kept.dtype == np.int8 else kept, 256)
            return layout.cut(kept.astype(np.int8).astype(np.float32) / np.float32(64))
        return layout.cut(rounding.decode(kept, MINIFLOATS[self.format]))


class NVFP4(RowQuantizer):
    """NVFP4: E2M1 elements, an E4M3 scale for each 16 along the last axis, and a float32 scale of the tensor.

    t = amax / (448 * 6) of the tensor; s = E4M3(clip((amax / 6) / t, 2**-6, 448)) of a block; elements are x * ((1 / t) / s)
    rounded to E2M1, ties to even, saturating at 6. Parts: ``tensor_scale`` (absent with one level, where t is 1), ``scale``
    (E4M3 codes, uint8) and ``codes``, one an element, uint8. A tensor of zeros has tensor scale 1 and scales 2**-6. NaN
    or an infinity in a tensor of two levels makes all of it NaN; with one level NaN its block, and an infinity saturates as
    large numbers do.
    Source: NVIDIA, "Introducing NVFP4", 2025; the arithmetic is that of torchao's nvfp4_quantize.
    """

    levels: Annotated[
        str,
        Choice(two="a float32 scale of the tensor, and one a block", one="a scale a block"),
    ] = "two"
    normalize: Annotated[
        str,
        Choice(
            reciprocal=by("x times ((1 / t) / s), each operation rounded", "torchao"),
            divide="x / (s * t)",
        ),
    ] = "reciprocal"
    block_size: Annotated[int, Whole(1)] = 16

    citation = Citation(
        "NVIDIA 2025",
        "Introducing NVFP4 for Efficient and Accurate Low-Precision Inference",
        "NVIDIA blog",
        read="package",
        source="torchao 0.18.0 nvfp4_quantize",
    )
    unspecified = (
        "the order of the divisions, on which the bits depend: that of torchao (normalize); the source is a "
        "description without arithmetic; whether there is a scale of the tensor (levels)"
    )

    @property
    def parts(self) -> tuple[str, ...]:  # type: ignore[override]
        """The scales and the codes."""
        return ("tensor_scale", "scale", "codes") if self.levels == "two" else ("scale", "codes")

    def gives(self) -> dict[str, Axes]:
        """The tensor's scale is one number."""
        return super().gives() | ({"tensor_scale": TENSOR} if self.levels == "two" else {})

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """Blocks along the last axis."""
        return Layout.last_axis(shape, self.block_size, "block_size")

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """The tensor's scale is one number, which of no elements is any."""
        found = dict(super().kept_parts(shape))
        if self.levels == "two":
            found["tensor_scale"] = numbers("tensor_scale", ()) if math.prod(shape) else Part(())
        return found

    @property
    def kept_codes(self) -> FormatCodes:
        """Codes of E2M1."""
        return FormatCodes(E2M1.name)

    @property
    def kept_scales(self) -> dict[str, WholeCodes | FormatCodes]:
        """Scales, as codes of E4M3."""
        return {"scale": FormatCodes(E4M3.name, nan=E4M3.nan_code or 0)}

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The rule on rows; ``codes`` are the elements, before they are multiplied by the scales."""
        x = given["x"]
        amax = tree_max(np.abs(x), "row")
        found: dict[str, Any] = {}
        tensor: Any = 1.0
        if self.levels == "two":
            tensor = tree_max(amax) / (448.0 * 6.0)
            tensor = np.where(tensor == 0, 1.0, tensor)
            found["tensor_scale"] = tensor
        scale = step(np.minimum(np.maximum(amax / 6.0 / tensor, 2.0**-6), 448.0), ToFormat(E4M3.name))
        scaled = x / (scale * tensor) if self.normalize == "divide" else x * (1.0 / tensor / scale)
        codes = step(scaled, ToFormat(E2M1.name))
        found |= {"scale": scale, "codes": codes}
        return {**found, "y": self.restore({"tensor_scale": tensor, **found})}

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Element times scale times the tensor's scale."""
        y = parts["codes"] * parts["scale"]
        return y * parts["tensor_scale"] if self.levels == "two" else y

    def fitting(self, part: str, kept: np.ndarray, layout: Layout) -> np.ndarray:
        """The tensor's scale may have any shape of one element."""
        return (
            kept.reshape(1, 1) if part == "tensor_scale" and np.size(kept) == 1 else super().fitting(part, kept, layout)
        )

    def stored(self, part: str, values: np.ndarray, layout: Layout) -> np.ndarray:
        """Codes of E4M3 and E2M1; elements of a block with a NaN scale are 0."""
        if part == "tensor_scale":
            return values.reshape(())
        if part == "scale":
            return codes_of(values.reshape(-1), E4M3)
        return layout.joined(codes_of(np.where(np.isnan(values), 0, values).astype(values.dtype), E2M1))

    def values(self, part: str, kept: np.ndarray, layout: Layout) -> np.ndarray:
        """What codes stand for, in float32."""
        if part == "tensor_scale":
            return kept.reshape(1, 1)
        if part == "scale":
            return rounding.decode(kept, E4M3).reshape(-1, 1)
        return layout.cut(rounding.decode(kept, E2M1))
