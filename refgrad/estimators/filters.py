"""Binarized weights with a scale that is computed from each filter ``x[i, ...]``, or from the whole tensor."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.functions import log, power_of_two, tanh
from refgrad.arithmetic.primitives import length, tree_max, tree_sum
from refgrad.estimators.policies import Binarizer, Edge, passes, within
from refgrad.rule import Choice, Citation, NonNegative, Positive, Range, Whole, by


class XNORWeights(Binarizer):
    """alpha sign(w) with alpha the mean magnitude of the filter.

    Source: Rastegari et al. 2016, arXiv:1603.05279: dw = g (1/n + alpha 1{|w| <= 1}), n being the number of
    weights of the filter and the product elementwise.
    """

    gradient: Annotated[
        str,
        Choice(
            paper=by("g (1/n + alpha 1{|w| <= 1})", "published"),
            scaled=by("alpha g 1{|w| <= 1}", "larq: MagnitudeAwareSign"),
            plain=by("g 1{|w| <= 1}, without alpha", "Bi-Real-net", "ReActNet"),
        ),
    ] = "paper"
    edge: Edge = "inclusive"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Rastegari et al. 2016",
        "XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks",
        "arXiv:1603.05279",
        read="package",
        source="larq fe3ce52; liuzechun/Bi-Real-net f58aa4d; liuzechun/ReActNet a6cd08d",
    )
    unspecified = (
        "how the printed derivative is read: g (1/n + alpha 1{|w| <= 1}) element by element here; larq drops 1/n, "
        "Bi-Real Net's code alpha as well (gradient)"
    )

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        alpha = tree_sum(np.abs(x), over="row") / length(x, over="row")
        return alpha * Binarizer.forward(self, x)

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        inside = passes(cotangent, within(np.abs(x), 1, self.edge))
        if self.gradient == "plain":
            return inside
        n = length(x, over="row")
        alpha = tree_sum(np.abs(x), over="row") / n
        return alpha * inside if self.gradient == "scaled" else cotangent * (1 / n) + alpha * inside


class LibraPB(Binarizer):
    """Libra parameter binarization with the error decay estimator: sign(v) 2^s, v being the standardized filter.

    v = (w - mean)/std, std with n - 1; s = rint(log2(mean |v|)), a constant of the gradient, which goes through the
    standardization. Source: Qin et al. 2020 (IR-Net), arXiv:1909.10788
    """

    t: Positive = 0.1
    k: Positive = 10.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "no cotangent": "a row of equal numbers has a deviation of zero, and is NaN",
        "idempotent": "it standardizes what it is given",
        "along the cotangent": "the gradient of a standardization is centred",
    }
    citation = Citation(
        "Qin et al. 2020",
        "Forward and Backward Information Retention for Accurate Binary Neural Networks",
        "arXiv:1909.10788",
        read="authors' code",
        source="htqin/IR-Net f63a590",
    )
    unspecified = (
        "the standard deviation has n - 1, as in the authors' code; whether the shift is differentiated: not, as there"
    )

    def _standardized(self, x: Any) -> tuple[Any, Any, Any]:
        """The standardized filter, its deviation, and the scale of powers of two."""
        c, deviation = centred(x)
        v = c / deviation
        mean = tree_sum(np.abs(v), over="row") / length(x, over="row")
        return v, deviation, power_of_two(np.rint(log(mean) / math.log(2.0)))

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        v, _, scale = self._standardized(x)
        return Binarizer.forward(self, v) * scale

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        v, deviation, scale = self._standardized(x)
        proxy = tanh(self.t * v)
        return through_standardization(cotangent * scale * (self.k * self.t * (1 - proxy * proxy)), v, deviation)


class ReCU(Binarizer):
    """Rectified clamp unit: the sign of the filter clamped at quantiles that a Laplace density gives it.

    v = (w - mean)/deviation 2 sqrt(2), the deviation being sqrt(variance + eps) of the filter with n - 1; Q = -b ln(2 - 2 tau)
    with b the mean |v| of the layer, a constant of the gradient. y = sign(v clamped to [-Q, Q]); dv = g where |v| <= Q, and the
    gradient goes on through the standardization. Source: Xu et al. 2021, arXiv:2103.12369, equations 9 to 13;
    `refgrad.estimators.schedules.recu` gives tau by the epoch. The learned scale of the output is `XNORPlusPlus`.
    """

    tau: Annotated[float, Range(0.5, 1.0, open_low=False)] = 0.85
    eps: NonNegative = 1e-5
    standardized: Annotated[
        str,
        Choice(
            code=by(
                "filters are centred and scaled to a deviation of 2 sqrt(2), that of Laplace with b = 2", "authors"
            ),
            none="weights as they are: the clamp alone",
        ),
    ] = "code"

    citation = Citation(
        "Xu et al. 2021",
        "ReCU: Reviving the Dead Weights in Binary Neural Networks",
        "arXiv:2103.12369",
        read="authors' code",
        source="z-hXu/ReCU 9a73bed",
    )
    unspecified = "the standardization ahead of the clamp: that of the authors' code"

    def _clamped_at(self, x: Any) -> tuple[Any, Any, Any]:
        """What is clamped, the quantile, and what it was divided by."""
        if self.standardized == "none":
            v, divisor = x, None
        else:
            c, deviation = centred(x, self.eps)
            divisor = deviation / (2 * math.sqrt(2.0))
            v = c / divisor
        mean = tree_sum(np.abs(v)) / length(x)
        return v, mean * (-np.log(2 - 2 * self.tau)), divisor

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        v, quantile, _ = self._clamped_at(x)
        return Binarizer.forward(self, np.minimum(np.maximum(v, -quantile), quantile))

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        v, quantile, divisor = self._clamped_at(x)
        v_grad = passes(cotangent, np.abs(v) <= quantile)
        if self.standardized == "none":
            return v_grad
        # v = c/divisor, and divisor^2 = (sum c^2/(n - 1) + eps)/8
        return through_standardization(v_grad, v, divisor, 8.0)


def centred(x: Any, eps: Any = 0.0) -> tuple[Any, Any]:
    """The filters less their means, and their deviations, sqrt(variance + eps), with n - 1."""
    n = length(x, over="row")
    c = x - tree_sum(x, over="row") / n
    variance = tree_sum(c * c, over="row") / (n - 1)
    return c, np.sqrt(variance if eps == 0 else variance + eps)


def through_standardization(v_grad: Any, v: Any, divisor: Any, square: float = 1.0) -> Any:
    """The gradient of a filter from that of v = c/divisor, c the centred filter, divisor^2 = (variance + eps)/square."""
    n = length(v, over="row")
    shared = tree_sum(v_grad * v, over="row") / (square * (n - 1))
    c_grad = (v_grad - v * shared) / divisor
    return c_grad - tree_sum(c_grad, over="row") / n


class DoReFaWeights(Binarizer):
    """Weights of few bits by tanh, normalized by the largest of the tensor; of one bit the sign times the mean magnitude.

    More than one bit: t = tanh(w), y = 2 rint(n (t/(2 max |t|) + 1/2))/n - 1, n = 2^bits - 1, and dw = dt (1 - t^2) with
    dt = g/max |t|; where the maximum is differentiated too, sign(t) sum(g t)/max |t|^2 is taken off dt at the weight of the
    largest magnitude, in equal shares where there are several. A weight of zero is at a tie, n/2, which goes up under every
    rule for ties. One bit: dw = g.
    Source: Zhou et al. 2016, arXiv:1606.06160
    """

    bits: Annotated[int, Whole(1, 16)] = 2
    maximum: Annotated[
        str,
        Choice(
            constant=by("the maximum is a constant of the gradient", "larq"),
            differentiated=by("the gradient goes through the maximum too", "authors: tensorpack"),
        ),
    ] = "constant"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "the levels of an even number lie around zero, and ties go to the even one",
        "no cotangent": "an overflow times zero is NaN",
    }
    citation = Citation(
        "Zhou et al. 2016",
        "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients",
        "arXiv:1606.06160",
        read="authors' code",
        source="tensorpack/tensorpack 1547a54, examples/DoReFa-Net/dorefa.py",
    )
    unspecified = (
        "whether the gradient goes through the maximum: not here, as in larq; tensorpack, the authors' code, "
        "differentiates it (maximum=differentiated)"
    )

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        if self.bits == 1:
            return tree_sum(np.abs(x)) / length(x) * Binarizer.forward(self, x)
        n, t = 2.0**self.bits - 1, tanh(x)
        return 2 * (np.rint((t / (2 * tree_max(np.abs(t))) + 0.5) * n) / n) - 1

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        if self.bits == 1:
            return cotangent
        t = tanh(x)
        largest = tree_max(np.abs(t))
        if self.maximum == "constant":
            return cotangent * ((1 - t * t) / largest)
        # of the same weights as tanh has its largest magnitudes at, which are known without rounding
        at = np.where(np.abs(x) == tree_max(np.abs(x)), 1.0, 0.0)
        share = np.sign(x) * at * (tree_sum(cotangent * t) / (largest * largest) / tree_sum(at))
        return (cotangent / largest - share) * (1 - t * t)
