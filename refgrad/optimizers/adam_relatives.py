"""Adamax, NAdam and RAdam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.parts import (
    DecayKind,
    EpsPlacement,
    average_lengths,
    descend,
    over_root,
    rectification,
)
from refgrad.rule import Choice, Citation, Decay, NonNegative, State, by, scalar_slot, zeros_like_param


class Adamax(Optimizer):
    """Adam with an exponentially weighted infinity norm in place of the second moment.

    Source: Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2, which has no eps. NaN propagates.
    """

    lr: NonNegative = 2e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    eps_placement: Annotated[
        str,
        Choice(
            none=by("there is no eps: a gradient that was always zero gives NaN", "published"),
            inside_max=by("eps is added to the gradient's magnitude inside the maximum", "torch", "optax"),
            outside=by("eps is added to the norm", "Keras"),
        ),
    ] = "none"
    decay: DecayKind = "coupled"

    scaling = "invariant"
    citation = Citation(
        "Kingma & Ba 2015",
        "Adam: A Method for Stochastic Optimization",
        "arXiv:1412.6980, Algorithm 2",
        read="package",
        source="torch 2.13.0 Adamax; optax 0.2.8 adamax; Keras 3.15.1 Adamax",
    )
    unspecified = "division by zero where every gradient was zero"
    state = State(m=zeros_like_param, u=zeros_like_param)

    def exempt(self) -> Mapping[str, str]:
        """Without eps, no gradient at all is zero over zero."""
        reason = "without eps an element that has seen no gradient becomes NaN"
        return {"still": reason, "no rate": reason} if self.eps_placement == "none" else {}

    def update(self, p: Any, g: Any, m: Any, u: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        size = np.abs(g) + self.eps if self.eps_placement == "inside_max" else np.abs(g)
        u = np.maximum(self.beta2 * u, size)
        norm = u + self.eps if self.eps_placement == "outside" else u
        return descend(self, p, (self.lr / (1 - self.beta1**t)) * m / norm), m, u


MomentumSchedule = Annotated[
    str,
    Choice(
        warmup=by(
            "the momentum at step t is beta1 (1 - 0.96**(t momentum_decay) / 2)", "published: report and paper", "torch"
        ),
        constant=by("the momentum is beta1 at every step", "optax"),
        current=by("the momentum is beta1, and both terms are corrected for the current step", "timm: NAdamW"),
    ),
]


class NAdam(Optimizer):
    """Adam with Nesterov momentum and a warm-up of the momentum.

    ``mu_product`` is the product of all momenta so far; Keras has ``momentum_decay`` 1. Source: Dozat 2015, the report for the
    course CS229, which torch and Keras follow; Algorithm 2 of the workshop paper of the same title (Dozat 2016) is
    ``algorithm="paper"``. NaN propagates.
    """

    lr: NonNegative = 2e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    eps_root: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    momentum_decay: NonNegative = 4e-3
    schedule: MomentumSchedule = "warmup"
    algorithm: Annotated[
        str,
        Choice(
            report=by(
                "m decays by beta1, whatever the momentum of the step",
                "published: the report of 2015",
                "torch",
                "Keras",
            ),
            paper=by(
                "m decays by the momentum of the step, and the corrected second moment is multiplied by beta2",
                "elsewhere: Dozat 2016, ICLR workshop, Algorithm 2",
            ),
        ),
    ] = "report"
    eps_placement: EpsPlacement = "outside"
    decay: DecayKind = "coupled"

    scaling = "invariant"
    citation = Citation(
        "Dozat 2015",
        "Incorporating Nesterov Momentum into Adam",
        "Stanford CS229 report 54, as torch and Keras cite and compute it",
        read="package",
        source="torch 2.13.0 NAdam; Keras 3.15.1 Nadam; optax 0.2.8 nadam",
    )
    default_reasons = {
        "algorithm": "torch and Keras compute the report's; nobody was found to run the workshop paper's"
    }
    unspecified = (
        "weight decay, which the source has not: coupled here; optax and timm keep the momentum constant (schedule); the "
        "workshop paper's Algorithm 2, which nobody was found to run, is algorithm=paper"
    )
    state = State(m=zeros_like_param, v=zeros_like_param, mu_product=scalar_slot(1.0))

    def update(self, p: Any, g: Any, m: Any, v: Any, mu_product: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        if self.schedule == "warmup":
            mu = self.beta1 * (1 - 0.5 * 0.96 ** (t * self.momentum_decay))
            mu_next = self.beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * self.momentum_decay))
        else:
            mu = mu_next = 1.0 * self.beta1
        mu_product = mu_product * mu
        kept = mu if self.algorithm == "paper" else self.beta1
        m = kept * m + (1 - kept) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        bias = 1 - self.beta2**t
        if self.algorithm == "paper":
            bias = bias / self.beta2
        if self.schedule == "current":
            m_hat = (mu * m + (1 - mu) * g) / (1 - mu_product)
        else:
            m_hat = mu_next * m / (1 - mu_product * mu_next) + (1 - mu) * g / (1 - mu_product)
        return descend(self, p, self.lr * over_root(self, m_hat, v, bias)), m, v, mu_product


class RAdam(Optimizer):
    """Adam whose second moment is used once its variance is tractable, rectified; before, steps by the first moment.

    Source: Liu et al. 2020, arXiv:1908.03265, Algorithm 2; undefined for ``beta2`` of 0.6 and below. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    eps_root: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    threshold: Annotated[
        str,
        Choice(
            paper=by("rectified where the length of the average exceeds 4", "published"),
            torch=by("rectified where it exceeds 5", "torch"),
            author=by("rectified where it is at least 5", "authors", "optax"),
        ),
    ] = "paper"
    before: Annotated[
        str,
        Choice(
            momentum=by("before that, steps by the corrected first moment", "published", "torch", "optax"),
            still=by("before that, no step and no decay", "authors: by default", "pytorch-optimizer"),
        ),
    ] = "momentum"
    eps_placement: EpsPlacement = "outside"
    decay: DecayKind = "coupled"

    citation = Citation(
        "Liu et al. 2020",
        "On the Variance of the Adaptive Learning Rate and Beyond",
        "arXiv:1908.03265, Algorithm 2",
        read="authors' code",
        source="LiyuanLucasLiu/RAdam d9fd30a",
    )
    unspecified = "eps and decay; whether there are steps where the variance is not tractable (yes in Algorithm 2)"
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay and self.decay == "coupled":
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat = m / (1 - self.beta1**t)
        rho, rho_inf = average_lengths(self, t)
        tractable = {"paper": rho > 4, "torch": rho > 5, "author": rho >= 5}[self.threshold]
        if not tractable:
            return (descend(self, p, self.lr * m_hat) if self.before == "momentum" else 1.0 * p), m, v
        r = rectification(rho, rho_inf)
        return descend(self, p, self.lr * r * over_root(self, m_hat, v, 1 - self.beta2**t)), m, v
