"""Stochastic gradient descent with other momenta: quasi-hyperbolic, aggregated, optimistic, and with decoupled decay."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.limits import Limit
from refgrad.optimizers.parts import PlainDecayKind
from refgrad.optimizers.sgd import SGD
from refgrad.rule import (
    Choice,
    Citation,
    Decay,
    Fraction,
    NonNegative,
    Positive,
    Range,
    State,
    by,
    copy_of_param,
    zeros_like_param,
)


class SGDW(SGD):
    """`SGD` with weight decay that stays out of the momentum: as Loshchilov & Hutter call it.

    Source: Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 1, where the decay is not scaled by ``lr``. NaN propagates.
    """

    momentum: Decay = 0.9
    weight_decay: NonNegative = 1e-2
    decay: PlainDecayKind = "fixed"

    limits = (Limit("SGD", {"weight_decay": 0.0}),)
    citation = Citation(
        "Loshchilov & Hutter 2019",
        "Decoupled Weight Decay Regularization",
        "arXiv:1711.05101, Algorithm 1",
        read="package",
        source="torch-optimizer 0.3.0 SGDW; pytorch-optimizer 4.1.0 SGDW",
    )
    unspecified = (
        "Nesterov momentum and dampening, which are not in the source; its decay is scaled by the schedule's multiplier, "
        "which is 1 here"
    )


class QHM(Optimizer):
    """Quasi-hyperbolic momentum: a step by the average of the gradient and its exponential average.

    Source: Ma & Yarats 2019, arXiv:1810.06801, equations 3 and 4; weight decay is coupled. NaN propagates.
    """

    lr: NonNegative = 1.0
    beta: Decay = 0.999
    nu: Fraction = 0.7
    weight_decay: NonNegative = 0.0

    scaling = "linear"
    limits = (Limit("SGD", {"nu": 0.0}),)
    citation = Citation(
        "Ma & Yarats 2019",
        "Quasi-hyperbolic momentum and Adam for deep learning",
        "arXiv:1810.06801, equations 3 and 4",
        read="authors' code",
        source="facebookresearch/qhoptim e81dea3",
    )
    unspecified = (
        "weight decay: coupled here, as in the released code; the average starts at zero, without correction, as "
        "in the paper"
    )
    state = State(m=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        if self.weight_decay:
            g = g + self.weight_decay * p
        m = self.beta * m + (1 - self.beta) * g
        return p - self.lr * ((1 - self.nu) * g + self.nu * m), m


class AggMo(Optimizer):
    """The mean of three momentum steps of different decays.

    Source: Lucas et al. 2019, arXiv:1804.00325, equation 1, with the decays ``1 - 0.1**k`` for k = 0, 1, 2 of its section 3.
    Weight decay is coupled. NaN propagates.
    """

    lr: NonNegative = 1e-1
    beta1: Decay = 0.0
    beta2: Decay = 0.9
    beta3: Decay = 0.99
    weight_decay: NonNegative = 0.0

    scaling = "linear"
    citation = Citation(
        "Lucas et al. 2019",
        "Aggregated Momentum: Stability Through Passive Damping",
        "arXiv:1804.00325, equation 1",
        read="authors' code",
        source="AtheMathmo/AggMo f91730d",
    )
    unspecified = (
        "weight decay: coupled here; the number of velocities is the user's in the source, three here, with the "
        "decays of its default"
    )
    state = State(v1=zeros_like_param, v2=zeros_like_param, v3=zeros_like_param)

    def update(self, p: Any, g: Any, v1: Any, v2: Any, v3: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        v1 = self.beta1 * v1 + g
        v2 = self.beta2 * v2 + g
        v3 = self.beta3 * v3 + g
        return p - self.lr / 3 * (v1 + v2 + v3), v1, v2, v3


class OptimisticGradient(Optimizer):
    """Gradient descent that takes the last change of the gradient for the next.

    Source: Mokhtari et al. 2020, arXiv:1901.08511, equation 7 (generalized optimistic gradient descent), where ``lr`` is
    part of both coefficients; Daskalakis et al. 2018, arXiv:1711.00141, with ``alpha = beta = 1``. NaN propagates.
    """

    lr: NonNegative = 1e-3
    alpha: NonNegative = 1.0
    beta: NonNegative = 1.0

    scaling = "linear"
    citation = Citation(
        "Mokhtari et al. 2020",
        "A Unified Analysis of Extra-gradient and Optimistic Gradient Methods for Saddle Point Problems",
        "arXiv:1901.08511, equation 7",
        read="package",
        source="optax 0.2.8 optimistic_gradient_descent",
    )
    unspecified = (
        "the gradient before the first step: the first gradient itself here, so that it is a plain step, as in optax"
    )
    state = State(g_prev=zeros_like_param)

    def update(self, p: Any, g: Any, g_prev: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        if t == 1:
            g_prev = g
        return p - self.lr * ((self.alpha + self.beta) * g - self.beta * g_prev), g


class PID(Optimizer):
    """Momentum, with a term for the change of the gradient: a controller's proportional, integral and derivative part.

    Source: An et al. 2018, CVPR, equations 12 to 14, as in the authors' code; weight decay is coupled. NaN propagates.
    """

    lr: NonNegative = 1e-3
    momentum: Decay = 0.9
    dampening: Fraction = 0.0
    integral: NonNegative = 5.0
    derivative: NonNegative = 10.0
    weight_decay: NonNegative = 0.0
    first_gradient: Annotated[
        str,
        Choice(
            kept=by("the second step's change is from the first gradient", "pytorch-optimizer"),
            lost=by("it is from zero: the first gradient is not kept", "torch-optimizer: 0.3.0, a fault"),
        ),
    ] = "kept"

    scaling = "linear"
    citation = Citation(
        "An et al. 2018",
        "A PID Controller Approach for Stochastic Optimization of Deep Networks",
        "CVPR 2018",
        read="package",
        source="torch-optimizer 0.3.0 PID; pytorch-optimizer 4.1.0 PID",
    )
    unspecified = (
        "dampening and weight decay, which are the code's; the paper derives the derivative's weight from the "
        "momentum by Laplace transforms, the code leaves it to the user"
    )
    state = State(i_buffer=zeros_like_param, d_buffer=zeros_like_param, g_prev=zeros_like_param)

    def update(self, p: Any, g: Any, i_buffer: Any, d_buffer: Any, g_prev: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        if t == 1:
            g_prev = g
        i_buffer = self.momentum * i_buffer + (1 - self.dampening) * g
        d_buffer = self.momentum * d_buffer + (1 - self.momentum) * (g - g_prev)
        kept = 0.0 * g if t == 1 and self.first_gradient == "lost" else g
        return p - self.lr * (g + self.integral * i_buffer + self.derivative * d_buffer), i_buffer, d_buffer, kept


class AccSGD(Optimizer):
    """Gradient descent coupled with a second point that takes long steps and is averaged.

    ``kappa`` is how much longer those steps are, ``xi`` the statistical advantage. Source: Kidambi et al. 2018,
    arXiv:1803.05591, Algorithm 1; weight decay is coupled. NaN propagates.
    """

    lr: NonNegative = 1e-3
    kappa: Annotated[float, Range(1.0, open_low=False)] = 1000.0
    xi: Positive = 10.0
    small_const: Annotated[float, Range(0.0, 1.0)] = 0.7
    weight_decay: NonNegative = 0.0

    scaling = "linear"
    citation = Citation(
        "Kidambi et al. 2018",
        "On the insufficiency of existing momentum schemes for Stochastic Optimization",
        "arXiv:1803.05591, Algorithm 1",
        read="package",
        source="pytorch-optimizer 4.1.0 AccSGD; torch-optimizer 0.3.0 AccSGD",
    )
    unspecified = (
        "weight decay: coupled here, as in the packages; the source's experiments tune kappa and xi, for which it "
        "gives no default: those of its released code"
    )
    state = State(far=copy_of_param)

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        reason = "the average of a point with itself is rounded"
        return {"still": reason, "no rate": reason}

    def update(self, p: Any, g: Any, far: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        if self.weight_decay:
            g = g + self.weight_decay * p
        beta = self.small_const**2 * self.xi / self.kappa
        far = (1 - beta) * far + beta * (p - self.kappa * self.lr / self.small_const * g)
        zeta = self.small_const / (self.small_const + beta)
        return zeta * (p - self.lr * g) + (1 - zeta) * far, far


class PNM(Optimizer):
    """A difference of two momenta, of the odd and of the even steps, of which one is positive and the other negative.

    Source: Xie et al. 2021, arXiv:2103.17182, Algorithm 1 (positive-negative momentum); weight decay is coupled. NaN
    propagates.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.9
    beta0: NonNegative = 1.0
    weight_decay: NonNegative = 0.0

    scaling = "linear"
    citation = Citation(
        "Xie et al. 2021",
        "Positive-Negative Momentum: Manipulating Stochastic Gradient Noise to Improve Generalization",
        "arXiv:2103.17182, Algorithm 1",
        read="package",
        source="pytorch-optimizer 4.1.0 PNM",
    )
    unspecified = (
        "weight decay: coupled here; momenta before the first odd and even step: zero; the scale of the step, one "
        "over the norm of the two weights, is that of the algorithm"
    )
    state = State(odd=zeros_like_param, even=zeros_like_param)

    def update(self, p: Any, g: Any, odd: Any, even: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        decay = self.beta1**2
        if t % 2 == 1:
            odd = decay * odd + (1 - decay) * g
            step = (1 + self.beta0) * odd - self.beta0 * even
        else:
            even = decay * even + (1 - decay) * g
            step = (1 + self.beta0) * even - self.beta0 * odd
        noise = np.sqrt((1 + self.beta0) ** 2 + self.beta0**2)
        return p - self.lr / noise * step, odd, even
