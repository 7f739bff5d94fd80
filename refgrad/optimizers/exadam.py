"""EXAdam, in both versions that were published."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.parts import DecayKind, descend
from refgrad.rule import Choice, Citation, Decay, NonNegative, State, by, zeros_like_param


class EXAdam(Optimizer):
    """Adam with bias corrections that each moment gives the other, and the current gradient beside its average.

    Source: Adly 2024, arXiv:2412.20302, Algorithm 1. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    version: Annotated[
        str,
        Choice(
            second=by("lr is the step size", "published: second version", "pytorch-optimizer: from 4"),
            first=by(
                "the step size grows: lr ln(sqrt(t + 1) sqrt(2))", "authors: first version", "pytorch-optimizer: 3.4"
            ),
        ),
    ] = "second"
    decay: DecayKind = "before"

    scaling = "invariant"
    citation = Citation(
        "Adly 2024",
        "EXAdam: The Power of Adaptive Cross-Moments",
        "arXiv:2412.20302, Algorithm 1",
        read="authors' code",
        source="AhmedMostafa16/EXAdam 989d7b6",
    )
    unspecified = "weight decay; the base of the first version's logarithm is that of the author's code"
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        d1 = 1 + v / (v + self.eps) * self.beta2**t
        d2 = 1 + m * m / (m * m + self.eps) * self.beta1**t
        m_tilde = m / (1 - self.beta1**t) * d1
        v_tilde = v / (1 - self.beta2**t) * d2
        g_tilde = g / (1 - self.beta1**t) * d1
        alpha = self.lr * np.log(np.sqrt(2 * (t + 1))) if self.version == "first" else self.lr
        return descend(self, p, alpha * (m_tilde + g_tilde) / (np.sqrt(v_tilde) + self.eps)), m, v
