"""Surrogate gradients of spiking neurons: the unit step forward, a bump around the threshold backward."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.functions import exp
from refgrad.estimators.policies import Spike, passes
from refgrad.rule import Choice, Citation, Fraction, Positive, by

NEFTCI = Citation(
    "Neftci, Mostafa and Zenke 2019",
    "Surrogate Gradient Learning in Spiking Neural Networks",
    "arXiv:1901.09948",
    read="package",
    source="spikingjelly 2.0.0 SoftSign, Sigmoid and Erf; snntorch 1.0.0",
)


class FastSigmoid(Spike):
    """height / (1 + k|x|)^2, with a height of one the derivative of x/(1 + k|x|).

    Source: Zenke and Ganguli 2018 (SuperSpike), arXiv:1705.11146. snntorch's fast_sigmoid (k = 25); spikingjelly's SuperSpike
    has k = 1 and its alpha for a height; with a height of k/2 it is spikingjelly's SoftSign with alpha = k.
    """

    k: Positive = 25.0
    height: Positive = 1.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "a spike is zero or one",
        "idempotent": "a spike is zero or one, and one is above the threshold",
    }
    citation = Citation(
        "Zenke and Ganguli 2018",
        "SuperSpike: Supervised Learning in Multilayer Spiking Neural Networks",
        "arXiv:1705.11146",
        read="package",
        source="snntorch 1.0.0 fast_sigmoid; spikingjelly 2.0.0 SuperSpike",
    )
    unspecified = (
        "whether a neuron at its threshold fires: it does here, not in snntorch; the height: 1 in snntorch, alpha in "
        "spikingjelly's SuperSpike, whose slope is 1, and k/2 in its SoftSign"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        below = 1 + self.k * np.abs(x)
        if self.height == 1:
            return cotangent / (below * below)
        return cotangent * (self.height / (below * below))


class SoftSign(Spike):
    """1 / (2 a (1/a + |x|)^2), of integral one. Source: spikingjelly, surrogate.SoftSign."""

    alpha: Positive = 2.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "a spike is zero or one",
        "idempotent": "a spike is zero or one, and one is above the threshold",
    }
    citation = NEFTCI
    unspecified = (
        "whether a neuron at its threshold fires; the source is a review that names no scale: that of "
        "spikingjelly, of integral one"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        below = 1 / self.alpha + np.abs(x)
        return cotangent / (2 * self.alpha * (below * below))


class ArcTan(Spike):
    """(a/2) / (1 + (pi a x/2)^2), the derivative of arctan(pi a x/2)/pi; of integral one.

    Source: Fang et al. 2021, arXiv:2007.05785
    """

    alpha: Positive = 2.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "a spike is zero or one",
        "idempotent": "a spike is zero or one, and one is above the threshold",
    }
    citation = Citation(
        "Fang et al. 2021",
        "Incorporating Learnable Membrane Time Constant to Enhance Learning of Spiking Neural Networks",
        "arXiv:2007.05785",
        read="authors' code",
        source="spikingjelly 2.0.0 ATan",
    )
    unspecified = (
        "whether a neuron at its threshold fires: it does here and in spikingjelly, not in snntorch; the slope "
        "alpha is 2 in both"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        z = math.pi / 2 * self.alpha * x
        return cotangent * (self.alpha / 2 / (1 + z * z))


class SigmoidSpike(Spike):
    """a s (1 - s), where s is the logistic function of a x; of integral one. Source: Neftci et al. 2019."""

    alpha: Positive = 4.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "even surrogate": "one minus a sigmoid is rounded otherwise on the other side",
        "odd": "a spike is zero or one",
        "idempotent": "a spike is zero or one, and one is above the threshold",
    }
    citation = NEFTCI
    unspecified = (
        "whether a neuron at its threshold fires; the slope is the user's, 4 in spikingjelly and 25 in snntorch"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        s = 1 / (1 + exp(-(self.alpha * x)))
        return cotangent * (self.alpha * (s * (1 - s)))


class Triangular(Spike):
    """gamma max(0, 1 - |x|/width). Source: Bellec et al. 2018, arXiv:1803.09574 (gamma = 0.3).

    With gamma = alpha and width = 1/alpha it is spikingjelly's PiecewiseQuadratic. snntorch's Triangular is no triangle.
    """

    gamma: Positive = 0.3
    width: Positive = 1.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "a spike is zero or one",
        "idempotent": "a spike is zero or one, and one is above the threshold",
    }
    revision = 2  # what is clamped at zero is not below it in its sets
    citation = Citation(
        "Bellec et al. 2018",
        "Long short-term memory and learning-to-learn in networks of spiking neurons",
        "arXiv:1803.09574",
        read="package",
        source="spikingjelly 2.0.0 PiecewiseQuadratic; norse/norse 065a3b4, torch/functional/threshold.py Triangle",
        unreachable="the scale of the publication's triangle",
    )
    unspecified = (
        "the height, 0.3 in the source, and the width, one threshold there; whether a neuron at its threshold "
        "fires; snntorch's function of this name is no triangle"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        return cotangent * (self.gamma * np.maximum(0.0, 1 - np.abs(x) / self.width))


class PiecewiseExponential(Spike):
    """(a/2) e^(-a|x|), of integral one. Source: Shrestha and Orchard 2018 (SLAYER), arXiv:1810.08646."""

    alpha: Positive = 1.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "a spike is zero or one",
        "idempotent": "a spike is zero or one, and one is above the threshold",
    }
    citation = Citation(
        "Shrestha and Orchard 2018",
        "SLAYER: Spike Layer Error Reassignment in Time",
        "arXiv:1810.08646",
        read="package",
        source="spikingjelly 2.0.0 PiecewiseExp",
    )
    unspecified = (
        "whether a neuron at its threshold fires; the constants tau and scale of the source are one slope here, as "
        "in spikingjelly"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        return cotangent * (self.alpha / 2 * exp(-(self.alpha * np.abs(x))))


class GaussianSpike(Spike):
    """(a/sqrt(pi)) e^(-a^2 x^2), the derivative of the Gauss error function of a x, halved. Source: spikingjelly's Erf."""

    alpha: Positive = 2.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "a spike is zero or one",
        "idempotent": "a spike is zero or one, and one is above the threshold",
    }
    citation = NEFTCI
    unspecified = (
        "whether a neuron at its threshold fires; the source is a review that names no scale: that of "
        "spikingjelly's Erf"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        z = self.alpha * x
        return cotangent * (self.alpha / math.sqrt(math.pi) * exp(-(z * z)))


class Rectangular(Spike):
    """1/width within half a width of the threshold, of integral one. Source: Wu et al. 2018, arXiv:1706.02609"""

    width: Positive = 1.0
    edge: Annotated[
        str,
        Choice(
            exclusive=by("zero at the edge of the window", "published: |x| < width/2"),
            inclusive="1/width at the edge of the window",
        ),
    ] = "exclusive"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "a spike is zero or one",
        "idempotent": "a spike is zero or one, and one is above the threshold",
    }
    citation = Citation(
        "Wu et al. 2018",
        "Spatio-Temporal Backpropagation for Training High-performance Spiking Neural Networks",
        "arXiv:1706.02609",
        read="package",
        source="spikingjelly 2.0.0 Rect",
    )
    unspecified = (
        "the edges of the window, and whether a neuron at its threshold fires: the paper's |u - V| < a/2, and it does"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        half, size = self.width / 2, np.abs(x)
        return passes(cotangent * (1 / self.width), size < half if self.edge == "exclusive" else size <= half)


class MultiGaussian(Spike):
    """gamma ((1 + h) N(x; 0, s) - h N(x; s, 6s) - h N(x; -s, 6s)), N(x; m, s) being the normal density.

    Source: Yin, Corradi and Bohte 2021, arXiv:2103.12593; the scale of the outer ones is ``wide`` s.
    """

    gamma: Positive = 0.5
    h: Fraction = 0.15
    s: Positive = 0.5
    wide: Positive = 6.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "even surrogate": "its three terms are added in another order at minus x",
        "along the cotangent": "two of its terms are negative",
        "odd": "a spike is zero or one",
        "idempotent": "a spike is zero or one, and one is above the threshold",
    }
    citation = Citation(
        "Yin, Corradi and Bohte 2021",
        "Accurate and efficient time-domain classification with adaptive spiking recurrent neural networks",
        "arXiv:2103.12593",
        read="authors' code",
        source="byin-cwi/Efficient-spiking-networks bfd47cf, GSC/SRNN_layers/spike_neuron.py ActFun_adp",
    )
    unspecified = (
        "whether a neuron at its threshold fires: it does here, in the authors' code it does not (step_at_zero=zero); the "
        "constants 0.5, 0.15, 0.5 and 6 are those of that code"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        def density(distance: Any, scale: Any) -> Any:
            z = distance / scale
            return exp(-(z * z / 2)) / (math.sqrt(2 * math.pi) * scale)

        wide = self.wide * self.s
        middle = (1 + self.h) * density(x, self.s)
        return cotangent * (
            self.gamma * (middle - self.h * density(x - self.s, wide) - self.h * density(x + self.s, wide))
        )
