"""Why a rule, or a part of one, does not run through its graph: by class, or by one that it derives from, and by entry point."""

from __future__ import annotations

from collections.abc import Mapping

_PRODUCTS = "NumPy, and for products of matrices a blocked kernel by hand"
_LAPACK = f"{_PRODUCTS}; and LAPACK"
_TABLE = "its table is found in the array itself, by iteration or by dynamic programming"
_SPARSE = "it keeps places and values, whose number is not that of the elements"
_PARTITION = "the largest are found by one partition of integer keys, which is NumPy's"

#: (class, entry point) -> the reason
REASONS: Mapping[tuple[str, str], str] = {
    ("Muon", "step"): _PRODUCTS,
    ("PSGDKron", "step"): _LAPACK,
    ("Shampoo", "step"): _LAPACK,
    ("SOAP", "step"): _LAPACK,
    ("GaLore", "step"): _LAPACK,
    ("Movement", "score"): "its scores are one of the arrays that are handed in",
    ("RandomMask", "score"): "its scores are one of the arrays that are handed in",
    ("Mask", "selection"): _PARTITION,
    ("Transposable", "selection"): "every pattern of a tile is weighed, or a matching is searched",
    ("MaskUpdate", "next mask"): f"as masks: {_PARTITION}; where several keys decide, by sorting",
    ("Transform", "call"): "its arrays have axes of batches, workers or classes; graphs have those of one parameter",
    ("Cast", "quantize"): "by hand: every mode and format, on the bits of numbers",
    ("Cast", "dequantize"): "one look-up of each code in a table, by NumPy",
    ("BlockFormat", "quantize"): "by hand: each block tries out scales, by sums from left to right",
    ("BlockFormat", "dequantize"): "by hand: blocks within blocks, each with a scale of its own",
    ("RoundToNearest", "quantize"): "each column names its group, whose number may be any",
    ("GPTQ", "quantize"): "column after column, each by what those before it left over; and LAPACK",
    ("AWQ", "quantize"): "it tries out powers of scales by products of matrices, which are BLAS's",
    ("HQQ", "quantize"): "it iterates until an error falls no longer",
    ("KMeans", "quantize"): _TABLE,
    ("OptimalCodebook", "quantize"): _TABLE,
    ("ProductQuantizer", "quantize"): _TABLE,
    ("PowerSGD", "quantize"): "products of matrices, which are BLAS's",
    ("QSGD", "quantize"): "its shares are float32 numbers and its uniforms float64 ones, and a graph has one dtype",
    ("NUQSGD", "quantize"): "its norm, rounded to float32, divides in float64, and a graph has one dtype",
    ("TopK", "quantize"): _SPARSE,
    ("RandomK", "quantize"): _SPARSE,
    ("Quantizer", "dequantize"): "one expression of codes and scales, in NumPy and mostly in float64",
}


def reason(cls: type, entry: str) -> str:
    """Why an entry point of a rule does not run through a graph; empty if nobody has said."""
    return next((REASONS[c.__name__, entry] for c in cls.__mro__ if (c.__name__, entry) in REASONS), "")
