"""Signs with a smooth surrogate gradient, elementwise: the factor that multiplies the cotangent is a formula of x."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.functions import cos, exp, log, power, sin, tanh
from refgrad.arithmetic.primitives import length, tree_sum
from refgrad.axes import TENSOR
from refgrad.estimators.base import Estimator, Parameter, Parameters
from refgrad.estimators.filters import centred
from refgrad.estimators.policies import Binarizer, Edge, SignAtZero, SignOfNan, passes, signed, within
from refgrad.rule import Choice, Citation, NonNegative, Positive, Range, Whole


class ApproxSign(Binarizer):
    """The sign, with the gradient of a piecewise quadratic: 2 - 2|x| where |x| < 1, else zero.

    Source: Liu et al. 2018 (Bi-Real Net), arXiv:1808.00278 The authors' code takes torch's sign, 0 at 0.
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Liu et al. 2018",
        "Bi-Real Net: Enhancing the Performance of 1-bit CNNs With Improved Representational Capability",
        "arXiv:1808.00278",
        read="authors' code",
        source="liuzechun/Bi-Real-net f58aa4d, pytorch_implementation/BiReal18_34/birealnet.py BinaryActivation",
    )
    unspecified = (
        "the sign of zero, and of NaN: +1 and NaN here; the authors' code has torch's sign, 0 at both. At |x| = 1 "
        "the gradient is zero from either side"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        return passes(cotangent * (2 - 2 * np.abs(x)), np.abs(x) < 1)


class SwishSign(Binarizer):
    """The sign, with the derivative of a sign made of Swish: b (2 - b x tanh(b x/2)) / (1 + cosh(b x)).

    Source: Darabi et al. 2018 (BNN+), arXiv:1812.11800 It is negative beyond |b x| = 2.3994.
    """

    beta: Positive = 5.0

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "along the cotangent": "the derivative of its swish falls below zero",
    }
    citation = Citation(
        "Darabi et al. 2018",
        "BNN+: Improved Binary Network Training",
        "arXiv:1812.11800",
        read="package",
        source="larq fe3ce52 swish_sign",
    )
    unspecified = (
        "the regularizers of the paper are left out; the sign of zero: +1 here; that the derivative is negative "
        "far out is the formula's own, and some codes clip it"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        z = self.beta * x
        e = exp(-np.abs(z))  # 1/(1 + cosh z) = 2 e / (1 + e)^2, which does not overflow
        return cotangent * (self.beta * (2 - z * tanh(z / 2)) * (2 * e / ((1 + e) * (1 + e))))


class EDE(Binarizer):
    """Error decay estimator: the sign, with the derivative of k tanh(t x), which is k t (1 - tanh^2(t x)).

    Source: Qin et al. 2020 (IR-Net), arXiv:1909.10788 `refgrad.estimators.schedules.ede` gives t and k
    by the epoch.
    """

    t: Positive = 0.1
    k: Positive = 10.0

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Qin et al. 2020",
        "Forward and Backward Information Retention for Accurate Binary Neural Networks",
        "arXiv:1909.10788",
        read="authors' code",
        source="htqin/IR-Net f63a590",
    )
    unspecified = (
        "the sign of zero: +1 here, torch's sign in the authors' code; t and k by the epoch are the authors' "
        "schedule, in refgrad.estimators.schedules"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        proxy = tanh(self.t * x)
        return cotangent * (self.k * self.t * (1 - proxy * proxy))


class RBNN(Binarizer):
    """Rotated binary network: the sign, with the factor k max(0, sqrt(2) t - t^2 |x|), the derivative of a polynomial.

    Source: Lin et al. 2020, arXiv:2009.13055 `refgrad.estimators.schedules.rbnn` gives t and k by the epoch.
    """

    t: Positive = 0.1
    k: Positive = 10.0

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Lin et al. 2020",
        "Rotated Binary Neural Network",
        "arXiv:2009.13055",
        read="authors' code",
        source="lmbxmu/RBNN 0b5e73b, cifar/modules/binarized_modules.py",
    )
    unspecified = (
        "the sign of zero: +1 here, torch's in the authors' code; t and k by the epoch are theirs. The rotation "
        "itself is RBNNRotation, not part of this rule"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        return cotangent * (self.k * np.maximum(0.0, math.sqrt(2.0) * self.t - self.t**2 * np.abs(x)))


class FDA(Binarizer):
    """Frequency domain approximation: the sign, with the derivative of n + 1 sine terms of a square wave.

    s'(x) = (4 w/pi) sum over i = 0..n of cos((2i + 1) w x). Source: Xu et al. 2021, arXiv:2103.00841;
    the noise adaptation module is not part of it. Beyond |x| = pi/w the factor is periodic, not zero.
    """

    frequency: Positive = 0.1
    terms: Annotated[int, Whole(0, 64)] = 10

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "along the cotangent": "a Fourier series of few terms falls below zero",
        "saturation": "it is periodic",
    }
    citation = Citation(
        "Xu et al. 2021",
        "Learning Frequency Domain Approximation for Binary Neural Networks",
        "arXiv:2103.00841",
        read="study",
        source="derived here; spikingjelly 2.0.0 SquarewaveFourierSeries has the same series",
        unreachable="public code with a training gradient",
    )
    unspecified = (
        "terms and frequency in training, for which no public training code was found: 10 terms here; the noise "
        "adaptation module is left out; beyond a period the factor is not zeroed"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        total = cos(self.frequency * x)
        for i in range(1, self.terms + 1):
            total = total + cos((2 * i + 1) * self.frequency * x)
        return cotangent * (4 * self.frequency / math.pi * total)


class BiPer(Binarizer):
    """Binary periodic function: the sign of a sine (a square wave) forward, the cosine of the sine's derivative backward.

    Stage "real" gives y = sin(frequency x) itself, stage "binary" its sign; in both dx = g frequency cos(frequency x).
    The regularization of the first stage, tau mean(sin^2(frequency x)), adds tau frequency sin(2 frequency x)/n to dx.
    Source: Vargas et al. 2024, arXiv:2404.01278 At multiples of pi/frequency the authors' code has
    torch's sign of zero, 0. `refgrad.estimators.indicators` has its quantization error by the frequency.
    """

    frequency: Positive = 20.0
    tau: NonNegative = 0.0
    stage: Annotated[
        str,
        Choice(
            binary="the second stage: the sign of the sine",
            real="the first stage: the sine itself",
        ),
    ] = "binary"
    sign_at_zero: SignAtZero = "plus"
    sign_of_nan: SignOfNan = "propagate"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "monotone": "it is periodic",
        "along the cotangent": "its factor is a cosine",
        "saturation": "it is periodic",
    }
    citation = Citation(
        "Vargas et al. 2024",
        "BiPer: Binary Neural Networks using a Periodic Function",
        "arXiv:2404.01278",
        read="authors' code",
        source="edmav4/BiPer 0c07fdd, cifar10/modules/binarized_modules.py",
    )
    unspecified = (
        "the sign of zero: +1 here, 0 in the authors' code; the formula of the quantization error is derived here, and its "
        "largest value, 0.102835 where frequency times b is 0.954882, is the one that the paper is reported to print"
    )

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        t = sin(self.frequency * x)
        return t if self.stage == "real" else signed(t, self.sign_at_zero, self.sign_of_nan)

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        x_grad = cotangent * (self.frequency * cos(self.frequency * x))
        if self.tau == 0:
            return x_grad
        return x_grad + self.tau * self.frequency / length(x) * sin(2 * self.frequency * x)


class BiPerActivation(Binarizer):
    """BiPer's activations: the sign, with ApproxSign's gradient; in training each sample ``x[i, ...]`` is scaled first.

    a = x/sqrt(variance + eps), the variance with n - 1 and without centring x; da = g max(0, 2 - |2 a|), and the gradient goes
    on through the variance. Source: the authors' code of Vargas et al. 2024, arXiv:2404.01278 (ReCU's has the same).
    """

    eps: NonNegative = 1e-5
    mode: Annotated[
        str,
        Choice(
            training="activations are divided by their sample's deviation",
            evaluation="activations as they are: ApproxSign",
        ),
    ] = "training"

    revision = 2  # what is clamped at zero is not below it in its sets
    citation = Citation(
        "Vargas et al. 2024",
        "BiPer: Binary Neural Networks using a Periodic Function",
        "arXiv:2404.01278",
        read="authors' code",
        source="edmav4/BiPer 0c07fdd, cifar10/modules/binarized_modules.py",
    )
    unspecified = "how activations are normalized: as in the authors' code"

    def _scaled(self, x: Any) -> tuple[Any, Any, Any]:
        """The scaled activations, the centred ones, and the deviation."""
        c, deviation = centred(x, self.eps)
        return x / deviation, c, deviation

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        return Binarizer.forward(self, x if self.mode == "evaluation" else self._scaled(x)[0])

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        if self.mode == "evaluation":
            return cotangent * np.maximum(0.0, 2 - np.abs(2 * x))
        a, c, deviation = self._scaled(x)
        a_grad = cotangent * np.maximum(0.0, 2 - np.abs(2 * a))
        shared = tree_sum(a_grad * a, over="row") / (length(x, over="row") - 1)
        return (a_grad - (c / deviation) * shared) / deviation


class ReSTE(Binarizer):
    """Rectified straight-through estimator: the sign, with the derivative of sign(x) |x|^(1/o).

    The factor is |x|^((1 - o)/o)/o up to ``t``; up to ``m`` it is the secant slope m^(1/o)/m instead; beyond ``t``
    zero. Source: Wu et al. 2023, arXiv:2308.06689; t = 1.5 and m = 0.1 are the authors'. The edge of both thresholds
    belongs to the inner side (``edge`` exclusive: to the outer one). `refgrad.estimators.schedules.reste` gives o by
    the epoch.
    """

    o: Annotated[float, Range(1.0, open_low=False)] = 3.0
    t: Positive = 1.5
    m: Positive = 0.1
    edge: Edge = "inclusive"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Wu et al. 2023",
        "Estimator Meets Equilibrium Perspective: A Rectified Straight Through Estimator for Binary Neural Networks Training",
        "arXiv:2308.06689",
        read="authors' code",
        source="DravenALG/ReSTE 0d3c36a, model/binary_module/binarized_modules.py, and the equations in its README",
    )
    unspecified = (
        "o by the epoch, in which paper and released code were not reconciled (refgrad.estimators.schedules has "
        "the code's); the edges of both thresholds are inside here"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        size = np.abs(x)
        slope = power(size, (1 - self.o) / self.o) / self.o
        plateau = self.m ** (1 / self.o) / self.m
        beyond = np.where(within(size, self.t, self.edge), slope, 0.0)
        return cotangent * np.where(within(size, self.m, self.edge), plateau, beyond)


class DSQ(Estimator):
    """Differentiable soft quantization: uniform levels forward, the derivatives of a tanh staircase backward.

    In each of the 2^bits - 1 intervals of width D, phi = s tanh(k (x - m)) about its middle m, with s = 1/(1 - alpha)
    and k = ln(2/alpha - 1)/D, and Q = low + D (i + (phi + 1)/2); forward with the sign of phi for phi. dx, dalpha, dlow
    and dhigh are the derivatives of Q; beyond low and high Q is low and high. Source: Gong et al. 2019,
    arXiv:1908.05033, equations 3 to 10.
    """

    bits: Annotated[int, Whole(1, 8)] = 2
    edge: Edge = "inclusive"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "sums are rounded otherwise on the other side of zero",
        "even surrogate": "sums are rounded otherwise on the other side of zero",
    }
    citation = Citation(
        "Gong et al. 2019",
        "Differentiable Soft Quantization: Bridging Full-Precision and Low-Bit Neural Networks",
        "arXiv:1908.05033",
        read="package",
        source="ricky40403/DSQ f06df7f, DSQConv.py",
        unreachable="code of the authors",
    )
    unspecified = (
        "the gradients of alpha, low and high: the derivatives of the soft function (there is no code of the authors)"
    )
    parameters = Parameters(
        low=Parameter(TENSOR, legal=Range(high=0.0)),
        high=Parameter(TENSOR, legal=Range(0.0)),
        alpha=Parameter(TENSOR, legal=Range(0.0, 1.0)),
    )

    def _interval(self, x: Any, low: Any, high: Any) -> tuple[Any, Any]:
        """The number of the interval that holds x, the last one closed, and the width of all."""
        intervals = 2.0**self.bits - 1
        width = (high - low) / intervals
        i = np.minimum(np.maximum(np.floor((x - low) / width), 0.0), intervals - 1)
        return i, width

    def forward(self, x: Any, low: Any, high: Any, alpha: Any) -> Any:  # type: ignore[override]
        i, width = self._interval(x, low, high)
        m = low + (i + 0.5) * width
        level = low + width * np.where(x >= m, i + 1, i)
        return np.where(x < low, low, np.where(x > high, high, level))

    def backward(self, cotangent: Any, x: Any, low: Any, high: Any, alpha: Any) -> Any:  # type: ignore[override]
        i, width = self._interval(x, low, high)
        intervals, g = 2.0**self.bits - 1, cotangent
        s, kd, t = 1 / (1 - alpha), log(2 / alpha - 1), (x - low) / width - (i + 0.5)
        phi = tanh(kd * t)
        bent, done = 1 - phi * phi, (i + (s * phi + 1) / 2) / intervals
        slope = s * kd * bent / 2
        inside = (x >= low) & (x <= high) if self.edge == "inclusive" else (x > low) & (x < high)
        of_alpha = width / 2 * (s * s * phi - s * bent * t * (2 / (alpha * (2 - alpha))))
        of_high = done - slope * ((x - low) / (width * intervals))
        of_low = 1 - done - slope * (1 - (x - low) / (width * intervals))
        return (
            passes(g * slope, inside),
            tree_sum(np.where(inside, g * of_low, np.where(x < 0, g, 0.0))),
            tree_sum(np.where(inside, g * of_high, np.where(x > 0, g, 0.0))),
            tree_sum(passes(g * of_alpha, inside)),
        )
