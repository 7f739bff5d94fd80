"""Update rules that step by the sign of a direction."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.rule import Citation, Decay, NonNegative, State, zeros_like_param


class Lion(Optimizer):
    """Lion: the sign of an interpolated momentum, with decoupled weight decay.

    Source: Chen et al. 2023, arXiv:2302.06675, Algorithm 2. The momentum is updated after the parameter, with ``beta2``.
    NaN propagates: the sign of NaN is NaN (torch's sign of NaN is 0, so code built on it freezes a poisoned entry).
    """

    lr: NonNegative = 1e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    weight_decay: NonNegative = 0.0

    citation = Citation(
        "Chen et al. 2023", "Symbolic Discovery of Optimization Algorithms", "arXiv:2302.06675, Algorithm 2"
    )
    state = State(m=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        c = self.beta1 * m + (1 - self.beta1) * g
        p = p - self.lr * (np.sign(c) + self.weight_decay * p)
        m = self.beta2 * m + (1 - self.beta2) * g
        return p, m
