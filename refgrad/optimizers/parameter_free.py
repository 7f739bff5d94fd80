"""Update rules that estimate their own step size from the distance walked: DoG, DoWG, Prodigy, D-Adaptation.

All parameters are one vector: norms and inner products run over every leaf of a pytree.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import TENSOR
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.trust_ratio import norm
from refgrad.rule import (
    Choice,
    Citation,
    Decay,
    NonNegative,
    Positive,
    Slot,
    State,
    by,
    copy_of_param,
    zeros_like_param,
)


class DoG(Optimizer):
    """Gradient descent at the largest distance from the start over the root of the sum of squared gradients.

    ``lr`` multiplies the step; 1 is none. Source: Ivgi et al. 2023, arXiv:2302.12022, equations 1 and 3. One NaN reaches
    all parameters.
    """

    lr: NonNegative = 1.0
    reps_rel: Positive = 1e-6
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0

    couples = True
    scaling = "invariant"
    citation = Citation(
        "Ivgi et al. 2023",
        "DoG is SGD's Best Friend: A Parameter-Free Dynamic Step Size Schedule",
        "arXiv:2302.12022",
        read="package",
        source="optax 0.2.8 contrib.dog",
    )
    unspecified = (
        "what the norm is of: all parameters, as in the paper (LDoG is the form for each); the first distance, a "
        "share of 1 + |p|, and eps under the root are those of its released code; weight decay is coupled here"
    )
    state = State(start=copy_of_param, distance=Slot(axes=TENSOR), total=Slot(axes=TENSOR))

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        return {"still": "the first distance is a norm, which overflows for huge parameters"}

    def update(self, p: Any, g: Any, start: Any, distance: Any, total: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        if t == 1:
            distance = self.reps_rel * (1 + norm(start))
        distance = np.maximum(distance, norm(p - start))
        total = total + tree_sum(g * g)
        return p - self.lr * distance / np.sqrt(total + self.eps) * g, start, distance, total


class DoWG(Optimizer):
    """DoG with gradients weighted by the distance: its square over the root of the weighted sum.

    ``lr`` multiplies the step; 1 is none; ``eps`` is the square of the first distance, and is added to the root. Source:
    Khaled et al. 2023, arXiv:2305.16284, Algorithm 1. One NaN reaches all parameters.
    """

    lr: NonNegative = 1.0
    initial_square: Positive = 1e-4
    eps: NonNegative = 1e-4
    weight_decay: NonNegative = 0.0

    couples = True
    citation = Citation(
        "Khaled et al. 2023",
        "DoWG Unleashed: An Efficient Universal Parameter-Free Gradient Descent Method",
        "arXiv:2305.16284, Algorithm 1",
        read="package",
        source="optax 0.2.8 contrib.dowg",
    )
    unspecified = (
        "the first distance: its square is initial_square here, as in optax, any small number in the paper; eps "
        "beside the root and weight decay are not in the source"
    )
    state = State(start=copy_of_param, square=Slot(fill="initial_square", axes=TENSOR), weighted=Slot(axes=TENSOR))

    def update(self, p: Any, g: Any, start: Any, square: Any, weighted: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        away = p - start
        square = np.maximum(square, tree_sum(away * away))
        weighted = weighted + square * tree_sum(g * g)
        step = square / (np.sqrt(weighted) + self.eps)
        return p - self.lr * step * g, start, square, weighted


Corrections = Annotated[
    str,
    Choice(
        none=by("the step size is not bias-corrected", "published", "authors: its default"),
        adam=by("it is, by the root of 1 - beta2**t over 1 - beta1**t", "optax", "authors: use_bias_correction"),
    ),
]


NoGradient = Annotated[
    str,
    Choice(
        decays="while no gradient was seen, parameters decay as ever",
        stands=by("while no gradient was seen, nothing moves or decays", "authors: returns there"),
    ),
]


def correction(rule: Any, t: Any) -> Any:
    """What multiplies the step size at step ``t``."""
    if rule.bias_correction == "none":
        return 1.0
    return np.sqrt(1 - rule.beta2**t) / (1 - rule.beta1**t)


class Prodigy(Optimizer):
    """Adam whose step size is a growing lower bound of the distance to the solution.

    Source: Mishchenko & Defazio 2023, arXiv:2306.06101, Algorithm 4, with the weights of the sums (by ``d / d0``) and the new
    ``d`` beside the root of the authors' code. Weight decay is decoupled. One NaN reaches all parameters.
    """

    lr: NonNegative = 1.0
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    d0: Positive = 1e-6
    d_coef: Positive = 1.0
    weight_decay: NonNegative = 0.0
    bias_correction: Corrections = "none"
    eps_scale: Annotated[
        str,
        Choice(
            new=by("eps is multiplied by the estimate that includes this step's gradient", "authors", "optax"),
            old=by("it is multiplied by the estimate before it", "published: Algorithm 4"),
        ),
    ] = "new"
    no_gradient: NoGradient = "decays"

    couples = True
    citation = Citation(
        "Mishchenko & Defazio 2023",
        "Prodigy: An Expeditiously Adaptive Parameter-Free Learner",
        "arXiv:2306.06101, Algorithm 4",
        read="authors' code",
        source="prodigyopt 1.1.2",
    )
    default_reasons = {"eps_scale": "the authors' code and optax have the new estimate"}
    unspecified = (
        "weight decay: decoupled; the weights of the sums are by d / d0, as in the authors' code, where the paper "
        "has d; bias correction is an option of the code, always on in optax; eps counts by the new d, as in the code, where "
        "Algorithm 4 has the old one (eps_scale); a sum of zero, by which the estimate is divided: the estimate stays, and the "
        "code takes no step at all, with no decay (no_gradient)"
    )
    state = State(
        m=zeros_like_param,
        v=zeros_like_param,
        s=zeros_like_param,
        start=copy_of_param,
        d=Slot(fill="d0", axes=TENSOR),
        numerator=Slot(axes=TENSOR),
    )

    def update(
        self, p: Any, g: Any, m: Any, v: Any, s: Any, start: Any, d: Any, numerator: Any, t: Any
    ) -> tuple[Any, ...]:
        beta3 = np.sqrt(self.beta2)
        size = d * (self.lr * correction(self, t))
        numerator = beta3 * numerator + d / self.d0 * size * tree_sum(g * (start - p))
        m = self.beta1 * m + (1 - self.beta1) * d * g
        v = self.beta2 * v + (1 - self.beta2) * d * d * g * g
        s = beta3 * s + d / self.d0 * size * g
        total = tree_sum(np.abs(s))
        before = d
        d = np.where(total == 0, d, np.maximum(d, self.d_coef * numerator / total))
        scale = before if self.eps_scale == "old" else d
        moved = p - size * (m / (np.sqrt(v) + scale * self.eps) + self.weight_decay * p)
        if self.no_gradient == "stands":
            moved = np.where(total == 0, p, moved)
        return moved, m, v, s, start, d, numerator


class DAdaptAdam(Optimizer):
    """Adam whose step size is a lower bound of the distance to the solution, from weighted sums of gradients.

    Source: Defazio & Mishchenko 2023, arXiv:2301.07733, Algorithm 5 (Adam with D-Adaptation), with the inner product by the
    scale before the step as in the authors' package. Weight decay is decoupled. One NaN reaches all parameters.
    """

    lr: NonNegative = 1.0
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    d0: Positive = 1e-6
    weight_decay: NonNegative = 0.0
    bias_correction: Corrections = "none"
    product: Annotated[
        str,
        Choice(
            old=by(
                "the inner product of gradient and sum is by the second moment before this step", "authors", "optax"
            ),
            new=by("it is by the second moment that includes this step's gradient", "published: Algorithm 5"),
        ),
    ] = "old"
    no_gradient: NoGradient = "decays"

    couples = True
    citation = Citation(
        "Defazio & Mishchenko 2023",
        "Learning-Rate-Free Learning by D-Adaptation",
        "arXiv:2301.07733, Algorithm 5",
        read="authors' code",
        source="dadaptation 3.2 DAdaptAdam",
    )
    default_reasons = {"product": "the authors' package and optax have the old second moment"}
    unspecified = (
        "weight decay: decoupled, an option of the authors' code; bias correction: none, as in the paper, where "
        "optax always has it; eps: added to the root of the averaged square; the second moment in the inner product: that before "
        "the step, as in the package, where Algorithm 5 has the new one (product)"
    )
    state = State(
        m=zeros_like_param,
        v=zeros_like_param,
        s=zeros_like_param,
        d=Slot(fill="d0", axes=TENSOR),
        numerator=Slot(axes=TENSOR),
    )

    def update(self, p: Any, g: Any, m: Any, v: Any, s: Any, d: Any, numerator: Any, t: Any) -> tuple[Any, ...]:
        root = np.sqrt(self.beta2)
        size = d * (self.lr * correction(self, t))
        v_old = v
        m = self.beta1 * m + (1 - self.beta1) * size * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        inner = tree_sum(g * (s / (np.sqrt(v if self.product == "new" else v_old) + self.eps)))
        s = root * s + (1 - root) * size * g
        numerator = root * numerator + (1 - root) * size * inner
        total = (1 - root) * tree_sum(np.abs(s))
        d = np.where(total == 0, d, np.maximum(d, numerator / total))
        moved = p - size * self.weight_decay * p - m / (np.sqrt(v) + self.eps)
        if self.no_gradient == "stands":
            moved = np.where(total == 0, p, moved)
        return moved, m, v, s, d, numerator
