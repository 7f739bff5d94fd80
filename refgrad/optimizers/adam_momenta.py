"""Adam with other numerators: quasi-hyperbolic, two averages, Nesterov by differences, the order of scaling and averaging."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.limits import Limit
from refgrad.optimizers.parts import over_root
from refgrad.rule import Choice, Citation, Count, Decay, Flag, Fraction, NonNegative, Slot, State, by, zeros_like_param


class QHAdam(Optimizer):
    """Adam whose moments are each mixed with the current gradient and its square.

    Source: Ma & Yarats 2019, arXiv:1810.06801, section 4; weight decay is coupled. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    nu1: Fraction = 0.7
    nu2: Fraction = 1.0
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    corrected_state: Annotated[
        bool,
        Flag(by("m and v are kept bias-corrected, as averages with weights 1 + beta + beta**2 + ...", "authors")),
    ] = False

    scaling = "invariant"
    limits = (Limit("Adam", {"nu1": 1.0, "nu2": 1.0, "weight_decay": 0.0}),)
    citation = Citation(
        "Ma & Yarats 2019",
        "Quasi-hyperbolic momentum and Adam for deep learning",
        "arXiv:1810.06801, section 4",
        read="authors' code",
        source="facebookresearch/qhoptim e81dea3",
    )
    unspecified = (
        "weight decay: coupled here; the released code keeps moments corrected for their start as they are "
        "averaged (corrected_state), which is the same in real numbers"
    )
    state = State(
        m=zeros_like_param,
        v=zeros_like_param,
        weight1=Slot(when="corrected_state", scalar=True),
        weight2=Slot(when="corrected_state", scalar=True),
    )

    def update(self, p: Any, g: Any, m: Any, v: Any, weight1: Any, weight2: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        if self.corrected_state:
            weight1 = 1 + self.beta1 * weight1
            weight2 = 1 + self.beta2 * weight2
            m = (1 - 1 / weight1) * m + 1 / weight1 * g
            v = (1 - 1 / weight2) * v + 1 / weight2 * g * g
            m_hat, v_hat = m, v
        else:
            m = self.beta1 * m + (1 - self.beta1) * g
            v = self.beta2 * v + (1 - self.beta2) * g * g
            m_hat = m / (1 - self.beta1**t)
            v_hat = v / (1 - self.beta2**t)
        above = (1 - self.nu1) * g + self.nu1 * m_hat
        below = np.sqrt((1 - self.nu2) * g * g + self.nu2 * v_hat) + self.eps
        return p - self.lr * above / below, m, v, weight1, weight2


class Adan(Optimizer):
    """Nesterov momentum by differences of gradients, scaled by the second moment of the looked-ahead gradient.

    ``m``, ``m_diff`` and ``square`` (m, v and n in Algorithm 1) average the gradient, its change, and the square of the
    looked-ahead gradient. The decays are the authors' code's; written as weights of what is new they are one less.
    ``eps_root`` is optax's second eps, under the root.

    Source: Xie et al. 2022, arXiv:2208.06677, Algorithm 1. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.98
    beta2: Decay = 0.92
    beta3: Decay = 0.99
    eps: NonNegative = 1e-8
    eps_root: NonNegative = 0.0
    weight_decay: NonNegative = 0.0
    start: Annotated[
        str,
        Choice(
            gradient=by("the first gradient, its square, and the first change are the first averages", "published"),
            corrected=by("the averages start at zero and are bias-corrected", "authors", "optax"),
        ),
    ] = "gradient"
    decay: Annotated[
        str,
        Choice(
            proximal=by("the parameter is divided by 1 + lr weight_decay after the step", "published"),
            before=by("the parameter before the step decays, by lr times weight_decay", "authors: no_prox", "optax"),
        ),
    ] = "proximal"
    difference: Annotated[
        str,
        Choice(
            beta2=by("the change of the gradient counts beta2 times", "published"),
            one_minus_beta2=by("it counts 1 - beta2 times, as if beta2 were one less itself", "optax: 0.2.8, a fault"),
        ),
    ] = "beta2"
    eps_placement: Annotated[
        str,
        Choice(
            inside=by("eps is added to the average square under the root", "published"),
            outside=by("eps is added to the root", "authors", "optax"),
        ),
    ] = "inside"

    scaling = "invariant"
    citation = Citation(
        "Xie et al. 2022",
        "Adan: Adaptive Nesterov Momentum Algorithm for Faster Optimizing Deep Models",
        "arXiv:2208.06677, Algorithm 1",
        read="authors' code",
        source="sail-sg/Adan 2c65bea",
    )
    unspecified = (
        "the start: the first gradient, as the paper says; its authors' code, optax and pytorch-optimizer start at "
        "zero and correct for it (start=corrected), and add eps beside the root (eps_placement=outside). The decays are one "
        "less the paper's"
    )
    state = State(m=zeros_like_param, m_diff=zeros_like_param, square=zeros_like_param, g_last=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, m_diff: Any, square: Any, g_last: Any, t: Any) -> tuple[Any, ...]:
        change = 0.0 * g if t == 1 else g - g_last
        share = self.beta2 if self.difference == "beta2" else 1 - self.beta2
        ahead = g + share * change
        if t == 1 and self.start == "gradient":
            m, m_diff, square = 1.0 * g, change, ahead * ahead
        else:
            m = self.beta1 * m + (1 - self.beta1) * g
            first_change = t == 2 and self.start == "gradient"
            m_diff = change if first_change else self.beta2 * m_diff + (1 - self.beta2) * change
            square = self.beta3 * square + (1 - self.beta3) * ahead * ahead
        if self.start == "gradient":
            step = over_root(self, m + share * m_diff, square)
        else:
            m_hat = m / (1 - self.beta1**t)
            v_hat = m_diff / (1 - self.beta2**t)
            n_hat = square / (1 - self.beta3**t)
            step = over_root(self, m_hat + share * v_hat, n_hat)
        if self.decay == "proximal":
            return (p - self.lr * step) / (1 + self.lr * self.weight_decay), m, m_diff, square, g
        return p - self.lr * (step + self.weight_decay * p), m, m_diff, square, g


class AdEMAMix(Optimizer):
    """AdamW with a second, slow average of gradients, which is not bias-corrected.

    Over the first ``warmup`` steps, if any, the slow average's weight grows to ``alpha`` and its decay, by its half-life, to
    ``beta3``. Source: Pagliardini et al. 2024, arXiv:2409.03137, Algorithm 1. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    beta3: Decay = 0.9999
    alpha: NonNegative = 5.0
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0
    warmup: Count = 0.0

    scaling = "invariant"
    limits = (Limit("AdamW", {"alpha": 0.0}),)
    citation = Citation(
        "Pagliardini et al. 2024",
        "The AdEMAMix Optimizer: Better, Faster, Older",
        "arXiv:2409.03137, Algorithm 1",
        read="authors' code",
        source="apple/ml-ademamix c3d73c0",
    )
    unspecified = (
        "weight decay: decoupled, as in the algorithm; the warm-ups of alpha and of beta3, by its half-life, are "
        "the paper's and off by default; the authors' code adds 1e-8 to a beta before its logarithm"
    )
    state = State(m=zeros_like_param, m_slow=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, m_slow: Any, v: Any, t: Any) -> tuple[Any, ...]:
        alpha, beta3 = self._schedules(t)
        m = self.beta1 * m + (1 - self.beta1) * g
        m_slow = beta3 * m_slow + (1 - beta3) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat = m / (1 - self.beta1**t)
        v_hat = v / (1 - self.beta2**t)
        step = (m_hat + alpha * m_slow) / (np.sqrt(v_hat) + self.eps)
        return p - self.lr * (step + self.weight_decay * p), m, m_slow, v

    def _schedules(self, t: Any) -> tuple[Any, Any]:
        """The slow average's weight and decay at step ``t``: linear, and linear in the decay's half-life."""
        if not self.warmup or t >= self.warmup:
            return self.alpha, self.beta3
        part = t / self.warmup
        fast, slow = np.log(self.beta1), np.log(self.beta3)
        return part * self.alpha, np.exp(fast * slow / ((1 - part) * slow + part * fast))


class SimplifiedAdEMAMix(Optimizer):
    """Adam with a momentum that sums, not averages, and the current gradient added to it.

    Source: Morwani et al. 2025, arXiv:2502.02431, section 4. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.99
    beta2: Decay = 0.95
    alpha: NonNegative = 0.0
    eps: NonNegative = 1e-8
    weight_decay: NonNegative = 0.0

    citation = Citation(
        "Morwani et al. 2025",
        "Connections between Schedule-Free Optimizers, AdEMAMix, and Accelerated SGD Variants",
        "arXiv:2502.02431, section 4",
        read="authors' code",
        source="DepenM/Simplified-AdEMAMix dba14d0, simplified_AdEMAMix.py; optax 0.2.8 simplified_ademamix",
    )
    unspecified = (
        "eps and decay, decoupled here; the sum of gradients is not an average, as in the source's text; pytorch- "
        "optimizer's rule of this name averages, and is another rule"
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        v_hat = v / (1 - self.beta2**t)
        step = (m + self.alpha * g) / (np.sqrt(v_hat) + self.eps)
        return p - self.lr * (step + self.weight_decay * p), m, v


class LaProp(Optimizer):
    """Adam with the gradient scaled first and averaged then.

    Source: Ziyin et al. 2020, arXiv:2002.04839, Algorithm 1, with the step size inside the average as in the authors' code
    (laprop.py), whose correction is the average of the learning rates over the present one. Weight decay is decoupled, after
    the step. NaN propagates.
    """

    lr: NonNegative = 4e-4
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-15
    weight_decay: NonNegative = 0.0
    hidden_eps: NonNegative = 1e-15
    averaged: Annotated[
        str,
        Choice(
            steps=by(
                "the average is of whole steps, lr included, and is divided by the average of lr over lr",
                "authors",
                "pytorch-optimizer",
                "timm",
            ),
            directions=by(
                "the average is of scaled gradients, and lr multiplies it: the same while lr is constant", "published"
            ),
        ),
    ] = "steps"
    decay: Annotated[
        str,
        Choice(
            after=by("the parameter after the step decays by lr times weight_decay", "pytorch-optimizer", "timm"),
            fixed=by("the parameter after the step decays by weight_decay alone, not scaled by lr", "authors"),
        ),
    ] = "after"
    eps_placement: Annotated[
        str,
        Choice(
            outside=by("eps is added to the root of the corrected second moment", "published"),
            hidden=by(
                "hidden_eps is added under the root of the uncorrected one, and eps to that root", "pytorch-optimizer"
            ),
        ),
    ] = "outside"

    scaling = "invariant"
    limits = (Limit("Adam", {"beta1": 0.0, "weight_decay": 0.0}),)
    citation = Citation(
        "Ziyin et al. 2020",
        "LaProp: Separating Momentum and Adaptivity in Adam",
        "arXiv:2002.04839, Algorithm 1",
        read="authors' code",
        source="Z-T-WANG/LaProp-Optimizer a419916",
    )
    default_reasons = {
        "averaged": "the authors' code, pytorch-optimizer and timm; the steps are the same while lr is constant"
    }
    unspecified = (
        "where the decay stands: decoupled, after the step, and scaled by lr, where the authors' code has weight_decay alone "
        "(decay=fixed); lr is inside the average, as in the authors' code, which matters only while lr changes (averaged)"
    )
    state = State(m=zeros_like_param, v=zeros_like_param, lr_average=Slot(when="averages_rates", scalar=True))

    @property
    def averages_rates(self) -> bool:
        """True if the learning rates are averaged too."""
        return self.averaged == "steps"

    def update(self, p: Any, g: Any, m: Any, v: Any, lr_average: Any, t: Any) -> tuple[Any, ...]:
        v = self.beta2 * v + (1 - self.beta2) * g * g
        if self.eps_placement == "hidden":
            direction = g * np.sqrt(1 - self.beta2**t) / (np.sqrt(v + self.hidden_eps) + self.eps)
        else:
            direction = g / (np.sqrt(v / (1 - self.beta2**t)) + self.eps)
        if self.averaged == "steps":
            m = self.beta1 * m + (1 - self.beta1) * self.lr * direction
            lr_average = self.beta1 * lr_average + (1 - self.beta1) * self.lr
            p = p - (self.lr / lr_average if self.lr else 1.0) * m
        else:
            m = self.beta1 * m + (1 - self.beta1) * direction
            p = p - self.lr * m / (1 - self.beta1**t)
        share = self.weight_decay if self.decay == "fixed" else self.lr * self.weight_decay
        return p - share * p, m, v, lr_average


class Grams(Optimizer):
    """AdamW that takes the size of its step from the moments and the sign from the gradient.

    Source: Cao et al. 2024, arXiv:2412.17107, Algorithm 1. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-6
    weight_decay: NonNegative = 0.0
    eps_placement: Annotated[
        str,
        Choice(
            outside=by("eps is added to the root of the corrected second moment", "published", "pytorch-optimizer"),
            uncorrected=by("eps is added to the root of the uncorrected second moment", "authors"),
        ),
    ] = "outside"

    scaling = "invariant"
    citation = Citation(
        "Cao et al. 2024",
        "Grams: Gradient Descent with Adaptive Momentum Scaling",
        "arXiv:2412.17107, Algorithm 1",
        read="authors' code",
        source="Gunale0926/Grams f91a375, grams/src/grams.py; pytorch-optimizer 4.1.0",
    )
    unspecified = (
        "eps and decay: those of AdamW, decoupled; the authors' code adds eps to the uncorrected root; the sign of a "
        "gradient of zero: zero, so that such an element only decays"
    )
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        m_hat = m / (1 - self.beta1**t)
        v_hat = v / (1 - self.beta2**t)
        if self.eps_placement == "uncorrected":
            m_hat, v_hat = np.sqrt(1 - self.beta2**t) * m_hat, v
        direction = np.sign(g) * np.abs(m_hat / (np.sqrt(v_hat) + self.eps))
        return p - self.lr * (direction + self.weight_decay * p), m, v


class OptimisticAdam(Optimizer):
    """Adam that takes the last change of its direction for the next.

    Source: Daskalakis et al. 2018, arXiv:1711.00141, Algorithm 1, generalized as `OptimisticGradient`; before the first step
    the direction did not change. NaN propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-8
    alpha: NonNegative = 1.0
    beta: NonNegative = 1.0
    nesterov: Annotated[bool, Flag(by("the direction is that of Nesterov's Adam", "optax: its default"))] = False

    scaling = "invariant"
    citation = Citation(
        "Daskalakis et al. 2018",
        "Training GANs with Optimism",
        "arXiv:1711.00141, Algorithm 1",
        read="package",
        source="optax 0.2.8 optimistic_adam_v2",
    )
    unspecified = (
        "the change before the first step: none here, as in optax, so that the first step is plain; eps: outside "
        "the root; the generalized coefficients are those of OptimisticGradient"
    )
    state = State(m=zeros_like_param, v=zeros_like_param, last=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, v: Any, last: Any, t: Any) -> tuple[Any, ...]:
        m = self.beta1 * m + (1 - self.beta1) * g
        v = self.beta2 * v + (1 - self.beta2) * g * g
        if self.nesterov:
            m_hat = self.beta1 * m / (1 - self.beta1 ** (t + 1)) + (1 - self.beta1) * g / (1 - self.beta1**t)
        else:
            m_hat = m / (1 - self.beta1**t)
        direction = m_hat / (np.sqrt(v / (1 - self.beta2**t)) + self.eps)
        if t == 1:
            last = direction
        return p - self.lr * ((self.alpha + self.beta) * direction - self.beta * last), m, v, direction
