"""Update rules that scale a whole tensor's step: LAMB, and AdamP's projection."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic.primitives import length, tree_max, tree_sum
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Citation, Decay, Fraction, NonNegative, State, zeros_like_param


class LAMB(Optimizer):
    """Adam's step with decay, scaled to the parameter's norm; by one where either norm is zero.

    Source: You et al. 2020, arXiv:1904.00962, Algorithm 2 with phi the identity. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0

    citation = Citation(
        "You et al. 2020",
        "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes",
        "arXiv:1904.00962, Algorithm 2",
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat = m / (1 - self.beta1**t)
        v_hat = v / (1 - self.beta2**t)
        r = m_hat / (np.sqrt(v_hat) + self.eps) + self.weight_decay * p
        p_norm = np.sqrt(tree_sum(p * p))
        r_norm = np.sqrt(tree_sum(r * r))
        ratio = np.where((p_norm == 0) | (r_norm == 0), 1.0, p_norm / r_norm)
        return p - self.lr * ratio * r, m, v


class AdamP(Optimizer):
    """Adam whose step loses its radial part where the gradient is nearly orthogonal to the weights.

    Tried by rows (output channels), then on the whole tensor; a parameter of fewer than two axes is never projected.
    Source: Heo et al. 2021, arXiv:2006.08217, Algorithm 2; the test takes the largest cosine of all rows, as the authors'
    package does. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    delta: NonNegative = 0.1
    wd_ratio: Fraction = 0.1

    citation = Citation(
        "Heo et al. 2021", "AdamP: Slowing Down the Slowdown for Momentum Optimizers", "arXiv:2006.08217, Algorithm 2"
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        u = m / (1 - self.beta1**t) / (np.sqrt(v / (1 - self.beta2**t)) + self.eps)
        if p.ndim < 2:
            return p - self.lr * (u + self.weight_decay * p), m, v
        by_row, row_step = self._project(p, g, u, "row")
        by_tensor, tensor_step = self._project(p, g, u, "tensor")
        step = np.where(by_row, row_step, np.where(by_tensor, tensor_step, u))
        decayed = np.where(by_row | by_tensor, self.wd_ratio * p, p)
        return p - self.lr * (step + self.weight_decay * decayed), m, v

    def _project(self, p: Any, g: Any, u: Any, over: Any) -> tuple[Any, Any]:
        """Whether the gradient is nearly orthogonal in this view, and the step without its radial part."""
        p_norm = np.sqrt(tree_sum(p * p, over))
        g_norm = np.sqrt(tree_sum(g * g, over))
        cosine = np.abs(tree_sum(g * p, over)) / (np.maximum(g_norm, self.eps) * np.maximum(p_norm, self.eps))
        orthogonal = tree_max(cosine) < self.delta / np.sqrt(length(p, over))
        n = p / (p_norm + self.eps)
        return orthogonal, u - n * tree_sum(n * u, over)
