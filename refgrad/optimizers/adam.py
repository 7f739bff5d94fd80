"""Adam, AdamW and AMSGrad."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.rule import Choice, Citation, Decay, NonNegative, State, zeros_like_param

EpsPlacement = Annotated[
    str,
    Choice(
        outside="eps is added to the root of the corrected second moment (E1: the paper, torch, optax)",
        uncorrected="eps is added to the root of the uncorrected second moment (E2, 'eps hat': Keras)",
        inside="eps is added to the corrected second moment under the root (E3)",
    ),
]


def adam_direction(m: Any, v: Any, rule: Any, t: Any) -> Any:
    """The bias-corrected step of Adam, by where the rule adds eps."""
    m_hat = m / (1 - rule.beta1**t)
    if rule.eps_placement == "uncorrected":
        return np.sqrt(1 - rule.beta2**t) * m_hat / (np.sqrt(v) + rule.eps)
    v_hat = v / (1 - rule.beta2**t)
    if rule.eps_placement == "inside":
        return m_hat / np.sqrt(v_hat + rule.eps)
    return m_hat / (np.sqrt(v_hat) + rule.eps)


class Adam(Optimizer):
    """Adam: a step by the ratio of bias-corrected moments. Weight decay, if any, is coupled (added to the gradient).

    Source: Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    eps_placement: EpsPlacement = "outside"

    citation = Citation(
        "Kingma & Ba 2015", "Adam: A Method for Stochastic Optimization", "arXiv:1412.6980, Algorithm 1"
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        p = p - self.lr * adam_direction(m, v, self, t)
        return p, m, v


class AdamW(Optimizer):
    """Adam with decoupled weight decay.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 1e-2
    eps_placement: EpsPlacement = "outside"
    decay: Annotated[
        str,
        Choice(
            before="the parameter before the step decays, by lr times weight_decay (torch, optax)",
            after="the parameter after the step decays, by lr times weight_decay (bitsandbytes on CUDA)",
            fixed="the parameter before the step decays by weight_decay alone, not scaled by lr (fixed_decay of some packages)",
        ),
    ] = "before"

    citation = Citation(
        "Loshchilov & Hutter 2019", "Decoupled Weight Decay Regularization", "arXiv:1711.05101, Algorithm 2"
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        direction = adam_direction(m, v, self, t)
        if self.decay == "before":
            p = p - self.lr * (direction + self.weight_decay * p)
        elif self.decay == "after":
            p = p - self.lr * direction
            p = p - self.lr * self.weight_decay * p
        else:
            p = p - (self.lr * direction + self.weight_decay * p)
        return p, m, v


class AMSGrad(Optimizer):
    """Adam with a second moment that never falls.

    Source: Reddi et al. 2018, arXiv:1904.09237, Algorithm 2, which has no bias correction. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    order: Annotated[
        str,
        Choice(
            paper="the largest second moment so far, without bias correction of either moment",
            torch="the largest uncorrected second moment so far, corrected for the current step",
            optax="the largest corrected second moment so far",
        ),
    ] = "paper"

    citation = Citation("Reddi et al. 2018", "On the Convergence of Adam and Beyond", "arXiv:1904.09237, Algorithm 2")
    state = State(m=zeros_like_param, v=zeros_like_param, v_max=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, v_max: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        if self.order == "optax":
            v_max = np.maximum(v_max, v / (1 - self.beta2**t))
        else:
            v_max = np.maximum(v_max, v)
        if self.order == "paper":
            p = p - self.lr * m / (np.sqrt(v_max) + self.eps)
        elif self.order == "torch":
            p = p - self.lr * (m / (1 - self.beta1**t)) / (np.sqrt(v_max / (1 - self.beta2**t)) + self.eps)
        else:
            p = p - self.lr * (m / (1 - self.beta1**t)) / (np.sqrt(v_max) + self.eps)
        return p, m, v, v_max
