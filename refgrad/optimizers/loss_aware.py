"""Step sizes from the loss: Polyak's, the momentum models of MoMo, and a rate that falls when the loss does not."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import TENSOR
from refgrad.optimizers.base import Optimizer
from refgrad.rule import (
    Choice,
    Citation,
    Decay,
    Extra,
    Extras,
    Flag,
    NonNegative,
    Positive,
    Real,
    Slot,
    State,
    by,
    scalar_slot,
    zeros_like_param,
)


class PolyakSGD(Optimizer):
    """Gradient descent whose step size is the gap to the least loss over the squared norm of the gradient, at most ``max_lr``.

    ``lr`` multiplies the step; 1 is none. ``loss`` is that of the batch. Source: Loizou et al. 2020, arXiv:2002.10542,
    section 2, SPS_max. One NaN reaches all parameters.
    """

    lr: NonNegative = 1.0
    max_lr: Positive = 1.0
    f_min: Real = 0.0
    c: Positive = 1.0
    eps: NonNegative = 0.0
    least: NonNegative = 0.0
    gap: Annotated[
        str,
        Choice(
            signed=by("the loss minus f_min, which may be negative", "published: SPS"),
            positive=by("its positive part", "elsewhere: SPS+, Garrigos, Gower & Schaipp 2023, arXiv:2307.14528"),
        ),
    ] = "signed"
    lr_scales: Annotated[
        str,
        Choice(
            step=by("lr multiplies the step", "published: with lr=1", "optax: its documentation"),
            gradient=by(
                "lr multiplies the gradient before its norm is taken: the step is divided by it, up to max_lr",
                "optax: 0.2.8",
            ),
        ),
    ] = "step"

    couples = True
    citation = Citation(
        "Loizou et al. 2020",
        "Stochastic Polyak Step-size for SGD: An Adaptive Learning Rate for Fast Convergence",
        "arXiv:2002.10542, section 2",
        read="package",
        source="optax 0.2.8 polyak_sgd",
    )
    unspecified = (
        "a gradient of zero: no step, as at any squared norm of at most `least`; f_min is the least loss of the batch"
    )
    extras = Extras(loss=Extra("loss"))

    def update(self, p: Any, g: Any, loss: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        gap = loss - self.f_min
        if self.gap == "positive" and gap < 0:
            gap = 0.0
        step = self.lr * g
        scaled = g if self.lr_scales == "step" else step
        square = tree_sum(scaled * scaled) + self.eps
        size = np.where(square > self.least, np.minimum(gap / (self.c * square), self.max_lr), 0.0)
        return (p - size * step,)


AdaptLowerBound = Annotated[bool, Flag(by("the lower bound is estimated on the way", "published: Algorithm 2"))]
#: what a momentum model of the loss keeps besides the momentum
MODEL_STATE = {
    "average_loss": scalar_slot(0.0),
    "gamma": Slot(axes=TENSOR),
    "bound": Slot(fill="lower_bound", axes=TENSOR, when="adapt_lower_bound"),
}


class MoMo(Optimizer):
    """Momentum whose step size is that of a model of the loss, cut off at a lower bound: at most ``lr``.

    ``loss`` is that of the batch. Source: Schaipp et al. 2024, arXiv:2305.07583, Algorithm 1, and equation 16 with decay.
    One NaN reaches all parameters.
    """

    lr: NonNegative = 1.0
    beta: Decay = 0.9
    lower_bound: Real = 0.0
    weight_decay: NonNegative = 0.0
    least: NonNegative = 0.0
    start: Annotated[
        str,
        Choice(
            first=by("averages start at the first loss and gradient", "published: Algorithm 1", "optax"),
            zero=by("they start at zero, and the bound and lr are bias-corrected", "authors: bias_correction"),
        ),
    ] = "first"
    decay: Annotated[
        str,
        Choice(
            proximal=by("the new parameter is divided by 1 + lr * weight_decay", "published", "authors"),
            before=by("the old one is, and the step is not", "optax"),
        ),
    ] = "proximal"
    adapt_lower_bound: AdaptLowerBound = False

    couples = True
    citation = Citation(
        "Schaipp et al. 2024",
        "MoMo: Momentum Models for Adaptive Learning Rates",
        "ICML, arXiv:2305.07583, Algorithm 1",
        read="authors' code",
        source="momo-opt 0.1.0; fabian-sp/MoMo 7be52f2",
    )
    default_reasons = {"adapt_lower_bound": "Algorithm 1, to which Algorithm 2 adds the estimate of the bound"}
    unspecified = "an averaged gradient of zero: no step, as at any squared norm of at most `least`"
    extras = Extras(loss=Extra("loss"))
    state = State(
        m=zeros_like_param,
        **MODEL_STATE,
    )

    def update(
        self, p: Any, g: Any, loss: Any, m: Any, average_loss: Any, gamma: Any, bound: Any, t: Any
    ) -> tuple[Any, ...]:  # type: ignore[override]
        beta = 0.0 if self.start == "first" and t == 1 else self.beta
        rho = 1.0 if self.start == "first" else 1 - self.beta**t
        m = beta * m + (1 - beta) * g
        average_loss = beta * average_loss + (1 - beta) * loss
        gamma = beta * gamma + (1 - beta) * tree_sum(g * p)
        step, bound = model_step(self, average_loss, gamma, bound, tree_sum(m * p), tree_sum(m * m), rho)
        return decayed(self, p, step * m), m, average_loss, gamma, bound


class MoMoAdam(Optimizer):
    """MoMo in Adam's metric: Adam whose step size is that of a model of the loss, at most ``lr`` bias-corrected.

    ``loss`` is that of the batch. Source: Schaipp et al. 2024, arXiv:2305.07583, Algorithm 3. One NaN reaches all parameters.
    """

    lr: NonNegative = 1e-2
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    lower_bound: Real = 0.0
    weight_decay: NonNegative = 0.0
    least: NonNegative = 0.0
    decay: Annotated[
        str,
        Choice(
            proximal=by("the new parameter is divided by 1 + lr * weight_decay", "published", "authors: divide=True"),
            before=by("the old one is, and the step is not", "optax"),
            adamw=by("the old one is multiplied by 1 - lr * weight_decay", "authors: divide=False"),
        ),
    ] = "proximal"
    adapt_lower_bound: AdaptLowerBound = False

    couples = True
    citation = Citation(
        "Schaipp et al. 2024",
        "MoMo: Momentum Models for Adaptive Learning Rates",
        "ICML, arXiv:2305.07583, Algorithm 3",
        read="authors' code",
        source="momo-opt 0.1.0; fabian-sp/MoMo 7be52f2",
    )
    default_reasons = MoMo.default_reasons
    unspecified = MoMo.unspecified
    extras = Extras(loss=Extra("loss"))
    state = State(
        m=zeros_like_param,
        v=zeros_like_param,
        **MODEL_STATE,
    )

    def update(
        self, p: Any, g: Any, loss: Any, m: Any, v: Any, average_loss: Any, gamma: Any, bound: Any, t: Any
    ) -> tuple[Any, ...]:  # type: ignore[override]
        rho = 1 - self.beta1**t
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        metric = self.eps + np.sqrt(v / (1 - self.beta2**t))
        average_loss = self.beta1 * average_loss + (1 - self.beta1) * loss
        gamma = self.beta1 * gamma + (1 - self.beta1) * tree_sum(g * p)
        scaled = m / metric
        step, bound = model_step(self, average_loss, gamma, bound, tree_sum(m * p), tree_sum(m * scaled), rho)
        return decayed(self, p, step * scaled), m, v, average_loss, gamma, bound


def model_step(
    rule: Any, average_loss: Any, gamma: Any, bound: Any, along: Any, square: Any, rho: Any
) -> tuple[Any, Any]:
    """The step size of a momentum model, and the lower bound after it: ``rho`` corrects averages that start at zero."""
    shrink = 1 + rule.lr * rule.weight_decay
    model = shrink * (average_loss - gamma) + along
    if bound is None:
        bound = rule.lower_bound
    else:
        lowered = np.maximum(model / (2 * shrink * rho), rule.lower_bound)
        bound = np.where(model < shrink * rho * bound, lowered, bound)
    gap = np.maximum(shrink * (average_loss - rho * bound - gamma) + along, 0.0)
    step = np.where(square > rule.least, np.minimum(gap / square, rule.lr / rho), 0.0)
    estimate = (average_loss - gamma + along - 0.5 * step * square) / rho
    return step, np.maximum(estimate, rule.lower_bound)


def decayed(rule: Any, p: Any, step: Any) -> Any:
    """The parameter after a step, with weight decay of the rule's kind."""
    if not rule.weight_decay:
        return p - step
    if rule.decay == "adamw":
        return (1 - rule.lr * rule.weight_decay) * p - step
    shrink = 1 + rule.lr * rule.weight_decay
    return (p - step) / shrink if rule.decay == "proximal" else p / shrink - step
