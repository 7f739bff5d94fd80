"""Adagrad and Adadelta."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.parts import DecayKind, descend
from refgrad.rule import Choice, Citation, Fraction, NonNegative, Slot, State, by, zeros_like_param


class Adagrad(Optimizer):
    """A step scaled by the root of the sum of all squared gradients.

    optax and Keras start the sum at 0.1. Source: Duchi et al. 2011, JMLR 12. NaN propagates.
    """

    lr: NonNegative = 1e-2
    lr_decay: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    initial_accumulator_value: NonNegative = 0.0
    eps: NonNegative = 1e-10
    eps_placement: Annotated[
        str,
        Choice(
            outside=by("eps is added to the root", "published: delta", "torch"),
            inside=by("eps is added under the root", "Keras"),
            inside_or_still=by("eps is added under the root, and there is no step where the sum is zero", "optax"),
        ),
    ] = "outside"
    decay: DecayKind = "coupled"

    scaling = "invariant"
    citation = Citation(
        "Duchi et al. 2011",
        "Adaptive Subgradient Methods for Online Learning",
        "JMLR 12, Figure 1",
        read="package",
        source="torch 2.13.0 Adagrad; optax 0.2.8 adagrad; Keras 3.15.1 Adagrad",
    )
    unspecified = "the start of the sum; a decay of lr and of the parameter"
    state = State(s=Slot(fill="initial_accumulator_value"))

    def update(self, p: Any, g: Any, s: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        lr = self.lr / (1 + (t - 1) * self.lr_decay)
        s = s + g * g
        if self.eps_placement == "outside":
            return descend(self, p, lr * g / (np.sqrt(s) + self.eps)), s
        if self.eps_placement == "inside":
            return descend(self, p, lr * g / np.sqrt(s + self.eps)), s
        return descend(self, p, lr * g * np.where(s > 0, 1 / np.sqrt(s + self.eps), 0.0)), s


class Adadelta(Optimizer):
    """A step scaled by the ratio of the root mean squares of past steps and past gradients.

    Source: Zeiler 2012, arXiv:1212.5701, Algorithm 1; ``lr`` multiplies the step; 1 is none. NaN propagates.
    """

    lr: NonNegative = 1.0
    rho: Fraction = 0.9
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0
    decay: DecayKind = "coupled"

    citation = Citation(
        "Zeiler 2012",
        "ADADELTA: An Adaptive Learning Rate Method",
        "arXiv:1212.5701, Algorithm 1",
        read="package",
        source="torch 2.13.0 Adadelta; Keras 3.15.1 Adadelta",
    )
    unspecified = "a learning rate: it multiplies the step, after the step has entered its average"
    state = State(v=zeros_like_param, u=zeros_like_param)

    def update(self, p: Any, g: Any, v: Any, u: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        v = self.rho * v + (1 - self.rho) * g * g
        d = np.sqrt(u + self.eps) / np.sqrt(v + self.eps) * g
        u = self.rho * u + (1 - self.rho) * d * d
        return descend(self, p, self.lr * d), v, u
