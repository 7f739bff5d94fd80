"""Adam, AdamW and AMSGrad."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.limits import Limit, largest_adam_step
from refgrad.optimizers.parts import DecayKind, DecoupledKind, EpsPlacement, adam_direction, descend, over_root
from refgrad.rule import Choice, Citation, Decay, Flag, NonNegative, Positive, State, by, zeros_like_param

BiasCorrection = Annotated[
    bool, Flag(by("both moments are corrected for their start at zero; BERT's and other old AdamW do not", "published"))
]


class Adam(Optimizer):
    """Adam: a step by the ratio of bias-corrected moments. Weight decay, if any, is coupled (added to the gradient).

    ``eps_root`` is optax's second eps, under the root. Source: Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1.
    NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    eps_root: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    eps_placement: EpsPlacement = "outside"
    bias_correction: BiasCorrection = True

    scaling = "invariant"
    citation = Citation(
        "Kingma & Ba 2015",
        "Adam: A Method for Stochastic Optimization",
        "arXiv:1412.6980, Algorithm 1",
        read="package",
        source="torch 2.13.0 Adam; optax 0.2.8 adam; Keras 3.15.1 Adam",
    )
    unspecified = "weight decay: coupled here"
    state = State(m=zeros_like_param, v=zeros_like_param)

    def largest_step(self, t: int) -> float:
        """As of two averages of the same gradients."""
        return largest_adam_step(self, t)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        direction = adam_direction(m, v, self, t) if self.bias_correction else over_root(self, m, v)
        return p - self.lr * direction, m, v


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    ``eps_root`` is optax's second eps, under the root; ``peak_lr`` is read by two kinds of decay alone.
    Source: Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    eps_root: NonNegative = 0.0
    weight_decay: NonNegative = 1e-2
    peak_lr: Positive = 1e-3
    eps_placement: EpsPlacement = "outside"
    bias_correction: BiasCorrection = True
    decay: DecoupledKind = "before"

    scaling = "invariant"
    limits = (Limit("Adam", {"weight_decay": 0.0, "decay": "before"}),)
    citation = Citation(
        "Loshchilov & Hutter 2019",
        "Decoupled Weight Decay Regularization",
        "arXiv:1711.05101, Algorithm 2",
        read="package",
        source="torch 2.13.0 AdamW; optax 0.2.8 adamw; timm 1.0.31 AdamW",
    )
    unspecified = "the multiplier of the schedule: 1 here; AdamW(decay=independent) has it in the decay alone"
    state = State(m=zeros_like_param, v=zeros_like_param)

    def largest_step(self, t: int) -> float:
        """As of two averages of the same gradients."""
        return largest_adam_step(self, t)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        direction = adam_direction(m, v, self, t) if self.bias_correction else over_root(self, m, v)
        if self.decay == "before":
            p = p - self.lr * (direction + self.weight_decay * p)
        else:
            p = descend(self, p, self.lr * direction)
        return p, m, v


class AMSGrad(Optimizer):
    """Adam with a second moment that never falls.

    Source: Reddi et al. 2018, arXiv:1904.09237, Algorithm 2, which has neither bias correction nor eps nor decay.
    NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    eps_root: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    order: Annotated[
        str,
        Choice(
            paper=by("the largest second moment so far, without bias correction of either moment", "published"),
            torch=by(
                "the largest uncorrected second moment so far, corrected for the current step", "torch", "Keras", "timm"
            ),
            optax=by("the largest corrected second moment so far", "optax"),
        ),
    ] = "paper"
    eps_placement: EpsPlacement = "outside"
    decay: DecayKind = "coupled"

    scaling = "invariant"
    citation = Citation(
        "Reddi et al. 2018",
        "On the Convergence of Adam and Beyond",
        "arXiv:1904.09237, Algorithm 2",
        read="package",
        source="torch 2.13.0 Adam(amsgrad=True); optax 0.2.8 amsgrad",
    )
    unspecified = "bias correction, eps and decay: none of the first and last, eps outside the root here"
    state = State(m=zeros_like_param, v=zeros_like_param, v_max=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, v_max: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        if self.order == "optax":
            v_max = np.maximum(v_max, v / (1 - self.beta2**t))
        else:
            v_max = np.maximum(v_max, v)
        if self.order == "torch":
            direction = adam_direction(m, v_max, self, t)
        elif self.order == "optax":
            direction = over_root(self, m / (1 - self.beta1**t), v_max)
        else:
            direction = over_root(self, m, v_max)
        return descend(self, p, self.lr * direction), m, v, v_max
