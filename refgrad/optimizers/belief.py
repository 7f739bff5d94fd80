"""AdaBelief and diffGrad: Adam informed by how the gradient changes."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import exp
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Choice, Citation, Decay, NonNegative, State, zeros_like_param


class AdaBelief(Optimizer):
    """Adam with the second moment of the gradient's deviation from its mean; eps is also kept in that moment.

    Source: Zhuang et al. 2020, arXiv:2010.07468, Algorithm 2; the accumulated eps (E4) as in the authors' package and optax
    (where it is called eps_root). Without rectification. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-16
    weight_decay: NonNegative = 0.0

    citation = Citation("Zhuang et al. 2020", "AdaBelief Optimizer", "arXiv:2010.07468, Algorithm 2")
    state = State(m=zeros_like_param, s=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, s: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        d = g - m
        s = self.beta2 * s + (1 - self.beta2) * d * d + self.eps
        m_hat = m / (1 - self.beta1**t)
        s_hat = s / (1 - self.beta2**t)
        p = p - self.lr * (m_hat / (np.sqrt(s_hat) + self.eps) + self.weight_decay * p)
        return p, m, s


class DiffGrad(Optimizer):
    """Adam with a friction of 1/2 to 1, by how much the gradient changed since the last step.

    Source: Dubey et al. 2020, arXiv:1909.11015. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    eps_placement: Annotated[
        str,
        Choice(
            outside="eps is added to the root of the corrected second moment (E1: the paper)",
            uncorrected="eps is added to the root of the uncorrected second moment (E2: the authors' code)",
        ),
    ] = "outside"

    citation = Citation(
        "Dubey et al. 2020", "diffGrad: An Optimization Method for Convolutional Neural Networks", "arXiv:1909.11015"
    )
    state = State(m=zeros_like_param, v=zeros_like_param, g_prev=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, g_prev: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        friction = 1 / (1 + exp(-np.abs(g_prev - g)))
        m_hat = m / (1 - self.beta1**t)
        if self.eps_placement == "uncorrected":
            step = np.sqrt(1 - self.beta2**t) * friction * m_hat / (np.sqrt(v) + self.eps)
        else:
            step = friction * m_hat / (np.sqrt(v / (1 - self.beta2**t)) + self.eps)
        return p - self.lr * step, m, v, g
