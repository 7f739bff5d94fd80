"""Adam and its near relatives."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.rule import Citation, Decay, NonNegative, State, zeros_like_param


class Adam(Optimizer):
    """x"""

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    citation = Citation(
        "Kingma & Ba 2015", "Adam: A Method for Stochastic Optimization", "arXiv:1412.6980, Algorithm 1"
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        if self.weight_decay:
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat = m / (1 - self.beta1**t)
        v_hat = v / (1 - self.beta2**t)
        p = p - self.lr * m_hat / (np.sqrt(v_hat) + self.eps)
        return p, m, v


class AdamW(Optimizer):
    """Adam with decoupled weight decay. Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2."""

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 1e-2

    citation = Citation(
        "Loshchilov & Hutter 2019", "Decoupled Weight Decay Regularization", "arXiv:1711.05101, Algorithm 2"
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat = m / (1 - self.beta1**t)
        v_hat = v / (1 - self.beta2**t)
        p = p - self.lr * (m_hat / (np.sqrt(v_hat) + self.eps) + self.weight_decay * p)
        return p, m, v
