"""Quantizers: casts of ml_dtypes, torch and gfloat; bitsandbytes; torchao; gguf; torch's own."""

from __future__ import annotations

from typing import Any

from refgrad import quantizers as q
from refgrad.quantizers.base import Quantizer
from refgrad.surveys.implementations.record import Implementation

#: formats that ml_dtypes has as NumPy dtypes
ML_DTYPES = (
    "bfloat16",
    "float8_e4m3fn",
    "float8_e5m2",
    "float8_e4m3fnuz",
    "float8_e5m2fnuz",
    "float8_e4m3",
    "float8_e3m4",
    "float8_e4m3b11fnuz",
    "float8_e8m0fnu",
    "float6_e2m3fn",
    "float6_e3m2fn",
    "float4_e2m1fn",
)
TORCH = ("bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz", "float8_e8m0fnu")
GFLOAT = {
    "bfloat16": "format_info_bfloat16",
    "float16": "format_info_binary16",
    "float8_e4m3fn": "format_info_ocp_e4m3",
    "float8_e5m2": "format_info_ocp_e5m2",
    "float8_e8m0fnu": "format_info_ocp_e8m0",
    "float6_e2m3fn": "format_info_ocp_e2m3",
    "float6_e3m2fn": "format_info_ocp_e3m2",
    "float4_e2m1fn": "format_info_ocp_e2m1",
}


def row(package: str, target: str, claim: Quantizer, through: str, name: str, **others: Any) -> Implementation:
    """A quantizer of a package, driven by a function of `casts`."""
    return Implementation(package=package, target=target, claim=claim, through=f"casts.{through}", name=name, **others)


#: formats without infinities and NaN, in which everything saturates
NUMBERS_ALONE = ("float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn")

#: powers of two alone, which no package rounds as the standard does
SCALES = "float8_e8m0fnu"

#: of torch's casts those that saturate
SATURATE = {"float8_e4m3fn": {"overflow": "saturate"}}

CASTS = [
    *[
        row("ml_dtypes", f"ml_dtypes:{n}", q.Cast(format=n), "cast", f"ml_dtypes.{n}", explained=n != SCALES)
        for n in ML_DTYPES
    ],
    *[
        row(
            "torch",
            f"torch:{n}",
            q.Cast(format=n),
            "torch_cast",
            f"torch.{n}",
            variant=SATURATE.get(n, {}),
            explained=n != SCALES,
        )
        for n in TORCH
    ],
    *[
        row(
            "gfloat",
            "gfloat:round_ndarray",
            q.Cast(format=n, overflow="saturate" if n in NUMBERS_ALONE else "overflow"),
            "gfloat_cast",
            f"gfloat.{record.removeprefix('format_info_')}",
            arguments={"format": record, "saturate": n in NUMBERS_ALONE},
            explained=n not in (SCALES, "float8_e4m3fn"),
            note="NaN is coded without its sign" if n == "float8_e4m3fn" else "",
        )
        for n, record in GFLOAT.items()
    ],
]

CODEBOOKS = [
    *[
        row(
            "bitsandbytes",
            "bitsandbytes.functional:quantize_blockwise",
            q.Blockwise(map=map, block_size=256),
            "blockwise",
            "bitsandbytes.functional.quantize_blockwise",
            arguments={"signed": not map.endswith("unsigned"), "block_size": 256},
            variant={"search": "grid", "normalize": "reciprocal"},
            explained=False,
            note="on a CPU codes are looked up on a grid of 65536 steps, and NaN is left out of a block's absmax",
        )
        for map in ("bitsandbytes", "bitsandbytes_unsigned")
    ],
    *[
        row(
            "bitsandbytes",
            "bitsandbytes.functional:quantize_4bit",
            rule(block_size=64),
            "four_bits",
            "bitsandbytes.functional.quantize_4bit",
            arguments={"kind": kind, "block_size": 64},
            note="a short last block of zeros keeps absmax 1e-38; on a CPU rows that blocks do not divide are restored "
            "with the absmax of other blocks, and a vector as a matrix of one row",
            explained=False,
        )
        for kind, rule in (("nf4", q.NF4), ("fp4", q.FP4))
    ],
]

BLOCKS = [
    *[
        row(
            "torchao",
            "torchao.prototype.mx_formats.mx_tensor:to_mx",
            q.MX(format=name, scale_rule=rule),
            "microscaled",
            "torchao.prototype.mx_formats.to_mx",
            arguments={"format": name, "scale_rule": rule},
            policy={"subnormals": "either"},
            explained=False,
            note="the largest of a subnormal block is read as zero, and so are its numbers; a block with an infinity has "
            "a number for its scale",
        )
        for name, rule in (
            ("float8_e4m3fn", "floor"),
            ("float8_e4m3fn", "rceil"),
            ("float8_e4m3fn", "even"),
            ("float8_e5m2", "floor"),
            ("float4_e2m1fn", "floor"),
        )
    ],
    row(
        "torchao",
        "torchao.prototype.mx_formats.nvfp4_tensor:nvfp4_quantize",
        q.NVFP4(levels="one"),
        "nvfp4",
        "torchao.prototype.mx_formats.nvfp4_quantize",
    ),
    *[
        row(
            "gguf",
            "gguf.quants:quantize",
            getattr(q, name)(),
            "gguf_blocks",
            "gguf.quants.quantize",
            arguments={"name": name},
        )
        for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0")
    ],
    *[
        row(
            "torch",
            "torch:quantize_per_tensor",
            q.Affine(symmetric=symmetric),
            "observed",
            "torch.quantize_per_tensor",
            arguments={"scheme": scheme},
            variant={**variant, "smallest_scale": 2.0**-23},
            note=note,
        )
        for symmetric, scheme, variant, note in (
            (False, "per_tensor_affine", {}, "torch 2.13.0 adds the zero point before it rounds"),
            (True, "per_tensor_symmetric", {"divisor": "half"}, ""),
        )
    ],
]

ROWS = [*CASTS, *CODEBOOKS, *BLOCKS]
