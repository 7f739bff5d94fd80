"""Why a rule, or a part of one, does not run through its graph: by class, or by one that it derives from, and by entry point."""

from __future__ import annotations

from collections.abc import Mapping

_PRODUCTS = "NumPy, and for products of matrices a blocked kernel by hand"
_LAPACK = f"{_PRODUCTS}; and LAPACK"
_TABLE = "its table is found in the array itself, by iteration or by dynamic programming"
_SPARSE = "it keeps places and values, whose number is not that of the elements"
_PUT = "values are put in their places, whose number is not that of the elements; NumPy does it as fast as a kernel"
_PARTITION = (
    "the largest are found by one partition of integer keys, which is NumPy's and faster than a kernel (see above)"
)

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
    (
        "Transform",
        "call",
    ): "it has no kernel, and runs as it stands; the page says of each what keeps it from one",
    ("Cast", "quantize"): "by hand: every mode and format, on the bits of numbers",
    ("BlockFormat", "quantize"): "by hand: each block tries out scales, by sums from left to right",
    ("RoundToNearest", "quantize"): "its grid is fitted by the code that GPTQ and AWQ call group after group, in NumPy",
    ("GPTQ", "quantize"): "column after column, each by what those before it left over; and LAPACK",
    ("AWQ", "quantize"): "it tries out powers of scales by products of matrices, which are BLAS's",
    ("HQQ", "quantize"): "it iterates until an error falls no longer",
    ("KMeans", "quantize"): _TABLE,
    ("OptimalCodebook", "quantize"): _TABLE,
    ("ProductQuantizer", "quantize"): _TABLE,
    ("PowerSGD", "quantize"): "products of matrices, which are BLAS's",
    ("TopK", "quantize"): _SPARSE,
    ("RandomK", "quantize"): _SPARSE,
    (
        "RoundToNearest",
        "dequantize",
    ): "each column names its group, which may be any (GPTQ's act_order): each row would have a table of its own",
    (
        "ProductQuantizer",
        "dequantize",
    ): "codes are places in tables of vectors, one table for each stretch; a kernel's are of numbers",
    ("PowerSGD", "dequantize"): "a product of its two factors, which is BLAS's",
    ("TopK", "dequantize"): _PUT,
    ("RandomK", "dequantize"): _PUT,
}


def reason(cls: type, entry: str) -> str:
    """Why an entry point of a rule does not run through a graph; empty if nobody has said."""
    return next((REASONS[c.__name__, entry] for c in cls.__mro__ if (c.__name__, entry) in REASONS), "")
