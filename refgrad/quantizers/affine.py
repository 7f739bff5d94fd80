"""Uniform affine quantization: integers of 1 to 16 bits with a scale and a zero point for each group."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.arrays import as_array
from refgrad.arithmetic.dtypes import working
from refgrad.arithmetic.primitives import tree_max
from refgrad.arithmetic.steps import FormatCodes, Integer, WholeCodes, step
from refgrad.axes import ELEMENT, ROW, Axes
from refgrad.derived import derived
from refgrad.errors import ArgumentError, bad_argument
from refgrad.quantizers import ranges
from refgrad.quantizers.blockwise import Normalize
from refgrad.quantizers.rows import Layout, RowQuantizer, granularity
from refgrad.rule import Choice, Citation, Flag, NonNegative, Range, Whole, by
from refgrad.tracing import literal


class Affine(RowQuantizer):
    """q = clip(round(x / s) + z, qmin, qmax), and back (q - z) s.

    With bits b, q lies in [-2**(b - 1), 2**(b - 1) - 1], or in [0, 2**b - 1] unsigned; narrow leaves the lowest out. From an
    interval [lo, hi], widened to hold zero: s = (hi - lo) / (qmax - qmin), z = clip(qmin - round(lo / s), qmin, qmax), ties to
    even; symmetric: s = max(-lo, hi) / divisor, z = 0, or 2**(b - 1) unsigned. s is at least ``smallest_scale``; where it is
    0 all the same, for an interval of no width, it is 1.
    Parts: ``scale``, one a group, in the working dtype; ``zero_point``, int32; ``codes``, int8 by default. A NaN in a group
    makes its scale and all of it NaN, an infinity makes its scale infinite; `quantize_with` says what becomes of them under
    given scales.
    Source: Jacob et al. 2018, arXiv:1712.05877, 2.1; Krishnamoorthi 2018, arXiv:1806.08342, section 2.
    """

    bits: Annotated[int, Whole(1, 16)] = 8
    signed: Annotated[bool, Flag("codes are signed integers")] = True
    symmetric: Annotated[bool, Flag("the interval is symmetric, and the zero point in its middle")] = False
    narrow: Annotated[bool, Flag("the lowest code is not used")] = False
    granularity: Annotated[str, granularity("group_size")] = "tensor"
    axis: Annotated[int, Whole(0)] = 0
    group_size: Annotated[int, Whole(1)] = 128
    range: Annotated[
        str,
        Choice(
            min_max="from the least to the largest number",
            percentile="that leaves (100 - `percentile`) of the numbers outside",
            mean_square="of 80 shrunken ones that with the least squared error",
            divergence="that with the least Kullback-Leibler divergence of histograms; symmetric alone",
        ),
    ] = "min_max"
    percentile: Annotated[float, Range(50.0, 100.0, False, False)] = 99.99
    divisor: Annotated[
        str,
        Choice(
            highest=by("qmax", "published", "brevitas", "quanto", "TFLite"),
            half=by("(qmax - qmin) / 2", "torch: observers", "torchao"),
            lowest="-qmin; unsigned, 2**(b - 1)",
        ),
    ] = "highest"
    smallest_scale: NonNegative = 0.0
    zero_point_added: Annotated[
        str,
        Choice(
            after=by(
                "round(x / s) + z", "published", "ONNX", "torch: fake_quantize; quantize_per_tensor but for 2.13.0"
            ),
            before=by("round(x / s + z)", "torch: quantize_per_tensor of 2.13.0"),
        ),
    ] = "after"
    normalize: Normalize = "divide"
    ties: Annotated[
        str,
        Choice(
            even="ties go to the even integer",
            away="ties go away from zero",
            up="ties go to the larger integer, as floor(x + 1/2)",
        ),
    ] = "even"
    nan_code: Annotated[
        str,
        Choice(
            lowest=by("NaN has the code qmin", "onnxruntime"),
            zero="NaN has the code of the zero point",
            highest="NaN has the code qmax",
        ),
    ] = "lowest"

    parts = ("scale", "zero_point", "codes")
    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "the zero point is rounded to a whole number",
        "idempotent": "its scale is taken anew from what codes stand for, which is rounded",
    }
    citation = Citation(
        "Jacob et al. 2018",
        "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
        "arXiv:1712.05877, section 2.1",
        read="package",
        source="torch 2.13.0 fake_quantize and observers; onnxruntime 1.32.0 QuantizeLinear; torchao 0.18.0; brevitas 0.13.4",
    )
    unspecified = (
        "ties, the code of NaN, whether the zero point is added before or after rounding, what a symmetric "
        "range is divided by, and the scale of an interval of no width: named variants, of which the papers say the least"
    )

    needs = {
        pair: {"symmetric": True} for pair in (("range", "divergence"), ("divisor", "half"), ("divisor", "lowest"))
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits == 1 and (self.narrow or self.symmetric):
            raise bad_argument("Affine.bits", 1, "a whole number from 2 to 16, if symmetric or narrow")
        if self.range == "divergence" and not self.symmetric:
            raise bad_argument("Affine.range", "divergence", "min_max, percentile or mean_square, unless symmetric")
        if self.divisor != "highest" and not self.symmetric:
            raise bad_argument(
                "Affine.divisor", self.divisor, "highest, unless symmetric: no other interval is divided by it"
            )

    @property
    def lowest(self) -> int:
        """The lowest code."""
        return (-(2 ** (self.bits - 1)) if self.signed else 0) + self.narrow

    @property
    def highest(self) -> int:
        """The highest code."""
        return 2 ** (self.bits - self.signed) - 1

    @property
    def code_dtype(self) -> np.dtype:
        """The dtype that codes are kept in."""
        return np.dtype(f"{'int' if self.signed else 'uint'}{8 if self.bits <= 8 else 16}")

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers."""
        return WholeCodes(str(self.code_dtype), self._nan)

    @property
    def kept_scales(self) -> dict[str, WholeCodes | FormatCodes]:
        """Zero points, which are whole."""
        return {"zero_point": WholeCodes("int32", self.lowest)}

    @property
    def code_range(self) -> tuple[int, int]:
        """From the lowest to the highest."""
        return self.lowest, self.highest

    @property
    def _nan(self) -> int:
        """The code of NaN in a group whose scale is no number."""
        return {"lowest": self.lowest, "highest": self.highest, "zero": self.middle}[self.nan_code]

    def tied(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
        """Halves of the scale, which is 2**-4, with an odd zero point if it is free."""
        if self.symmetric:
            high = self._divisor()
            low = -high
        else:
            zero = (self.lowest + self.highest) // 2 | 1
            low, high = float(self.lowest - zero), float(self.highest - zero)
        x = random.integers(int(2 * low), int(2 * high) + 1, shape) / 2.0
        x[..., ::16], x[..., 1::16] = low, high
        return x * 2.0**-4

    def takes(self) -> dict[str, Axes]:
        """``x``, and the interval where it is not from the least to the largest."""
        return {"x": ELEMENT} | ({} if self.range == "min_max" else {"low": ROW, "high": ROW})

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """By granularity."""
        return Layout.of(self.granularity, shape, self.axis, self.group_size, "group_size")

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The rule on rows."""
        x = given["x"]
        low = given["low"] if "low" in given else -tree_max(-x, "row")
        high = given["high"] if "high" in given else tree_max(x, "row")
        scale, zero = self.parameters(np.minimum(low, 0.0), np.maximum(high, 0.0))
        codes = self.codes(x, scale, zero)
        parts = {"scale": scale, "zero_point": zero, "codes": codes}
        return {**parts, "y": self.restore(parts)}

    def parameters(self, low: Any, high: Any) -> tuple[Any, Any]:
        """Scale and zero point of an interval that holds zero."""
        if self.symmetric:
            scale = self._kept(np.maximum(-low, high) / self._divisor())
            return scale, 0.0 * scale + float(self.middle)
        scale = self._kept((high - low) / float(self.highest - self.lowest))
        zero = float(self.lowest) - step(low / scale, Integer())
        return scale, np.minimum(np.maximum(zero, float(self.lowest)), float(self.highest))

    def _kept(self, scale: Any) -> Any:
        """A scale that can be divided by."""
        scale = np.maximum(scale, self.smallest_scale) if self.smallest_scale else scale
        return np.where(scale == 0, 1.0, scale)

    def _divisor(self) -> float:
        """What the largest magnitude of a symmetric interval is divided by."""
        divisors = {
            "highest": self.highest - self.middle,
            "half": (self.highest - self.lowest) / 2,
            "lowest": 2 ** (self.bits - 1),
        }
        return float(divisors[self.divisor])

    def constant_parts(self) -> tuple[str, ...]:
        """The zero point of symmetric intervals."""
        return ("zero_point",) if self.symmetric else ()

    @property
    def middle(self) -> int:
        """The zero point of a symmetric interval."""
        return 0 if self.signed else 2 ** (self.bits - 1)

    def codes(self, x: Any, scale: Any, zero: Any) -> Any:
        """Codes under given scales and zero points."""
        scaled = x / scale if self.normalize == "divide" else x * (1.0 / scale)
        if self.zero_point_added == "before":
            return step(scaled + zero, Integer(self.ties, self.lowest, self.highest))
        whole = step(scaled, Integer(self.ties)) + zero
        return np.minimum(np.maximum(whole, float(self.lowest)), float(self.highest))

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """(q - z) s."""
        return (parts["codes"] - parts["zero_point"]) * parts["scale"]

    def given(self, x: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
        """The rows, and the interval of each where `range` has to look for one."""
        rows = {"x": layout.cut(x)}
        if self.range != "min_max":
            pairs = np.asarray([self._interval(row) for row in _trimmed(rows["x"], layout)], x.dtype).reshape(-1, 2)
            rows |= {"low": pairs[:, :1], "high": pairs[:, 1:]}
        return rows

    def ends(self, x: np.ndarray, layout: Layout, unit: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """`RowQuantizer.ends`: the interval that is looked for, which programs may find by other sums."""
        if self.range == "min_max":
            return {}
        found = np.asarray([self._interval_ends(row, unit) for row in _trimmed(layout.cut(x), layout)], np.float64)
        found = found.reshape(-1, 2, 2)
        return {name: (found[:, i, :1], found[:, i, 1:]) for i, name in enumerate(("low", "high"))}

    def _interval_ends(self, row: np.ndarray, unit: float) -> ranges.Ends:
        if not row.size or not np.isfinite(row).all():
            low, high = self._interval(row)
            return (low, low), (high, high)
        if self.range == "percentile":
            return ranges.percentile_ends(row, self.percentile, self.symmetric, unit)
        if self.range == "divergence":
            return ranges.divergence_ends(row, 2 ** (self.bits - 1), unit)
        return ranges.mean_square_ends(row, self._round_trip(row), unit)

    def _interval(self, row: np.ndarray) -> ranges.Pair:
        if not row.size or not np.isfinite(row).all():
            return float(row.min(initial=0.0)), float(row.max(initial=0.0))
        if self.range == "percentile":
            return ranges.percentile(row, self.percentile, self.symmetric)
        if self.range == "divergence":
            return ranges.divergence(row, 2 ** (self.bits - 1))
        return ranges.mean_square(row, self._round_trip(row))

    def _round_trip(self, row: np.ndarray) -> Callable[[float, float], np.ndarray]:
        """What a row becomes under an interval."""

        def round_trip(low: float, high: float) -> np.ndarray:
            ends = {"low": np.full((1, 1), low, row.dtype), "high": np.full((1, 1), high, row.dtype)}
            return literal(self, {"x": row.reshape(1, -1), **ends}, {})["y"][0]

        return round_trip

    def stored(self, part: str, values: np.ndarray, layout: Layout) -> np.ndarray:
        """Zero points as int32, codes as integers; those of a group whose scale is no number are as `nan_code` says."""
        if part == "scale":
            return values.reshape(-1)
        if part == "zero_point":
            return np.where(np.isnan(values), self.lowest, values).astype(np.int32).reshape(-1)
        return layout.joined(np.where(np.isnan(values), self._nan, values).astype(self.code_dtype))

    def values(self, part: str, kept: np.ndarray, layout: Layout) -> np.ndarray:
        """Integers as float32, which is exact."""
        if part == "scale":
            return kept.reshape(-1, 1)
        if part == "zero_point":
            return kept.astype(np.float32).reshape(-1, 1)
        kept = np.asarray(kept)
        if kept.dtype.kind not in "iu":
            raise bad_argument("codes.dtype", str(kept.dtype), "an integer dtype")
        if kept.size and not (self.lowest <= int(kept.min()) and int(kept.max()) <= self.highest):
            worst = int(kept.min()) if int(kept.min()) < self.lowest else int(kept.max())
            raise bad_argument("codes", worst, f"whole numbers from {self.lowest} to {self.highest}")
        return layout.cut(kept.astype(np.float32))

    def quantize_with(self, x: np.ndarray, scale: Any, zero_point: Any = 0) -> np.ndarray:
        """Codes of ``x`` under given scales and zero points, one a group or one for all; NaN has the code of `nan_code`.

        Infinities have the lowest and the highest code.
        """
        x, scale, zero = self._arguments(x, scale, zero_point)
        layout = self.layout(x.shape)
        with np.errstate(all="ignore"):
            codes = self.codes(layout.cut(x), scale, zero)
        instead: Any = {"lowest": self.lowest, "highest": self.highest, "zero": zero}[self.nan_code]
        return layout.joined(np.where(np.isnan(codes), instead, codes).astype(self.code_dtype))

    def fake_quantize(self, x: np.ndarray, scale: Any, zero_point: Any = 0) -> np.ndarray:
        """(q - z) s of the codes of ``x`` under given scales and zero points."""
        codes = self.quantize_with(x, scale, zero_point)
        x, scale, zero = self._arguments(x, scale, zero_point)
        layout = self.layout(x.shape)
        rows = {"codes": layout.cut(codes.astype(x.dtype)), "scale": scale, "zero_point": zero}
        return layout.joined(np.broadcast_to(self.restore(rows), (layout.rows, layout.width)))

    def fake_quantize_backward(self, x: np.ndarray, g: np.ndarray, scale: Any, zero_point: Any = 0) -> np.ndarray:
        """The gradient of ``x``: ``g`` where the code before it is clipped lies in range, else 0; 0 for NaN.

        The window is that of the rounded code, half a step wider on each side than the numbers that codes stand for.
        """
        x, scale, zero = self._arguments(x, scale, zero_point)
        layout = self.layout(x.shape)
        with np.errstate(all="ignore"):
            scaled = (
                layout.cut(x) / scale if self.normalize == "divide" else layout.cut(x) * (1.0 / scale).astype(x.dtype)
            )
            before = scaled + zero if self.zero_point_added == "before" else scaled
            whole = step(before, Integer(self.ties)) + (0 if self.zero_point_added == "before" else zero)
        return np.where(layout.joined((whole >= self.lowest) & (whole <= self.highest)), g, np.zeros_like(g))

    def _arguments(self, x: np.ndarray, scale: Any, zero_point: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        x = as_array(x, "x")
        x = x.astype(working(x.dtype))
        rows = self.layout(x.shape).rows
        columns = []
        for name, value in (("scale", scale), ("zero_point", zero_point)):
            column = np.asarray(value, x.dtype).reshape(-1, 1)
            if column.size not in (1, rows):
                raise ArgumentError(f"{name} has {column.size} elements; legal: 1, or {rows}, one a group")
            columns.append(column)
        if not (columns[0] > 0).all() or not np.isfinite(columns[0]).all():
            raise bad_argument("scale", float(columns[0].min()), "positive finite numbers")
        if not ((columns[1] >= self.lowest) & (columns[1] <= self.highest) & (columns[1] == np.rint(columns[1]))).all():
            legal = f"whole numbers from {self.lowest} to {self.highest}"
            raise bad_argument("zero_point", float(columns[1].ravel()[0]), legal)
        return x, columns[0], columns[1]


def _trimmed(rows: np.ndarray, layout: Layout) -> Iterator[np.ndarray]:
    """The rows without what they were filled up with."""
    for index, row in enumerate(rows):
        start = index % max(layout.per_lead, 1) * layout.width
        yield row[: min(layout.width, layout.length - start)]
