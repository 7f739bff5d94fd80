"""Update rules that scale a tensor's step by norms of the tensor and its gradient: LARS, Fromage, NovoGrad."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import TENSOR
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Choice, Citation, Decay, Flag, NonNegative, Slot, State, by, zeros_like_param


def norm(x: Any) -> Any:
    """The Euclidean norm of a tensor, by the tree of `tree_sum`."""
    return np.sqrt(tree_sum(x * x))


class LARS(Optimizer):
    """Momentum, with each tensor's step scaled to the ratio of the norms of the parameter and its gradient.

    Source: You et al. 2017, arXiv:1708.03888, Algorithm 1. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-1
    momentum: Decay = 0.9
    trust_coefficient: NonNegative = 1e-3
    weight_decay: NonNegative = 0.0
    eps: NonNegative = 0.0
    ratio: Annotated[
        str,
        Choice(
            sum=by(
                "the ratio is to the norm of the gradient plus weight_decay times that of the parameter", "published"
            ),
            joint=by("the ratio is to the norm of the decayed gradient", "optax"),
        ),
    ] = "sum"
    buffer_holds: Annotated[
        str,
        Choice(
            steps=by("the momentum is of whole steps, lr included", "published", "optax"),
            directions=by(
                "lr multiplies the momentum: the same while lr is constant",
                "pytorch-optimizer",
                "torch-optimizer",
                "timm",
            ),
        ),
    ] = "steps"
    without_decay: Annotated[
        str,
        Choice(
            scaled=by("the step is scaled with and without weight decay", "published"),
            plain=by("without weight decay no step is scaled", "torch-optimizer: 0.3.0", "timm"),
        ),
    ] = "scaled"

    citation = Citation(
        "You et al. 2017",
        "Large Batch Training of Convolutional Networks",
        "arXiv:1708.03888, Algorithm 1",
        read="package",
        source="optax 0.2.8 lars; torch-optimizer 0.3.0 LARS; pytorch-optimizer 4.1.0 LARS; timm 1.0.31 Lars",
    )
    unspecified = (
        "parameters whose norm or gradient is zero: a ratio of one here; which parameters are left out (biases, "
        "norms) is the caller's to say; implementations differ in the norm with decay and in where lr stands "
        "(variants)"
    )
    state = State(momentum_sum=zeros_like_param)

    def largest_norm(self, t: int, p: float) -> float:
        """The parameter's norm times lr and the trust coefficient, where it is not zero and nothing is left of older steps."""
        scaled = self.without_decay == "scaled" and (t == 1 or self.momentum == 0.0)
        return self.lr * self.trust_coefficient * p if scaled and p > 0 else math.inf

    def update(self, p: Any, g: Any, momentum_sum: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        decayed = g + self.weight_decay * p
        p_norm = norm(p)
        if self.ratio == "sum":
            g_norm = norm(g)
            zero = (p_norm == 0) | (g_norm == 0)
            below = g_norm + self.weight_decay * p_norm + self.eps
        else:
            g_norm = norm(decayed)
            zero = (p_norm == 0) | (g_norm == 0)
            below = g_norm + self.eps
        ratio: Any = np.where(zero, 1.0, self.trust_coefficient * p_norm / below)
        if self.without_decay == "plain" and not self.weight_decay:
            ratio = 1.0
        if self.buffer_holds == "steps":
            momentum_sum = self.momentum * momentum_sum + self.lr * ratio * decayed
            return p - momentum_sum, momentum_sum
        momentum_sum = self.momentum * momentum_sum + ratio * decayed
        return p - self.lr * momentum_sum, momentum_sum


class Fromage(Optimizer):
    """A step of a fixed length relative to the parameter's norm, and a shrink that keeps that norm from growing.

    Source: Bernstein et al. 2020, arXiv:2002.03432, Algorithm 1. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-2
    min_norm: NonNegative = 1e-6
    zero_norms: Annotated[
        str,
        Choice(
            plain=by("where a norm is zero the step is lr times the gradient", "authors"),
            floored=by("both norms are at least min_norm", "optax"),
        ),
    ] = "plain"

    citation = Citation(
        "Bernstein et al. 2020",
        "On the distance between two neural networks and the stability of learning",
        "arXiv:2002.03432, Algorithm 1",
        read="authors' code",
        source="jxbz/fromage 4a6593b",
    )
    unspecified = (
        "norms that are zero: a plain step here, as in the authors' code; optax floors them; the order of the "
        "shrink is that of the algorithm, after the step"
    )

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        return {"still": "the parameter shrinks by a factor at every step"}

    def update(self, p: Any, g: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        p_norm, g_norm = norm(p), norm(g)
        if self.zero_norms == "plain":
            ratio = np.where((p_norm == 0) | (g_norm == 0), 1.0, p_norm / g_norm)
        else:
            ratio = np.maximum(p_norm, self.min_norm) / np.maximum(g_norm, self.min_norm)
        return ((p - self.lr * ratio * g) / np.sqrt(1 + self.lr**2),)


class NovoGrad(Optimizer):
    """Momentum of gradients that are each divided by a running norm of their tensor's gradient; decay is inside it.

    Source: Ginsburg et al. 2019, arXiv:1905.11286, Algorithm 1. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-2
    beta1: Decay = 0.95
    beta2: Decay = 0.98
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    averaging: Annotated[
        bool,
        Flag(by("all but the first gradient enter the momentum times 1 - beta1", "pytorch-optimizer: grad_averaging")),
    ] = False

    scaling = "invariant"
    citation = Citation(
        "Ginsburg et al. 2019",
        "Stochastic Gradient Methods with Layer-wise Adaptive Moments for Training of Deep Networks",
        "arXiv:1905.11286, Algorithm 1",
        read="package",
        source="optax 0.2.8 novograd; pytorch-optimizer 4.1.0 NovoGrad",
    )
    unspecified = (
        "eps: outside the root, as in the packages; the first step's norm enters whole, without bias correction, "
        "as in the algorithm; averaging of gradients is the paper's remark (averaging)"
    )
    state = State(m=zeros_like_param, v=Slot(axes=TENSOR))

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        square = tree_sum(g * g)
        v = square if t == 1 else self.beta2 * v + (1 - self.beta2) * square
        scaled = g / (np.sqrt(v) + self.eps) + self.weight_decay * p
        if t == 1:
            m = scaled
        else:
            m = self.beta1 * m + (1 - self.beta1 if self.averaging else 1.0) * scaled
        return p - self.lr * m, m, v
