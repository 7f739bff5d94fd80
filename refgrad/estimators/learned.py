"""Quantizers whose scale or clipping level is learned: gradients for the input and for the parameters.

Codes run from ``-negative`` to ``positive``; ``granularity`` says whether a parameter is one number or one a channel
``x[i, ...]``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.functions import power_of_two
from refgrad.arithmetic.primitives import length, tree_sum
from refgrad.axes import TENSOR
from refgrad.estimators.base import Estimator, Parameter, Parameters
from refgrad.estimators.policies import Ties, passes, rounded
from refgrad.rule import Choice, Citation, Code, Count, PositiveCode, Range, Whole, by

Granularity = Annotated[str, Choice(tensor="one number for the whole tensor", row="one number a channel, x[i, ...]")]
POSITIVE = Range(0.0)


Saturation = Annotated[
    str,
    Choice(
        exclusive=by("at the edge the code is saturated: dx = 0, c is the edge", "published: equation 3"),
        inclusive=by("at the edge the code is not saturated: dx = g, c = 0", "lsq-net: autograd of a clamp"),
    ),
]


class LSQ(Estimator):
    """Learned step size: y = rint(clip(x/scale, -negative, positive)) scale.

    dx = g where -negative < x/scale < positive. dscale = G sum of g c, where c is rint(v) - v inside, with v = x/scale,
    -negative at or below it, positive at or above it; G = 1/sqrt(N positive), N being ``count``, or where that is 0 the
    numbers that share the scale. Source: Esser et al. 2020, arXiv:1902.08153, equations 1 to 3, and its gradient scale.
    """

    negative: Count = 8.0
    positive: PositiveCode = 7.0
    granularity: Granularity = "tensor"
    count: Count = 0.0
    gradient_scale: Annotated[
        str,
        Choice(
            paper=by("dscale is multiplied by G", "published: section 2.2"),
            none="dscale is the sum alone, as by autograd of the equations",
        ),
    ] = "paper"
    edge: Saturation = "exclusive"
    ties: Ties = "even"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "the lowest code has no negative",
    }
    citation = Citation(
        "Esser et al. 2020",
        "Learned Step Size Quantization",
        "arXiv:1902.08153, equations 1 to 3",
        read="package",
        source="zhutmost/lsq-net 1f644e9, quan/quantizer/lsq.py",
    )
    unspecified = (
        "the count in the gradient's scale: numbers that share the scale here, features in some codes; the edges: "
        "outside here as in the equations, inside by autograd of a clamp (edge=inclusive)"
    )
    parameters = Parameters(scale=Parameter("granularity", legal=POSITIVE))

    def forward(self, x: Any, scale: Any) -> Any:  # type: ignore[override]
        v = x / scale
        return rounded(np.minimum(np.maximum(v, -self.negative), self.positive), self.ties) * scale

    def backward(self, cotangent: Any, x: Any, scale: Any) -> Any:  # type: ignore[override]
        v = x / scale
        low, high = -self.negative, self.positive
        below, above = (v <= low, v >= high) if self.edge == "exclusive" else (v < low, v > high)
        x_grad = np.where(below | above, 0.0, cotangent)
        c = np.where(below, low, np.where(above, high, rounded(v, self.ties) - v))
        scale_grad = tree_sum(cotangent * c, over=self.granularity)
        if self.gradient_scale == "none":
            return x_grad, scale_grad
        n = length(x, over=self.granularity) if self.count == 0 else self.count
        return x_grad, scale_grad * (1 / np.sqrt(n * self.positive))


class LSQPlus(Estimator):
    """LSQ with a learned offset: y = rint(clip((x - offset)/scale, low, high)) scale + offset.

    dx = g inside; dscale = sum of g (rint(v) - v) inside and of g times the edge outside; doffset = sum of g outside.
    Source: Bhalgat et al. 2020, arXiv:2004.09576
    """

    low: Code = 0.0
    high: Code = 15.0
    granularity: Granularity = "tensor"
    edge: Saturation = "exclusive"
    ties: Ties = "even"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "the range has an offset",
        "even surrogate": "the range has an offset",
    }
    citation = Citation(
        "Bhalgat et al. 2020",
        "LSQ+: Improving low-bit quantization through learnable offsets and better initialization",
        "arXiv:2004.09576",
        read="study",
        source="derived here, and compared with autograd of the forward form",
    )
    unspecified = (
        "no scale of the gradient is applied, which the caller multiplies where wanted; the initialization of "
        "scale and offset is left out"
    )
    parameters = Parameters(scale=Parameter("granularity", legal=POSITIVE), offset=Parameter("granularity"))

    def forward(self, x: Any, scale: Any, offset: Any) -> Any:  # type: ignore[override]
        v = (x - offset) / scale
        return rounded(np.minimum(np.maximum(v, self.low), self.high), self.ties) * scale + offset

    def backward(self, cotangent: Any, x: Any, scale: Any, offset: Any) -> Any:  # type: ignore[override]
        v = (x - offset) / scale
        low, high = self.low, self.high
        below, above = (v <= low, v >= high) if self.edge == "exclusive" else (v < low, v > high)
        x_grad = np.where(below | above, 0.0, cotangent)
        c = np.where(below, low, np.where(above, high, rounded(v, self.ties) - v))
        scale_grad = tree_sum(cotangent * c, over=self.granularity)
        return x_grad, scale_grad, tree_sum(np.where(below | above, cotangent, 0.0), over=self.granularity)


class PACT(Estimator):
    """Parameterized clipping: x clipped to [0, alpha] and rounded to ``bits`` bits; alpha is learned.

    y = rint(clip(x, 0, alpha) (2^bits - 1)/alpha) alpha/(2^bits - 1). dx = g where 0 <= x < alpha, dalpha = sum of g where
    x >= alpha. With both halves the clip is (|x| - |x - alpha| + alpha)/2, of which they are the derivatives. Source: Choi et
    al. 2018, arXiv:1805.06085, equations 1 to 3; the penalty on alpha is not part of it.
    """

    bits: Annotated[int, Whole(1, 16)] = 4
    at_zero: Annotated[
        str,
        Choice(
            passed=by("the gradient passes at x = 0", "published: 0 <= x"),
            blocked=by("the gradient is zero at x = 0", "distiller: a ReLU ahead of the clip"),
            half="half of the gradient passes at x = 0 (autograd of (|x| - |x - alpha| + alpha)/2)",
        ),
    ] = "passed"
    at_alpha: Annotated[
        str,
        Choice(
            saturated=by("at x = alpha dx = 0 and alpha takes the gradient", "published: x < alpha"),
            half=by(
                "at x = alpha each takes half of the gradient", "torch: autograd of minimum, or of absolute values"
            ),
        ),
    ] = "saturated"
    ties: Ties = "even"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "it clips to numbers from 0 to alpha",
        "even surrogate": "it clips to numbers from 0 to alpha",
    }
    citation = Citation(
        "Choi et al. 2018",
        "PACT: Parameterized Clipping Activation for Quantized Neural Networks",
        "arXiv:1805.06085, equations 1 to 3",
        read="package",
        source="IntelLabs/distiller d859fc8, distiller/quantization/clipped_linear.py",
    )
    unspecified = (
        "x = 0 and x = alpha: as the paper's inequalities say; distiller blocks at 0, autograd of absolute values "
        "halves at both; the penalty on alpha is the caller's"
    )
    parameters = Parameters(alpha=Parameter(TENSOR, legal=POSITIVE))

    @property
    def of_absolute_values(self) -> bool:
        """True if the clip is that of which both halves are the derivatives: it rounds where the other does not."""
        return self.at_zero == self.at_alpha == "half"

    def forward(self, x: Any, alpha: Any) -> Any:  # type: ignore[override]
        steps = 2.0**self.bits - 1
        if self.of_absolute_values:
            y = (abs(x) - abs(x - alpha) + alpha) / 2
        else:
            y = np.minimum(np.maximum(x, 0.0), alpha)
        return rounded(y * (steps / alpha), self.ties) * (alpha / steps)

    def backward(self, cotangent: Any, x: Any, alpha: Any) -> Any:  # type: ignore[override]
        if self.of_absolute_values:
            below, above = np.sign(x), np.sign(x - alpha)
            return cotangent * ((below - above) / 2), tree_sum(cotangent * ((above + 1) / 2))
        positive = x >= 0 if self.at_zero == "passed" else x > 0
        x_grad, alpha_grad = passes(cotangent, positive & (x < alpha)), passes(cotangent, x >= alpha)
        if self.at_zero == "half":
            x_grad = np.where(x == 0, cotangent / 2, x_grad)
        if self.at_alpha == "half":
            halves = x == alpha
            x_grad, alpha_grad = np.where(halves, cotangent / 2, x_grad), np.where(halves, cotangent / 2, alpha_grad)
        return x_grad, tree_sum(alpha_grad)


class TQT(Estimator):
    """Trained thresholds: the scale is a power of two, s = 2^ceil(log2 t)/2^(bits - 1), by the learned ``log2_t``.

    y = s clip(rint(x/s), low, high). dx = g where low <= rint(x/s) <= high. dlog2_t = s ln(2) sum of g times rint(x/s) - x/s
    inside, low below, high above. Source: Jain et al. 2020, arXiv:1903.08066
    """

    bits: Annotated[int, Whole(2, 16)] = 8
    ties: Ties = "even"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "the lowest code has no negative",
        "even surrogate": "there is one more code below zero than above",
    }
    citation = Citation(
        "Jain et al. 2020",
        "Trained Quantization Thresholds for Accurate and Efficient Fixed-Point Inference of Deep Neural Networks",
        "arXiv:1903.08066",
        read="study",
        source="derived here, and compared with autograd of the forward form",
    )
    unspecified = (
        "halves go to the even neighbour; the ceiling of the logarithm is a constant of the gradient; at an exact "
        "power of two it is that power"
    )
    parameters = Parameters(log2_t=Parameter(TENSOR, legal=Range(-60.0, 60.0)))

    def forward(self, x: Any, log2_t: Any) -> Any:  # type: ignore[override]
        low, high = -(2.0 ** (self.bits - 1)), 2.0 ** (self.bits - 1) - 1
        s = power_of_two(np.ceil(log2_t) - (self.bits - 1))
        return np.minimum(np.maximum(rounded(x / s, self.ties), low), high) * s

    def backward(self, cotangent: Any, x: Any, log2_t: Any) -> Any:  # type: ignore[override]
        low, high = -(2.0 ** (self.bits - 1)), 2.0 ** (self.bits - 1) - 1
        s = power_of_two(np.ceil(log2_t) - (self.bits - 1))
        r = rounded(x / s, self.ties)
        c = np.where(r < low, low, np.where(r > high, high, r - x / s))
        return passes(cotangent, (r >= low) & (r <= high)), s * math.log(2.0) * tree_sum(cotangent * c)
