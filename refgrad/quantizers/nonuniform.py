"""N2UQ: inputs cut at learned, unequal thresholds, outputs equally spaced; and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.arrays import as_array
from refgrad.arithmetic.dtypes import working
from refgrad.arithmetic.scalar_math import Scalar
from refgrad.arithmetic.steps import Integer, Ranks, WholeCodes, step
from refgrad.backends.cuda.device import Device
from refgrad.derived import derived
from refgrad.errors import NoKernel, bad_argument
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.quantizers.rows import Layout
from refgrad.quantizers.ternary import FewValues, Per, mean
from refgrad.rule import Choice, Citation, Positive, Real, Whole, by

#: outputs go from 0 to this
SPAN = 2.0

CITATION = Citation(
    "Liu et al. 2022",
    "Nonuniform-to-Uniform Quantization",
    "arXiv:2111.14826, section 3",
    read="authors' code",
    source="liuzechun/Nonuniform-to-Uniform-Quantization 0140532, resnet/resnet.py",
)


def _value(x: Any) -> Any:
    """A hyperparameter's value, also in a body that is traced: thresholds are a table of numbers there."""
    return x.value if isinstance(x, Scalar) else x


class N2UQ(ElementQuantizer):
    """Activations to 0, I, .., 2 in equal steps I = 2 / (2**bits - 1), cut where learned intervals a_1, a_2, .. meet half-way.

    T_1 = start + a_1 / 2, T_i = T_(i-1) + (a_(i-1) + a_i) / 2; y = I times how many T_i lie below x (strictly). An interval
    counts as at least ``least``. Parts: ``codes``, uint8. Intervals are an argument, by default all I. NaN lies above
    nothing: its code is 0. Source: Liu et al. 2022, arXiv:2111.14826, section 3, and its code.
    """

    bits: Annotated[int, Whole(1, 8)] = 2
    start: Real = 0.0
    least: Positive = 1e-3

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "sign": "it is meant for numbers that are not negative",
        "scale": "thresholds are hyperparameters",
        "half a step": "thresholds are learned, apart from what codes stand for",
    }
    citation = CITATION
    unspecified = (
        "the comparison at a threshold: strictly above, as in the code; the least interval, 1e-3, is the code's; "
        "NaN lies above nothing"
    )

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return 0, self.top

    @property
    def top(self) -> int:
        """The largest code, and the number of intervals."""
        return 2**self.bits - 1

    def intervals(self, given: np.ndarray | None) -> np.ndarray:
        """The intervals in float64, none below ``least``; `ArgumentError` if there are not ``top`` finite ones."""
        a = np.full(self.top, SPAN / self.top) if given is None else np.asarray(given, np.float64)
        if a.shape != (self.top,) or not np.isfinite(a).all():
            raise bad_argument("intervals.shape", a.shape, f"({self.top},), finite numbers")
        return np.maximum(a, _value(self.least))

    def at_device(self, method: str, device: Device, *args: Any, **keywords: Any) -> Any:
        """With equal intervals, as any quantizer of elements."""
        if method == "quantize" and (len(args) > 1 or "intervals" in keywords):
            raise NoKernel("its thresholds are an argument")
        return super().at_device(method, device, *args, **keywords)

    def quantize(self, x: np.ndarray, intervals: np.ndarray | None = None) -> Quantized:
        """As `Quantizer.quantize`, with intervals, ``2**bits - 1`` of them; thresholds are added up in float64."""
        if intervals is None:
            return super().quantize(x)
        x = as_array(x, "x")
        codes = self._coding(intervals)(x.astype(working(x.dtype)))
        return Quantized({"codes": np.where(np.isnan(codes), 0, codes).astype(np.uint8)}, x.shape, x.dtype)

    def _coding(self, intervals: np.ndarray | None) -> Ranks:
        """The number of thresholds below."""
        a = self.intervals(intervals)
        thresholds = _value(self.start) + np.cumsum(np.concatenate([a[:1] / 2, (a[:-1] + a[1:]) / 2]))
        return Ranks(tuple(thresholds.tolist()))

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Numbers of steps; that of NaN is 0."""
        return WholeCodes("uint8")

    def body(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """With equal intervals."""
        return {"codes": step(given["x"], self.coding)}

    @property
    @derived
    def coding(self) -> Ranks:
        """The number of thresholds below, with equal intervals."""
        return self._coding(None)

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """Steps times I."""
        return parts["codes"] * (SPAN / self.top)

    def gradients(
        self, x: np.ndarray, g: np.ndarray, intervals: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """dx, da and dstart, in float64: the derivatives of the line through the points (start + a_1 + .. + a_i, i I).

        Where x lies in interval i its slope is I / a_i; below start and above all intervals it is flat. An interval below
        ``least`` has no gradient.
        """
        x, g = np.asarray(x, np.float64), np.asarray(g, np.float64)
        a = self.intervals(intervals)
        ends = self.start + np.concatenate([[0.0], np.cumsum(a)])
        place = np.searchsorted(ends, x, side="left") - 1  # the interval that x lies in, its upper end included
        inside = (place >= 0) & (place < self.top)
        i = np.where(inside, place, 0)
        slope = np.where(inside, SPAN / self.top / a[i], 0.0)
        along = g * slope
        own = np.bincount(i.ravel(), weights=(-along * (x - ends[i]) / a[i]).ravel(), minlength=self.top)
        sums = np.bincount(i.ravel(), weights=along.ravel(), minlength=self.top)
        later = np.concatenate([np.cumsum(sums[::-1])[::-1][1:], [0.0]])  # what lies beyond an interval is moved by it
        free = np.ones(self.top) if intervals is None else np.asarray(intervals) > self.least
        return along, (own - later) * free, float(-along.sum())


class N2UQWeights(FewValues):
    """Weights to 2**bits equal levels from -s to s, none of them 0, with s a multiple of the filter's mean magnitude.

    s = (2**bits - 1) / 2**(bits - 1) mean |w|; q = round((clip(w / s, -1, 1) + 1) n), n = (2**bits - 1) / 2, ties to
    even; w about s (q / n - 1). Parts: ``scale``; ``codes``, uint8. A filter of zeros has s = 0 and decodes to
    zeros (the authors' code gives 0 / 0). Source: Liu et al. 2022, arXiv:2111.14826, section 3, and its code.
    """

    per: Per = "filter"
    bits: Annotated[int, Whole(1, 8)] = 2
    surrogate: Annotated[
        str,
        Choice(
            straight="the gradient passes as it is",
            scaled=by("the gradient is divided by s", "authors: passes it to w / s"),
        ),
    ] = "straight"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "half a step": "numbers beyond the outermost code stand for that one",
        "sign": "a tie goes to the even code, which lies on one side",
        "idempotent": "its scale is taken anew from what codes stand for, which is rounded",
    }
    citation = CITATION
    unspecified = (
        "a filter of zeros: it stays zero, where the code gives 0 / 0; whether the gradient is divided by the "
        "scale: not by the text, by the code it is (surrogate=scaled)"
    )

    @property
    @derived
    def kept_codes(self) -> WholeCodes:
        """Integers from 0 on."""
        return WholeCodes("uint8")

    @property
    def half(self) -> float:
        """n."""
        return (2**self.bits - 1) / 2

    @property
    def legal_codes(self) -> tuple[int, int]:
        """From the least to the largest."""
        return 0, 2**self.bits - 1

    def grouped(self, x: Any) -> tuple[Any, Any]:
        """s, and codes."""
        scale = ((2**self.bits - 1) / 2 ** (self.bits - 1)) * mean(np.abs(x))
        share = x / np.where(scale == 0, 1.0, scale)
        return scale, step((np.minimum(np.maximum(share, -1.0), 1.0) + 1.0) * self.half, Integer())

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """The levels."""
        return parts["scale"] * (parts["codes"] / self.half - 1.0)

    def stored(self, part: str, values: np.ndarray, layout: Layout) -> np.ndarray:
        """Codes as uint8."""
        if part == "scale":
            return values.reshape(-1)
        return layout.joined(np.where(np.isnan(values), 0, values).astype(np.uint8))

    def gradient(self, w: np.ndarray, g: np.ndarray) -> np.ndarray:
        """dL/dw from the gradient of what the levels stand for; s is taken as a constant, and nothing is masked."""
        if self.surrogate == "straight":
            return g.copy()
        layout = self.layout(w.shape)
        return layout.joined(layout.cut(g) / self.grouped(layout.cut(w))[0])
