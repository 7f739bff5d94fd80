"""Rules that step by the gradient at another point: sharpness-aware minimization, plain and adaptive."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.optimizers.sgd import SGD
from refgrad.optimizers.trust_ratio import norm
from refgrad.optimizers.wrapper import Wrapper
from refgrad.rule import Citation, Extra, Extras, NonNegative, State, copy_of_param


class _SharpnessAware(Wrapper):
    """A step of the inner rule by the ``second`` gradient, which is that at the point ``there``."""

    couples = True
    extras = Extras(second=Extra("gradient", at="there"))
    state = State(there=copy_of_param)

    def point(self, p: Any, g: Any) -> Any:
        """Where the second gradient is to be taken: arrays structured and shaped like ``p``."""
        bare = self.replace(inner=SGD(lr=0.0))
        _, state = bare.step(p, g, bare.init(p), second=g)
        return state["there"]


class SAM(_SharpnessAware):
    """The inner rule's step by the gradient at the worst point within ``rho``, to first order: along the gradient.

    ``second`` is the gradient at the point that the state calls ``there``, and that `point` gives beforehand. The norm is that of
    all parameters. Source: Foret et al. 2021, arXiv:2010.01412, equation 2 with p = 2, and Algorithm 1. One NaN reaches all.
    """

    rho: NonNegative = 0.05
    eps: NonNegative = 1e-12

    citation = Citation(
        "Foret et al. 2021",
        "Sharpness-Aware Minimization for Efficiently Improving Generalization",
        "ICLR, arXiv:2010.01412, equation 2",
        read="package",
        source="davda54/sam 3c3afdb; optax 0.2.8 contrib.sam; pytorch-optimizer 4.1.0 SAM",
    )
    unspecified = "a gradient of zero: eps is added to its norm (0 in the paper and in optax, 1e-12 in torch packages)"

    def update(self, p: Any, g: Any, second: Any, there: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        there = p + self.rho / (norm(g) + self.eps) * g
        return step(p, second), there


class ASAM(_SharpnessAware):
    """SAM in a neighbourhood that scales with each weight: ``rho`` times the weight's size plus ``eta``.

    ``second`` is the gradient at the point that the state calls ``there``, and that `point` gives beforehand. Source: Kwon et
    al. 2021, arXiv:2102.11600, equation 9 and section 3.3 (element-wise). One NaN reaches all parameters.
    """

    rho: NonNegative = 0.5
    eta: NonNegative = 0.01
    eps: NonNegative = 1e-16

    citation = Citation(
        "Kwon et al. 2021",
        "ASAM: Adaptive Sharpness-Aware Minimization for Scale-Invariant Learning of Deep Neural Networks",
        "ICML, arXiv:2102.11600, equation 9",
        read="package",
        source="davda54/sam 3c3afdb, adaptive; pytorch-optimizer 4.1.0 SAM(adaptive=True)",
    )
    unspecified = (
        "a gradient of zero: eps is added to the norm (the published code); eta is 0 for biases there, and in packages"
    )

    def update(self, p: Any, g: Any, second: Any, there: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        size = np.abs(p) + self.eta if self.eta else np.abs(p)
        there = p + self.rho / (norm(size * g) + self.eps) * (size * size * g)
        return step(p, second), there
