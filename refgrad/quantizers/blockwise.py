"""Block-wise quantization to the nearest of a table: the 8-bit maps of optimizer states, NF4, FP4 and AF4."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.primitives import tree_max, tree_sum
from refgrad.arithmetic.rounding import check_codes
from refgrad.arithmetic.steps import TIES, Nearest, NearestCode, OnGrid, TableCodes, WholeCodes, step
from refgrad.derived import derived
from refgrad.quantizers import tables
from refgrad.quantizers.parts import Part, numbers, whole
from refgrad.quantizers.rows import Layout, RowQuantizer
from refgrad.rule import Choice, Citation, Flag, NonNegative, Whole, by

Normalize = Annotated[
    str,
    Choice(
        divide=by("x / absmax", "published", "torchao: of its optimizer states"),
        reciprocal=by("x times 1 / absmax, itself rounded", "bitsandbytes: of 8 bits, NF4 and FP4"),
    ),
]
Ties = Annotated[str, TIES]
BlockSize = Annotated[int, Whole(1)]


class Codebook(RowQuantizer):
    """Base: each block of the flat array divided by its largest magnitude, then the nearest value of a table.

    Parts: ``absmax``, one a block, in the working dtype; ``codes``, shaped like ``x``, uint8. The last block may be short.
    Nested, absmax is kept as ``offset`` (its mean, by the tree of `tree_sum`), ``absmax_of_absmax`` and ``absmax_codes``;
    codes are those of the absmax before that.
    A block of zeros has absmax 0 and the code of zero (0 / 0 is nearest to nothing else). One NaN or infinity in a block
    makes all of it NaN when it is dequantized. Codes are ranks in the table, unless a rule says otherwise. ``least`` is
    what absmax is at least (torchao's optimizer states: 1e-12).
    """

    block_size: BlockSize = 64
    normalize: Normalize = "divide"
    ties: Ties = "lower"
    search: Annotated[
        str,
        Choice(
            nearest="the nearest value of the table",
            grid=by(
                "the nearest value to the nearest of 65536 equal steps from -1 to 1", "bitsandbytes: of 8 bits on a CPU"
            ),
        ),
    ] = "nearest"
    least: NonNegative = 0.0
    nested: Annotated[
        bool,
        Flag(
            "absmax is itself quantized: its mean is taken away, then bitsandbytes' signed map in blocks of 256 is used"
        ),
    ] = False

    @property
    def parts(self) -> tuple[str, ...]:  # type: ignore[override]
        """``absmax``, or what it is quantized to, and ``codes``."""
        return (*NESTED, "codes") if self.nested else ("absmax", "codes")

    def table(self) -> tables.Values:
        """The values, ascending."""
        raise NotImplementedError

    @property
    def nonnegative(self) -> bool:
        """True if the table has no negative value."""
        return min(self.table()) >= 0

    def tied(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Midpoints of the table where the largest magnitude is a power of two."""
        values = np.asarray(self.table())
        x = random.choice((values[1:] + values[:-1]) / 2, shape)
        x[..., ::16] = values[-1]
        return x * 4.0

    def code_numbers(self) -> np.ndarray:
        """The code of each value of the table."""
        return np.arange(len(self.table()), dtype=np.uint8)

    @property
    @derived
    def nearest(self) -> Nearest:
        """The nearest value of the table."""
        return Nearest(self.table(), self.ties)

    @property
    @derived
    def code_values(self) -> np.ndarray:
        """The value of each code, in float32; NaN where there is no such code."""
        numbers = self.code_numbers()
        values = np.full(int(numbers.max()) + 1, np.nan, np.float32)
        values[numbers] = self.table()
        return values

    @property
    def kept_codes(self) -> WholeCodes:
        """Numbers of values."""
        return WholeCodes("uint8")

    @property
    def code_of_nearest(self) -> NearestCode:
        """The code of each value."""
        return NearestCode(self.nearest, tuple(self.code_numbers().tolist()))

    @property
    @derived
    def read_codes(self) -> TableCodes:
        """Places in `code_values`."""
        return TableCodes(tuple(self.code_values.tolist()))

    def body_parts(self) -> tuple[str, ...]:
        """Absmax before it is nested, and codes."""
        return ("absmax", "codes")

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """Blocks of the flat array."""
        return Layout.flat(shape, self.block_size, "block_size")

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """As every quantizer of rows; what absmax is nested in is kept as the inner quantizer keeps it."""
        if not self.nested:
            return super().kept_parts(shape)
        inner = _inner().kept_parts((self.layout(shape).rows,))
        nested = (numbers("offset", ()), inner["absmax"], inner["codes"])
        return {**dict(zip(NESTED, nested, strict=True)), "codes": whole(shape)}

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The rule on rows; ``codes`` are the values that codes stand for."""
        x = given["x"]
        absmax = tree_max(np.abs(x), "row")
        if self.least:
            absmax = np.maximum(absmax, self.least)
        scaled = x / absmax if self.normalize == "divide" else x * (1 / absmax)
        codes = step(scaled, self.nearest if self.search == "nearest" else OnGrid(self.table()))
        return {"absmax": absmax, "codes": codes, "y": self.restore({"absmax": absmax, "codes": codes})}

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """As every quantizer of rows; then absmax nested, if it is."""
        kept = super().encode(x)
        return {**nest(kept["absmax"]), "codes": kept["codes"]} if self.nested else kept

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The same way back."""
        layout = self.cut_as(shape)
        absmax = unnest(arrays, layout.rows) if self.nested else self.fitting("absmax", arrays["absmax"], layout)
        codes = check_codes(self.fitting("codes", arrays["codes"], layout), len(self.code_values))
        return self.restored({"absmax": absmax, "codes": codes}, layout)

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """The value of the code times absmax."""
        return parts["codes"] * parts["absmax"]

    def stored(self, part: str, values: np.ndarray, layout: Layout) -> np.ndarray:
        """Codes as uint8."""
        if part == "absmax":
            return values.reshape(-1)
        rank = np.searchsorted(np.asarray(self.table(), values.dtype), values)
        return layout.joined(self.code_numbers()[rank])

    def values(self, part: str, kept: np.ndarray, layout: Layout) -> np.ndarray:
        """Codes as values of the table, in the dtype of absmax, which is exact."""
        if part == "absmax":
            return kept.reshape(-1, 1)
        kept = check_codes(kept, len(self.code_values))
        return layout.cut(self.code_values[kept])


#: the parts that a nested absmax is kept in
NESTED = ("offset", "absmax_of_absmax", "absmax_codes")


def nest(absmax: np.ndarray) -> dict[str, np.ndarray]:
    """A nested absmax: its mean, and what is left quantized to bitsandbytes' signed map in blocks of 256."""
    offset = (tree_sum(absmax) / absmax.dtype.type(max(absmax.size, 1))).astype(absmax.dtype).reshape(())
    inner = _inner().encode(absmax - offset)
    return dict(zip(NESTED, (offset, inner["absmax"], inner["codes"]), strict=True))


def unnest(arrays: Mapping[str, np.ndarray], count: int) -> np.ndarray:
    """The absmax that nested parts stand for; it may be a little below zero."""
    offset, absmax, codes = (arrays[part] for part in NESTED)
    return _inner().decode({"absmax": absmax, "codes": codes}, (count,)) + offset


@cache
def _inner() -> Blockwise:
    return Blockwise(map="bitsandbytes", block_size=256, normalize="reciprocal", ties="bitsandbytes")


class Blockwise(Codebook):
    """Block-wise quantization to 8 bits: codes of a dynamic, linear or author's map, one absmax a block.

    Source: Dettmers et al. 2022, arXiv:2110.02861, 2.1 to 2.3: q_i = argmin_j abs(Q_j - x_i / absmax); optimizer states
    use blocks of 2048 as first published, of 256 in bitsandbytes today.
    """

    block_size: BlockSize = 2048
    map: Annotated[
        str,
        Choice(
            dynamic="the dynamic map in real arithmetic, each value rounded once to float32; it has 1 and not -1",
            dynamic_unsigned="the dynamic map without a sign, for second moments",
            bitsandbytes="the dynamic map as bitsandbytes computes it in float32: 72 values differ in the last bits",
            bitsandbytes_unsigned="the same without a sign: 100 values differ",
            linear="k / 127 for k from -127 to 127",
            linear_unsigned="k / 255 for k from 0 to 255",
            dynamic_4bit=by("the dynamic map of 4 bits in float32 operations", "torchao: 4-bit optimizer states"),
            linear_4bit=by(
                "k / 16 for k from 1 to 16, without zero", "elsewhere: Li et al. 2023, arXiv:2309.01507", "torchao"
            ),
        ),
    ] = "dynamic"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "its map has a largest value that has no negative",
        "idempotent": "its scale is taken anew from what codes stand for, which is rounded",
    }
    citation = Citation(
        "Dettmers et al. 2022",
        "8-bit Optimizers via Block-wise Quantization",
        "arXiv:2110.02861, section 2",
        read="authors' code",
        source="bitsandbytes 95f9af3, csrc/kernels.cu lines 160, dQuantize, and 271, kQuantizeBlockwise; bitsandbytes 0.50.2",
    )
    unspecified = (
        "ties: to the lower code, as argmin; the map has 1 and not -1, as all codes, and differs in last bits "
        "where it is computed in float32 (map=bitsandbytes)"
    )

    def table(self) -> tables.Values:
        """The map."""
        return tables.MAPS[self.map]()


class NF4(Codebook):
    """4-bit NormalFloat: quantiles of the normal distribution, with an exact zero.

    Source: Dettmers et al. 2023, arXiv:2305.14314, section 3 and appendix E. A code is a rank; -1 is 0.
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "its table has another number of values below zero than above",
    }
    citation = Citation(
        "Dettmers et al. 2023",
        "QLoRA: Efficient Finetuning of Quantized LLMs",
        "arXiv:2305.14314, 3",
        read="authors' code",
        source="bitsandbytes 95f9af3, csrc/kernels.cu lines 110, dQuantizeNF4, and 271, kQuantizeBlockwise; bitsandbytes 0.50.2",
    )
    unspecified = (
        "ties: to the lower code; the table's last bits are those of the package, as the paper prints it; absmax "
        "of a block of zeros is zero"
    )

    def table(self) -> tables.Values:
        """The 16 values."""
        return tables.NF4


class FP4(Codebook):
    """The 4-bit float of bitsandbytes, which is not OCP E2M1: magnitudes 0, 1/192, 1/6, 1/4, 1/3, 1/2, 2/3 and 1.

    The code is a sign (8) and a number of the magnitude. Zero has code 0; code 8, minus zero, is read as zero and never
    given. Source: Dettmers et al. 2023, arXiv:2305.14314, and bitsandbytes, whose CUDA thresholds lie up to 14 units in the
    last place off the midpoints.
    """

    citation = Citation(
        "Dettmers et al. 2023",
        "QLoRA: Efficient Finetuning of Quantized LLMs",
        "arXiv:2305.14314, 4",
        read="authors' code",
        source="bitsandbytes 95f9af3, csrc/kernels.cu lines 64, dQuantizeFP4, and 271, kQuantizeBlockwise; bitsandbytes 0.50.2",
    )
    unspecified = (
        "the paper does not print the table: it is that of the package; ties, and the code of minus zero, which "
        "bitsandbytes gives on a CPU and is never given here"
    )

    def table(self) -> tables.Values:
        """The 15 different values."""
        return tuple(sorted({v * sign for v in tables.FP4_MAGNITUDES for sign in (1, -1)}))

    def code_numbers(self) -> np.ndarray:
        """The number of the magnitude, and 8 for a negative value."""
        numbers = [tables.FP4_MAGNITUDES.index(abs(v)) + 8 * (v < 0) for v in self.table()]
        return np.asarray(numbers, np.uint8)

    @property
    @derived
    def code_values(self) -> np.ndarray:
        """As in `Codebook`; code 8 is zero."""
        values = np.asarray([*tables.FP4_MAGNITUDES, *(-v for v in tables.FP4_MAGNITUDES)], np.float32)
        values[8] = 0.0
        return values


class AF4(Codebook):
    """4-bit AbnormalFloat for blocks of 64: the table that makes the expected magnitude of the error smallest.

    Source: Yoshida 2023, arXiv:2306.06965. A code is a rank, -1 is 0; bitsandbytes numbers them from 1 downwards.
    """

    block_size: Annotated[int, Whole(64, 64)] = 64

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "its table has another number of values below zero than above",
    }
    citation = Citation(
        "Yoshida 2023",
        "NF4 Isn't Information Theoretically Optimal (and that's Good)",
        "arXiv:2306.06965",
        read="package",
        source="bitsandbytes 0.50.2",
    )
    unspecified = (
        "ties, and the number of a code: a rank here, descending in bitsandbytes; the table is the paper's for "
        "blocks of 64, other sizes have other tables"
    )

    def table(self) -> tables.Values:
        """The 16 values."""
        return tables.AF4
