"""Lookahead, an average of weights, and what is done to gradients before any rule: clipping and centralization."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np

from refgrad.arithmetic.primitives import length, tree_sum
from refgrad.optimizers.limits import Limit
from refgrad.optimizers.trust_ratio import norm
from refgrad.optimizers.wrapper import Wrapper
from refgrad.rule import Choice, Citation, Fraction, Positive, PositiveCount, State, by, copy_of_param
from refgrad.rule import NonNegative as NonNegativeNumber


class Lookahead(Wrapper):
    """Every ``k`` steps of the inner rule, a step of slow weights towards where they led, from which it goes on.

    Raises:
        ArgumentError: ``k`` is no whole number of steps.

    Source: Zhang et al. 2019, arXiv:1907.08610, Algorithm 1; the inner rule's state is kept, not reset.
    """

    k: PositiveCount = 5.0
    alpha: Fraction = 0.5
    sync: Annotated[
        str,
        Choice(
            after=by("after steps k, 2k, ...", "published", "optax", "pytorch-optimizer"),
            at_once=by("after steps 1, k + 1, ..., from the point after the first", "torch-optimizer: 0.3.0"),
        ),
    ] = "after"

    limits = (Limit("inner", {"alpha": 1.0, "sync": "after"}),)
    citation = Citation(
        "Zhang et al. 2019",
        "Lookahead Optimizer: k steps forward, 1 step back",
        "arXiv:1907.08610, Algorithm 1",
        read="authors' code",
        source="michaelrzhang/lookahead c4fd85f",
    )
    unspecified = (
        "what becomes of the inner rule's momentum at a synchronization: kept here; the paper names keeping, "
        "averaging and resetting it; the first synchronization is after k steps, at once in torch-optimizer"
    )
    state = State(slow=copy_of_param)

    def update(self, p: Any, g: Any, slow: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        p = step(p, g)
        if self.sync == "at_once":
            if t == 1:
                return p, p
            t = t - 1
        if t % self.k == 0:
            slow = slow + self.alpha * (p - slow)
            p = slow
        return p, slow


class AveragedWeights(Wrapper):
    """The inner rule, and an exponential average of the points that it passes, which is the answer.

    Source: Polyak & Juditsky 1992, in the exponential form of Tarvainen & Valpola 2017, arXiv:1703.01780, section 2.
    """

    decay: Fraction = 0.999

    limits = (Limit("inner", {}),)
    citation = Citation(
        "Tarvainen & Valpola 2017",
        "Mean teachers are better role models",
        "arXiv:1703.01780, section 2",
        read="package",
        source="torch 2.13.0 optim.swa_utils; Keras 3.15.1",
    )
    unspecified = (
        "whether the first average is the first point or zero: the parameter before the first step here; whether "
        "the decay is warmed up: it is not, where some libraries use min(decay, (1 + t) / (10 + t))"
    )
    state = State(average=copy_of_param)

    def update(self, p: Any, g: Any, average: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        p = step(p, g)
        return p, self.decay * average + (1 - self.decay) * p


class ClipByValue(Wrapper):
    """The inner rule on a gradient whose elements are held between ``-bound`` and ``bound``.

    Source: Goodfellow et al. 2016, Deep Learning, section 10.11.1.
    """

    bound: Positive = 1.0

    citation = Citation(
        "Goodfellow et al. 2016",
        "Deep Learning",
        "MIT Press, section 10.11.1",
        read="package",
        source="torch 2.13.0 clip_grad_value_; optax 0.2.8 clip",
    )
    unspecified = "nothing: each element is held between two numbers; NaN stays NaN here and in torch and optax"

    def update(self, p: Any, g: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (step(p, np.clip(g, -self.bound, self.bound)),)


Division = Annotated[
    str,
    Choice(
        exact=by("a norm above the bound becomes the bound", "published", "optax", "Keras"),
        padded=by(
            "the gradient is multiplied by the bound over the norm plus padding, if that is below one", "torch: 1e-6"
        ),
    ),
]


def scaled(g: Any, rule: Any) -> Any:
    """A gradient with a norm of at most the rule's bound."""
    if rule.division == "padded":
        return g * np.minimum(rule.max_norm / (norm(g) + rule.padding), 1.0)
    return g * np.where(norm(g) <= rule.max_norm, 1.0, rule.max_norm / norm(g))  # of NaN all become NaN


class ClipByNorm(Wrapper):
    """The inner rule on gradients scaled down to a norm of at most ``max_norm``, each parameter's by itself.

    Source: Pascanu et al. 2013, arXiv:1211.5063, Algorithm 1, for each parameter.
    """

    max_norm: Positive = 1.0
    padding: NonNegativeNumber = 1e-6
    division: Division = "exact"

    citation = Citation(
        "Pascanu et al. 2013",
        "On the difficulty of training recurrent neural networks",
        "arXiv:1211.5063, Algorithm 1",
        read="package",
        source="torch 2.13.0 clip_grad_norm_; optax 0.2.8 clip_by_global_norm",
    )
    unspecified = (
        "whether the norm is of each parameter or of all: of each here, of all in ClipByGlobalNorm; the source "
        "says the gradient's norm; torch adds 1e-6 to it (division=padded)"
    )

    def update(self, p: Any, g: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (step(p, scaled(g, self)),)


class ClipByGlobalNorm(Wrapper):
    """The inner rule on gradients scaled down together to a norm of all parameters of at most ``max_norm``.

    Source: Pascanu et al. 2013, arXiv:1211.5063, Algorithm 1. One NaN reaches all parameters.
    """

    max_norm: Positive = 1.0
    padding: NonNegativeNumber = 1e-6
    division: Division = "exact"

    couples = True
    citation = Citation(
        "Pascanu et al. 2013",
        "On the difficulty of training recurrent neural networks",
        "arXiv:1211.5063, Algorithm 1",
        read="package",
        source="torch 2.13.0 clip_grad_norm_; optax 0.2.8 clip_by_global_norm",
    )
    unspecified = (
        "a norm that is NaN: all gradients become NaN, as in optax; an infinite one makes zeros, and NaN of what "
        "is infinite; torch adds 1e-6 to the norm (division=padded)"
    )

    def update(self, p: Any, g: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (step(p, scaled(g, self)),)


class AdaptiveClip(Wrapper):
    """The inner rule on gradients whose units are scaled down to ``clipping`` times the norm of their weights.

    Source: Brock et al. 2021, arXiv:2102.06171, equation 3; the norm of weights is at least ``eps``.
    """

    clipping: Positive = 1e-2
    eps: Positive = 1e-3
    units: Annotated[
        str,
        Choice(
            row=by("a unit is a row of the first axis, as in torch's layers", "timm", "pytorch-optimizer"),
            column=by("a unit is a column, as in JAX's dense layers", "optax"),
        ),
    ] = "row"

    citation = Citation(
        "Brock et al. 2021",
        "High-Performance Large-Scale Image Recognition Without Normalization",
        "arXiv:2102.06171, equation 3",
        read="package",
        source="timm 1.0.31 adaptive_clip_grad; optax 0.2.8 adaptive_grad_clip; pytorch-optimizer 4.1.0",
    )
    unspecified = (
        "what a unit is where weights are stored otherwise: a row here, a column in optax; a parameter of one axis "
        "is one unit, as in timm and optax; the paper leaves the last layer unclipped, which is the caller's to do"
    )

    def update(self, p: Any, g: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        over: Any = self.units if p.ndim > 1 else "tensor"
        most = self.clipping * np.maximum(np.sqrt(tree_sum(p * p, over)), self.eps)
        g_norm = np.sqrt(tree_sum(g * g, over))
        return (step(p, g * np.where(g_norm <= most, 1.0, most / g_norm)),)


class Centralize(Wrapper):
    """The inner rule on a gradient of which each row's mean is taken away; a parameter of one axis is left alone.

    Source: Yong et al. 2020, arXiv:2004.01461, equation 1.
    """

    citation = Citation(
        "Yong et al. 2020",
        "Gradient Centralization: A New Optimization Technique for Deep Neural Networks",
        "arXiv:2004.01461, equation 1",
        read="package",
        source="optax 0.2.8 centralize; pytorch-optimizer 4.1.0",
    )
    unspecified = (
        "parameters of one axis: left alone, as in the authors' code; the axes of a mean where weights are stored "
        "otherwise: all but the first here and in optax"
    )

    def update(self, p: Any, g: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        if p.ndim > 1:
            g = g - tree_sum(g, "row") / length(p, "row")
        return (step(p, g),)


class NormalizedGradient(Wrapper):
    """The inner rule on gradients divided by the norm of all parameters' gradients together.

    ``eps`` is added to the norm. Source: Nesterov 1984; Hazan et al. 2015, arXiv:1507.02030, Algorithm 1, which has no eps:
    without gradients it is zero over zero.
    """

    eps: NonNegativeNumber = 0.0

    couples = True
    citation = Citation(
        "Hazan et al. 2015",
        "Beyond Convexity: Stochastic Quasi-Convex Optimization",
        "arXiv:1507.02030, Algorithm 1",
        read="package",
        source="optax 0.2.8 contrib.normalize",
    )
    unspecified = "a gradient of zero: NaN here (the source stops there); what the norm is of: all parameters together"

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        return {"still": "without gradients it is zero over zero"}

    def update(self, p: Any, g: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        size = norm(g) + self.eps if self.eps else norm(g)
        return (step(p, g / size),)


class NonNegative(Wrapper):
    """The inner rule, and its point projected on numbers that are not negative.

    Source: Goldstein 1964, projected gradient descent.
    """

    citation = Citation(
        "Goldstein 1964",
        "Convex programming in Hilbert space",
        "Bulletin of the AMS 70(5)",
        read="package",
        source="optax 0.2.8 keep_params_nonnegative",
    )
    unspecified = "nothing: the projection on non-negative numbers; that of NaN is NaN, and of -0 a zero of either sign"

    def exempt(self) -> Mapping[str, str]:
        """What does not hold, and why."""
        reason = "negative parameters become zero"
        return {"odd": reason, "still": reason}

    def update(self, p: Any, g: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (np.maximum(step(p, g), 0.0),)
