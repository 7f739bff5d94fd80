"""Adam with other denominators: an additive second moment, the one before the step, bounds, Nesterov and decay of relatives."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.adam_relatives import Adamax, MomentumSchedule, NAdam
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.limits import Limit
from refgrad.optimizers.parts import DecayKind
from refgrad.rule import Choice, Citation, Decay, NonNegative, Real, Slot, State, by, zeros_like_param


class Yogi(Optimizer):
    """Adam whose second moment moves towards the squared gradient by an amount that does not depend on their distance.

    Source: Zaheer et al. 2018, NeurIPS, Algorithm 2, which has no bias correction and starts at zero. Weight decay is
    coupled. NaN propagates.
    """

    lr: NonNegative = 1e-2
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-3
    initial_m: Real = 0.0
    initial_v: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    correction: Annotated[
        str,
        Choice(
            none=by("the moments are used as they are", "published"),
            adam=by("both moments are divided by 1 - beta**t, as if they started at zero", "optax", "torch-optimizer"),
        ),
    ] = "none"

    scaling = "invariant"
    citation = Citation(
        "Zaheer et al. 2018",
        "Adaptive Methods for Nonconvex Optimization",
        "NeurIPS 2018, Algorithm 2",
        read="package",
        source="optax 0.2.8 yogi; torch-optimizer 0.3.0 Yogi; pytorch-optimizer 4.1.0 Yogi",
    )
    unspecified = (
        "the start of both moments: zero here, where implementations start at 1e-6 and correct as if they had "
        "started at zero (correction=adam); weight decay: coupled here"
    )
    state = State(m=Slot(fill="initial_m"), v=Slot(fill="initial_v"))

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        v = v - (1 - self.beta2) * np.sign(v - g * g) * (g * g)
        if self.correction == "adam":
            return p - self.lr * (m / (1 - self.beta1**t)) / (np.sqrt(v / (1 - self.beta2**t)) + self.eps), m, v
        return p - self.lr * m / (np.sqrt(v) + self.eps), m, v


class ADOPT(Optimizer):
    """A gradient scaled by the second moment of the gradients before it, clipped, and averaged then.

    The first step only sets the second moment. Source: Taniguchi et al. 2024, arXiv:2411.02853, Algorithm 2, with the clip at
    the fourth root of the steps taken. Weight decay is decoupled. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.9999
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0
    clip_exponent: NonNegative = 0.25
    clip: Annotated[
        str,
        Choice(
            taken=by(
                "at step t the bound is (t - 1)**clip_exponent, which counts steps that moved", "published", "optax"
            ),
            counted=by("at step t the bound is t**clip_exponent", "pytorch-optimizer"),
            none=by("there is no clipping", "authors: clip_lambda=None", "published: Algorithm 1"),
        ),
    ] = "taken"
    first_step: Annotated[
        str,
        Choice(
            nothing=by("the parameter does not move at the first step", "published", "authors: since it clips"),
            decays=by("it decays", "optax", "pytorch-optimizer", "authors: the first release"),
        ),
    ] = "nothing"
    start: Annotated[
        str,
        Choice(
            zero=by("the momentum starts at zero", "published: Algorithm 2"),
            whole=by(
                "the first scaled gradient is the momentum in whole",
                "published: Algorithm 1, which does not clip",
                "authors: the first release",
            ),
        ),
    ] = "zero"

    scaling = "invariant"
    citation = Citation(
        "Taniguchi et al. 2024",
        "ADOPT: Modified Adam Can Converge with Any beta2 with the Optimal Rate",
        "arXiv:2411.02853, Algorithm 2",
        read="authors' code",
        source="iShohei220/adopt 6468572, src/adopt/adopt.py",
    )
    unspecified = (
        "weight decay at the first step, which only sets the second moment: none here; implementations decay "
        "(first_step=decays), and pytorch-optimizer counts that step in the bound of the clip; Algorithm 1 is clip=none, "
        "start=whole, and the authors' first release (commit 6e94fbc) decays besides at the first step"
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        if t == 1:
            decayed = p - self.lr * self.weight_decay * p if self.first_step == "decays" else p
            return decayed, m, g * g
        scaled = g / np.maximum(np.sqrt(v), self.eps)
        if self.clip != "none":
            bound = (t - 1 if self.clip == "taken" else t) ** self.clip_exponent
            scaled = np.clip(scaled, -bound, bound)
        whole = t == 2 and self.start == "whole"
        m = scaled if whole else self.beta1 * m + (1 - self.beta1) * scaled
        p = p - self.lr * (m + self.weight_decay * p)
        v = self.beta2 * v + (1 - self.beta2) * g * g
        return p, m, v


class ACProp(Optimizer):
    """A gradient scaled by the deviation of the gradients before it from their mean; the mean itself is not stepped by.

    The first step is plain gradient descent, for there is nothing before it. Source: Zhuang et al. 2021, arXiv:2110.05454,
    Algorithm 2, with eps accumulated in the second moment as in AdaBelief. Weight decay is decoupled. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-16
    weight_decay: NonNegative = 0.0
    deviation: Annotated[
        str,
        Choice(
            new=by("the deviation is from the mean that includes the gradient", "published"),
            old=by("the deviation is from the mean before it", "optax"),
        ),
    ] = "new"

    citation = Citation(
        "Zhuang et al. 2021",
        "Momentum Centering and Asynchronous Update for Adaptive Gradient Methods",
        "arXiv:2110.05454, Algorithm 2",
        read="package",
        source="optax 0.2.8 contrib.acprop",
    )
    unspecified = (
        "weight decay: decoupled here; whether the deviation is from the mean with or without the gradient itself: "
        "with it in the paper, without in optax (deviation=old)"
    )
    state = State(m=zeros_like_param, s=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, s: Any, t: Any) -> tuple[Any, ...]:
        if t == 1:
            step = g / (1 + self.eps)
        else:
            step = g / (np.sqrt(s / (1 - self.beta2 ** (t - 1))) + self.eps)
        p = p - self.lr * (step + self.weight_decay * p)
        mean = self.beta1 * m + (1 - self.beta1) * g
        d = g - (mean if self.deviation == "new" else m)
        s = self.beta2 * s + (1 - self.beta2) * d * d + self.eps
        return p, mean, s


class AdamaxW(Adamax):
    """`Adamax` with decoupled weight decay, under optax's name for it.

    Source: Kingma & Ba 2015, arXiv:1412.6980, Algorithm 2, with the decay of Loshchilov & Hutter 2019. NaN propagates.
    """

    weight_decay: NonNegative = 1e-4
    decay: DecayKind = "before"

    limits = (Limit("Adamax", {"weight_decay": 0.0}),)
    citation = Citation(
        "Kingma & Ba 2015; Loshchilov & Hutter 2019",
        "Adam: A Method for Stochastic Optimization",
        "arXiv:1412.6980, Algorithm 2, decoupled as in arXiv:1711.05101",
        read="package",
        source="optax 0.2.8 adamaxw",
    )
    unspecified = "division by zero where every gradient was zero; how the decay is scaled: by lr here, as in optax"


class NAdamW(NAdam):
    """`NAdam` with a momentum of a constant decay, and decoupled weight decay, under optax's and timm's name for it.

    Source: Dozat 2015 with a constant momentum, with the decay of Loshchilov & Hutter 2019. NaN propagates.
    """

    lr: NonNegative = 1e-3
    weight_decay: NonNegative = 1e-4
    schedule: MomentumSchedule = "constant"
    decay: DecayKind = "before"

    limits = (Limit("NAdam", {"weight_decay": 0.0}),)
    citation = Citation(
        "Dozat 2015; Loshchilov & Hutter 2019",
        "Incorporating Nesterov Momentum into Adam",
        "Stanford CS229 report 54, decoupled as in arXiv:1711.05101; as optax and timm compute it",
        read="package",
        source="optax 0.2.8 nadamw; timm 1.0.31 NAdamW",
    )
    default_reasons = NAdam.default_reasons | {
        "schedule": "the name is optax's and timm's, and both keep the momentum constant"
    }
    unspecified = (
        "whether the momentum is warmed up (not here: optax and timm), and how the decay is scaled: by lr here"
    )


class AdaMod(Optimizer):
    """Adam whose step sizes are bounded from above by their own exponential average.

    Source: Ding et al. 2019, arXiv:1910.12249, Algorithm 1; weight decay is decoupled. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    beta3: Decay = 0.9999
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    sizes: Annotated[
        str,
        Choice(
            plain=by("the averaged sizes are lr over the root of the corrected second moment plus eps", "published"),
            corrected=by(
                "both bias corrections are in the averaged sizes, and eps beside the uncorrected root",
                "torch-optimizer",
                "pytorch-optimizer",
            ),
        ),
    ] = "plain"

    limits = (Limit("Adam", {"beta3": 0.0, "weight_decay": 0.0}),)
    citation = Citation(
        "Ding et al. 2019",
        "An Adaptive and Momental Bound Method for Stochastic Learning",
        "arXiv:1910.12249, Algorithm 1",
        read="package",
        source="torch-optimizer 0.3.0 AdaMod; pytorch-optimizer 4.1.0 AdaMod",
    )
    unspecified = (
        "weight decay, which the algorithm has not: decoupled here; the authors' code averages sizes that hold "
        "both bias corrections (sizes=corrected)"
    )
    state = State(m=zeros_like_param, v=zeros_like_param, size=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, size: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        if self.sizes == "plain":
            eta = self.lr / (np.sqrt(v / (1 - self.beta2**t)) + self.eps)
            m_hat = m / (1 - self.beta1**t)
        else:
            eta = self.lr * np.sqrt(1 - self.beta2**t) / (1 - self.beta1**t) / (np.sqrt(v) + self.eps)
            m_hat = m
        size = self.beta3 * size + (1 - self.beta3) * eta
        return p - np.minimum(eta, size) * m_hat - self.lr * self.weight_decay * p, m, v, size
