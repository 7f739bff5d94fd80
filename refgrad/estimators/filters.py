"""Binarized weights with a scale that is computed from each filter ``x[i, ...]``, or from the whole tensor."""

from __future__ import annotations

import math
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import length, log, power_of_two, tanh, tree_max, tree_sum
from refgrad.estimators.policies import Binarizer, passes
from refgrad.rule import Choice, Citation, Positive, Whole


class XNORWeights(Binarizer):
    """alpha sign(w) with alpha the mean magnitude of the filter.

    Source: Rastegari et al. 2016, arXiv:1603.05279: dw = g (1/n + alpha 1{|w| <= 1}), n being the number of
    weights of the filter and the product elementwise.
    """

    gradient: Annotated[
        str,
        Choice(
            paper="g (1/n + alpha 1{|w| <= 1}) (XNOR-Net)",
            scaled="alpha g 1{|w| <= 1} (larq's MagnitudeAwareSign)",
            plain="g 1{|w| <= 1}, without alpha (Bi-Real Net's and ReActNet's code)",
        ),
    ] = "paper"

    citation = Citation(
        "Rastegari et al. 2016",
        "XNOR-Net: ImageNet Classification Using Binary Convolutional Neural Networks",
        "arXiv:1603.05279",
    )

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        alpha = tree_sum(np.abs(x), over="row") / length(x, over="row")
        return alpha * Binarizer.forward(self, x)

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        inside = passes(cotangent, np.abs(x) <= 1)
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

    citation = Citation(
        "Qin et al. 2020",
        "Forward and Backward Information Retention for Accurate Binary Neural Networks",
        "arXiv:1909.10788",
    )

    def _standardized(self, x: Any) -> tuple[Any, Any, Any]:
        """The standardized filter, its deviation, and the scale of powers of two."""
        n = length(x, over="row")
        c = x - tree_sum(x, over="row") / n
        deviation = np.sqrt(tree_sum(c * c, over="row") / (n - 1))
        v = c / deviation
        return v, deviation, power_of_two(np.rint(log(tree_sum(np.abs(v), over="row") / n) / math.log(2.0)))

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        v, _, scale = self._standardized(x)
        return Binarizer.forward(self, v) * scale

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        v, deviation, scale = self._standardized(x)
        n = length(x, over="row")
        proxy = tanh(self.t * v)
        v_grad = cotangent * scale * (self.k * self.t * (1 - proxy * proxy))
        c_grad = (v_grad - v * (tree_sum(v_grad * v, over="row") / (n - 1))) / deviation
        return c_grad - tree_sum(c_grad, over="row") / n


class DoReFaWeights(Binarizer):
    """Weights of few bits by tanh, normalized by the largest of the tensor; of one bit the sign times the mean magnitude.

    More than one bit: t = tanh(w), y = 2 rint(n (t/(2 max |t|) + 1/2))/n - 1, n = 2^bits - 1, and dw = g (1 - t^2)/max |t|, the
    maximum being a constant of the gradient (as larq; tensorpack's code differentiates it too). One bit: dw = g.
    Source: Zhou et al. 2016, arXiv:1606.06160
    """

    bits: Annotated[int, Whole(1, 16)] = 2

    citation = Citation(
        "Zhou et al. 2016",
        "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients",
        "arXiv:1606.06160",
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
        return cotangent * ((1 - t * t) / tree_max(np.abs(t)))
