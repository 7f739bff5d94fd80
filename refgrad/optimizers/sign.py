"""Update rules that step by the sign of a direction."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.limits import Limit
from refgrad.optimizers.parts import AnyDecayKind, descend
from refgrad.rule import Choice, Citation, Decay, NonNegative, Positive, State, by, zeros_like_param


class Lion(Optimizer):
    """Lion: the sign of an interpolated momentum, with decoupled weight decay.

    Source: Chen et al. 2023, arXiv:2302.06675, Algorithm 2. The momentum is updated after the parameter, with ``beta2``.
    NaN propagates: the sign of NaN is NaN (torch's sign of NaN is 0, so code built on it freezes a poisoned entry).
    """

    lr: NonNegative = 1e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.99
    weight_decay: NonNegative = 0.0
    peak_lr: Positive = 1e-4
    direction: Annotated[
        str,
        Choice(
            sign=by("the sign", "published", "torch-optimi", "optax", "Keras", "timm", "pytorch-optimizer"),
            refined=by("the number itself up to a magnitude of 1, and its sign beyond", "optax: an option"),
        ),
    ] = "sign"
    decay: AnyDecayKind = "before"

    scaling = "invariant"
    limits = (
        Limit("Signum", {"beta1": 0.9, "beta2": 0.9, "direction": "sign", "decay": "before"}, {"beta": 0.9}),
        Limit("SignDescent", {"beta1": 0.0, "beta2": 0.0, "direction": "sign", "decay": "before"}),
    )
    citation = Citation(
        "Chen et al. 2023",
        "Symbolic Discovery of Optimization Algorithms",
        "arXiv:2302.06675, Algorithm 2",
        read="authors' code",
        source="google/automl 6a54c87, lion/lion_pytorch.py",
    )
    unspecified = "the sign of NaN: NaN here, 0 in torch"
    state = State(m=zeros_like_param)

    def largest_step(self, t: int) -> float:
        """No direction is longer than one."""
        return self.lr

    def update(self, p: Any, g: Any, m: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        c = self.beta1 * m + (1 - self.beta1) * g
        u = np.sign(c) if self.direction == "sign" else np.minimum(np.maximum(c, -1.0), 1.0)
        if self.decay == "before":
            p = p - self.lr * (u + self.weight_decay * p)
        else:
            p = descend(self, p, self.lr * u)
        m = self.beta2 * m + (1 - self.beta2) * g
        return p, m
