"""Straight-through estimators: the gradient passes a step as if it were not there, or within a window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import ELEMENT, ROW
from refgrad.estimators.base import Estimator, Parameter, Parameters
from refgrad.estimators.policies import (
    Binarizer,
    Edge,
    SignAtZero,
    SignOfNan,
    Ties,
    Written,
    passes,
    rounded,
    signed,
    within,
)
from refgrad.rule import Choice, Citation, Code, Positive, Range, Whole, by


class IdentitySTE(Binarizer):
    """The sign, with the gradient of the identity.

    Source: Bengio et al. 2013, arXiv:1308.3432; for weights Courbariaux et al. 2015, arXiv:1511.00363.
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "saturation": "the gradient passes everywhere",
    }
    citation = Citation(
        "Bengio et al. 2013",
        "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional Computation",
        "arXiv:1308.3432",
        read="package",
        source="brevitas 0.13.4 binary_sign; larq fe3ce52",
    )
    unspecified = (
        "the sign of zero and of NaN: +1 and NaN here; torch has 0 at both, brevitas -1 at NaN. That the gradient "
        "is not clipped is the paper's plain form"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        return cotangent


class ClippedSTE(Binarizer):
    """The sign, with the gradient of the identity where |x| <= ``clip``.

    Source: Courbariaux et al. 2016, arXiv:1602.02830, equation 4: g 1{|r| <= 1}, the edge included. Of NaN the gradient is
    zero, unless ``nan_gradient`` says otherwise.
    """

    clip: Positive = 1.0
    edge: Edge = "inclusive"
    nan_gradient: Annotated[
        str,
        Choice(
            zero=by("the gradient is zero where x is NaN", "torch: clamp"),
            passed=by("the gradient passes where x is NaN", "torch: hardtanh"),
        ),
    ] = "zero"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Courbariaux et al. 2016",
        "Binarized Neural Networks: Training Neural Networks with Weights and Activations Constrained to +1 or -1",
        "arXiv:1602.02830, equation 4",
        read="package",
        source="torch 2.13.0 clamp and hardtanh; larq fe3ce52",
    )
    unspecified = (
        "the sign of zero and of NaN, and the gradient at NaN; the edge of the window is the paper's, included, "
        "where torch's hardtanh leaves it out"
    )

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        r = np.abs(x)
        if self.nan_gradient == "passed":
            outside = r > self.clip if self.edge == "inclusive" else r >= self.clip
            return np.where(outside, 0.0, cotangent)
        return passes(cotangent, within(r, self.clip, self.edge))


class StochasticBinarization(Estimator):
    """+1 with probability clip((x + 1)/2, 0, 1), else -1: +1 where the noise ``u``, uniform on [0, 1), is below it.

    Source: Courbariaux et al. 2016, arXiv:1602.02830, equations 2, 3 and 4. ``window`` is that of the gradient.
    """

    window: Annotated[
        str,
        Choice(
            clipped=by("the gradient passes where |x| <= 1", "published"),
            identity=by("the gradient passes everywhere", "elsewhere: BinaryConnect"),
        ),
    ] = "clipped"
    edge: Edge = "inclusive"
    sign_of_nan: SignOfNan = "minus"
    written: Written = "value"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "the noise is not turned with x",
    }
    citation = Citation(
        "Courbariaux et al. 2016",
        "Binarized Neural Networks: Training Neural Networks with Weights and Activations Constrained to +1 or -1",
        "arXiv:1602.02830, equations 2 to 4",
        read="authors' code",
        source="MatthieuCourbariaux/BinaryNet d7d45ae, Train-time/binary_net.py hard_sigmoid and binarization",
    )
    unspecified = (
        "the comparison at equality: +1 where the noise is strictly below the probability, so that probability 0 "
        "is never +1; the noise is an argument"
    )
    parameters = Parameters(u=Parameter(ELEMENT, learned=False, legal=Range(0.0, 1.0, open_low=False)))

    def forward(self, x: Any, u: Any) -> Any:  # type: ignore[override]
        p = np.minimum(np.maximum((x + 1) / 2, 0.0), 1.0)
        drawn = np.where(u < p, 1.0, -1.0)
        if self.sign_of_nan != "minus":
            drawn = np.where(x == x, drawn, x if self.sign_of_nan == "propagate" else 0.0)
        if self.written == "value":
            return drawn
        soft = x if self.window == "identity" else np.minimum(np.maximum(x, -1.0), 1.0)
        return soft + (drawn - soft)

    def backward(self, cotangent: Any, x: Any, u: Any) -> Any:  # type: ignore[override]
        return cotangent if self.window == "identity" else passes(cotangent, within(np.abs(x), 1, self.edge))


class RoundingSTE(Estimator):
    """Uniform affine fake quantization: the gradient passes where the code is not saturated.

    q = rint(x / scale) + zero_point; y = (clip(q, low, high) - zero_point) scale; the window holds q before it is clipped,
    so that it is half a step wider than the grid. Source: Jacob et al. 2018, arXiv:1712.05877 and
    torch.fake_quantize_per_tensor_affine.
    """

    scale: Positive = 0.0625
    zero_point: Code = 0.0
    low: Code = -128.0
    high: Code = 127.0
    window: Annotated[
        str,
        Choice(
            rounded=by("the code is compared after rounding", "torch: fake_quantize"),
            unrounded="x/scale + zero_point is compared before rounding, edges included",
            none="the gradient passes everywhere",
        ),
    ] = "rounded"
    ties: Ties = "even"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "the lowest code has no negative",
    }
    citation = Citation(
        "Jacob et al. 2018",
        "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference",
        "arXiv:1712.05877",
        read="package",
        source="torch 2.13.0 fake_quantize_per_tensor_affine; brevitas 0.13.4",
    )
    unspecified = (
        "whether the window is of the code before or after rounding: after here, as torch's fake quantization; the "
        "paper says the clamped range; ties go to the even code"
    )

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        q = rounded(x / self.scale, self.ties) + self.zero_point
        q = np.minimum(np.maximum(q, self.low), self.high)
        return (q - self.zero_point) * self.scale

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        if self.window == "none":
            return cotangent
        v = x / self.scale
        q = (rounded(v, self.ties) if self.window == "rounded" else v) + self.zero_point
        return passes(cotangent, (q >= self.low) & (q <= self.high))


class RSign(Estimator):
    """ReActNet's sign with a learned shift a channel: +1 where x > shift, else -1, with ApproxSign's gradient.

    Source: Liu et al. 2020, arXiv:2003.03488 The authors' code adds a bias (minus the shift) and takes torch's
    sign, which is 0 at the threshold. Channels are rows ``x[i, ...]``.
    """

    sign_at_zero: SignAtZero = "minus"
    sign_of_nan: SignOfNan = "propagate"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "its threshold is learned",
        "even surrogate": "its threshold is learned",
        "idempotent": "its threshold is learned",
    }
    citation = Citation(
        "Liu et al. 2020",
        "ReActNet: Towards Precise Binary Neural Network with Generalized Activation Functions",
        "arXiv:2003.03488",
        read="authors' code",
        source="liuzechun/ReActNet a6cd08d, mobilenet/2_step2/reactnet.py",
    )
    default_reasons = {"sign_at_zero": "RSign's equation has +1 above the threshold alone, and -1 at it"}
    unspecified = (
        "the sign at the threshold: -1 as the equation says; the authors' code adds a bias and takes torch's sign, "
        "0 there; its gradient is that of ApproxSign by default"
    )
    parameters = Parameters(shift=Parameter(ROW))

    def forward(self, x: Any, shift: Any) -> Any:  # type: ignore[override]
        return signed(x - shift, self.sign_at_zero, self.sign_of_nan)

    def backward(self, cotangent: Any, x: Any, shift: Any) -> Any:  # type: ignore[override]
        distance = np.abs(x - shift)
        x_grad = passes(cotangent * (2 - 2 * distance), distance <= 1)
        return x_grad, -tree_sum(x_grad, over="row")


class RPReLU(Estimator):
    """ReActNet's activation: x - shift + rise where x > shift, else slope (x - shift) + rise, learned a channel.

    Source: Liu et al. 2020, arXiv:2003.03488 Channels are rows ``x[i, ...]``.
    """

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "its sides have slopes of their own",
        "even surrogate": "its sides have slopes of their own",
        "idempotent": "it shifts",
        "saturation": "the gradient passes everywhere",
    }
    citation = Citation(
        "Liu et al. 2020",
        "ReActNet: Towards Precise Binary Neural Network with Generalized Activation Functions",
        "arXiv:2003.03488",
        read="authors' code",
        source="liuzechun/ReActNet a6cd08d, mobilenet/2_step2/reactnet.py",
    )
    unspecified = (
        "the branch at x = shift: the sloped one, whose value is the same; the gradients differ there by the slope"
    )
    parameters = Parameters(shift=Parameter(ROW), rise=Parameter(ROW), slope=Parameter(ROW))

    def forward(self, x: Any, shift: Any, rise: Any, slope: Any) -> Any:  # type: ignore[override]
        distance = x - shift
        return np.where(distance > 0, distance, slope * distance) + rise

    def backward(self, cotangent: Any, x: Any, shift: Any, rise: Any, slope: Any) -> Any:  # type: ignore[override]
        distance = x - shift
        above = distance > 0
        x_grad = np.where(above, cotangent, slope * cotangent)
        slope_grad = tree_sum(np.where(above, 0.0, cotangent * distance), over="row")
        return x_grad, -tree_sum(x_grad, over="row"), tree_sum(cotangent, over="row"), slope_grad


class DoReFaActivation(Estimator):
    """Activations clipped to [0, 1] and rounded to ``bits`` bits, with the gradient of the clip.

    Source: Zhou et al. 2016, arXiv:1606.06160; the clip's gradient passes at both edges, unless ``edge`` says otherwise.
    """

    bits: Annotated[int, Whole(1, 16)] = 2
    edge: Edge = "inclusive"
    ties: Ties = "even"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "odd": "it clips to numbers from 0 to 1",
        "even surrogate": "it clips to numbers from 0 to 1",
    }
    citation = Citation(
        "Zhou et al. 2016",
        "DoReFa-Net: Training Low Bitwidth Convolutional Neural Networks with Low Bitwidth Gradients",
        "arXiv:1606.06160",
        read="authors' code",
        source="tensorpack/tensorpack 1547a54, examples/DoReFa-Net/dorefa.py",
    )
    unspecified = (
        "the gradient at the edges of the clip, and halves: the edges pass and halves go to the even neighbour here"
    )

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        n = 2.0**self.bits - 1
        return rounded(np.minimum(np.maximum(x, 0.0), 1.0) * n, self.ties) / n

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        return passes(cotangent, within(-x, 0, self.edge) & within(x, 1, self.edge))


class EWGS(Estimator):
    """Rounding of numbers in [0, 1] to ``levels`` levels, with the gradient scaled element by element.

    dx = g (1 + delta sign(g) (x - x_q)). Source: Lee et al. 2021, arXiv:2104.00903; ``delta`` 0 is the
    straight-through estimator. The sign of a zero cotangent is zero, which the product makes irrelevant.
    """

    levels_count: Annotated[int, Whole(2, 65536)] = 4
    delta: Annotated[float, Range(0.0, open_low=False)] = 0.2
    ties: Ties = "even"

    exempt_laws: ClassVar[Mapping[str, str]] = {
        "linear in the cotangent": "the gradient is scaled by the sign of the cotangent times the discretization error",
        "even surrogate": "the gradient is scaled by the discretization error, which has the sign of x",
        "saturation": "nothing is clipped",
    }
    citation = Citation(
        "Lee et al. 2021",
        "Network Quantization with Element-wise Gradient Scaling",
        "arXiv:2104.00903",
        read="authors' code",
        source="cvlab-yonsei/EWGS 56c654c, CIFAR10/custom_modules.py",
    )
    unspecified = (
        "nothing in the formula; delta is learned from the Hessian's trace in the paper, a number here. Halves go "
        "to the even neighbour, as torch's round"
    )

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        n = float(self.levels_count - 1)
        return rounded(x * n, self.ties) / n

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        return cotangent * (1 + self.delta * np.sign(cotangent) * (x - self.forward(x)))


class WAGE(Estimator):
    """Rounding to multiples of 2^(1 - bits) within 1 - 2^(1 - bits); the gradient passes where it did not clip.

    Source: Wu et al. 2018, arXiv:1802.04680, for activations; weights have the gradient of the identity.
    """

    bits: Annotated[int, Whole(2, 16)] = 8
    window: Annotated[
        str,
        Choice(
            clipped="the gradient passes where x is not clipped (activations)",
            identity="the gradient passes everywhere (weights)",
        ),
    ] = "clipped"
    edge: Edge = "inclusive"
    ties: Ties = "even"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Wu et al. 2018",
        "Training and Inference with Integers in Deep Neural Networks",
        "arXiv:1802.04680",
        read="authors' code",
        source="boluoweifenda/WAGE 9d57688, source/Quantize.py",
    )
    unspecified = (
        "the shift of gradients and errors, and the scale of weights, which are parts of the method and not of "
        "this rule; halves go to the even neighbour, which the source does not say"
    )

    def forward(self, x: Any) -> Any:  # type: ignore[override]
        steps = 2.0 ** (self.bits - 1)
        clipped = np.minimum(np.maximum(x, -1 + 1 / steps), 1 - 1 / steps)
        return rounded(clipped * steps, self.ties) / steps

    def backward(self, cotangent: Any, x: Any) -> Any:  # type: ignore[override]
        largest = 1 - 2.0 ** (1 - self.bits)
        return cotangent if self.window == "identity" else passes(cotangent, within(np.abs(x), largest, self.edge))
