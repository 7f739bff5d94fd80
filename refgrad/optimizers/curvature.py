"""Rules that divide by an estimate of the Hessian's diagonal, and the estimators: Sophia, AdaHessian."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.operations.functions import power
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.parts import DecayKind, descend
from refgrad.optimizers.transform import Transform, check_same
from refgrad.rule import (
    Choice,
    Citation,
    Decay,
    Extra,
    Extras,
    Flag,
    NonNegative,
    Positive,
    Range,
    State,
    Whole,
    by,
    zeros_like_param,
)

_SOPHIA = "Sophia: A Scalable Stochastic Second-order Optimizer for Language Model Pre-training"


class Sophia(Optimizer):
    """Momentum over an average of the Hessian's diagonal, each entry's step held between -1 and 1 times ``lr``.

    ``h`` is an estimate of the diagonal at the parameter, by `HutchinsonDiagonal` (Sophia-H) or `GaussNewtonDiagonal`
    (Sophia-G, ``gamma=0.05``); it is read at steps 1, interval + 1, ... Source: Liu et al. 2024, arXiv:2305.14342, Algorithm 3.
    """

    lr: NonNegative = 1e-3
    beta1: Decay = 0.96
    beta2: Decay = 0.99
    gamma: Positive = 0.01
    eps: NonNegative = 1e-12
    clip: Positive = 1.0
    weight_decay: NonNegative = 0.2
    interval: Annotated[int, Whole(1)] = 10
    floor: Annotated[
        str,
        Choice(
            maximum=by("gamma times the average is at least eps", "published", "optax", "pytorch-optimizer"),
            padded=by("eps is added to it, and the size of the momentum is divided", "authors: Sophia-G"),
        ),
    ] = "maximum"
    estimate: Annotated[
        str,
        Choice(
            fresh=by("a step uses the estimate that it is handed", "published"),
            stale=by("it uses the average before it, and the estimate enters after it", "optax"),
        ),
    ] = "fresh"
    momentum: Annotated[
        str, Choice(biased=by("the momentum as it is", "published"), corrected=by("divided by 1 - beta1**t", "optax"))
    ] = "biased"

    scaling = "invariant"
    citation = Citation(
        "Liu et al. 2024",
        _SOPHIA,
        "ICLR, arXiv:2305.14342, Algorithm 3",
        read="authors' code",
        source="Liuhong99/Sophia a7e1572",
    )
    unspecified = (
        "the first estimate, and which step uses it: the paper uses a fresh one, optax the one before (estimate); "
        "the floor of the divisor differs in the authors' code (floor); decay is before the step"
    )
    extras = Extras(h=Extra("curvature"))
    state = State(m=zeros_like_param, diagonal=zeros_like_param)
    decay = "before"

    def update(self, p: Any, g: Any, h: Any, m: Any, diagonal: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        m = self.beta1 * m + (1 - self.beta1) * g
        old = diagonal
        if (t - 1) % self.interval == 0:
            diagonal = self.beta2 * diagonal + (1 - self.beta2) * h
        used = diagonal if self.estimate == "fresh" else old
        direction = m if self.momentum == "biased" else m / (1 - self.beta1**t)
        if self.floor == "padded":
            step = np.sign(direction) * np.minimum(np.abs(direction) / (self.gamma * used + self.eps), self.clip)
        else:
            step = np.clip(direction / np.maximum(self.gamma * used, self.eps), -self.clip, self.clip)
        return descend(self, p, self.lr * step), m, diagonal


class AdaHessian(Optimizer):
    """Adam with the Hessian's diagonal in place of the gradient in the second moment.

    ``h`` is an estimate of the diagonal, averaged over blocks as the source asks: `HutchinsonDiagonal`. Source: Yao et al. 2021,
    arXiv:2006.00719, Algorithm 1 and equation 9. Weight decay is decoupled.
    """

    lr: NonNegative = 0.15
    beta1: Decay = 0.9
    beta2: Decay = 0.999
    eps: NonNegative = 1e-4
    hessian_power: Annotated[float, Range(0.0, 1.0, open_high=False)] = 1.0
    weight_decay: NonNegative = 0.0
    interval: Annotated[int, Whole(1)] = 1
    decay: DecayKind = "before"

    citation = Citation(
        "Yao et al. 2021",
        "ADAHESSIAN: An Adaptive Second Order Optimizer for Machine Learning",
        "AAAI, arXiv:2006.00719, Algorithm 1",
        read="package",
        source="pytorch-optimizer 4.1.0 AdaHessian; timm 1.0.31; torch-optimizer 0.3.0",
    )
    unspecified = "eps, which the equations do not have: added to the root (the authors' code)"
    extras = Extras(h=Extra("curvature"))
    state = State(m=zeros_like_param, v=zeros_like_param)

    def update(self, p: Any, g: Any, h: Any, m: Any, v: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        if self.decay == "coupled":
            g = g + self.weight_decay * p
        m = self.beta1 * m + (1 - self.beta1) * g
        if (t - 1) % self.interval == 0:
            v = self.beta2 * v + (1 - self.beta2) * h * h
        v_hat = v / (1 - self.beta2**t)
        root = np.sqrt(v_hat) if self.hessian_power == 1 else power(v_hat, self.hessian_power / 2)
        return descend(self, p, self.lr * (m / (1 - self.beta1**t)) / (root + self.eps)), m, v


class HutchinsonDiagonal(Transform):
    """An unbiased estimate of the Hessian's diagonal: a random vector times the Hessian's product with it.

    ``probe`` [...] of independent entries of mean zero and variance one (signs, or normal numbers), ``product`` the Hessian times
    it. Gives an array of that shape. ``average`` takes the mean over all but the first two axes, for every entry of them, as
    AdaHessian does for convolution kernels [outputs, inputs, height, width].

    Source: Hutchinson 1990; Bekas, Kokiopoulou & Saad 2007, equation 3; Yao et al. 2021, arXiv:2006.00719, equation 9.
    """

    average: Annotated[bool, Flag("the mean over a kernel's entries stands for each of them")] = False
    magnitude: Annotated[
        str,
        Choice(
            signed=by("the estimate as it is", "published"),
            absolute=by("its size, before the mean", "timm: AdaHessian", "pytorch-optimizer: AdaHessian"),
        ),
    ] = "signed"

    citation = Citation(
        "Bekas, Kokiopoulou & Saad 2007",
        "An estimator for the diagonal of a matrix",
        "Applied Numerical Mathematics 57, equation 3",
        read="package",
        source="pytorch-optimizer 4.1.0 AdaHessian; timm 1.0.31 Adahessian; optax 0.2.8 sophia",
    )
    unspecified = (
        "which probe: any of mean zero and variance one, an argument here; whether kernels are averaged, as in "
        "AdaHessian's experiments (average), and whether magnitudes are taken (magnitude)"
    )

    shapes: ClassVar[Mapping[str, str]] = {"probe": "o i h w", "product": "o i h w"}
    lengths: ClassVar[Mapping[str, int]] = {"o": 3, "i": 2, "h": 2, "w": 3}

    def check(self, *arrays: np.ndarray) -> None:
        check_same(arrays[1], "product", arrays[0].shape, "the shape of the probe")

    def apply(self, probe: Any, product: Any) -> Any:  # type: ignore[override]
        estimate = probe * product
        if self.magnitude == "absolute":
            estimate = np.abs(estimate)
        if self.average and estimate.ndim > 2:
            axes = tuple(range(2, estimate.ndim))
            estimate = np.mean(estimate, axis=axes, keepdims=True) * np.ones_like(estimate)
        return estimate


class GaussNewtonDiagonal(Transform):
    """The Gauss-Newton-Bartlett estimate of a diagonal: the batch's size times the squared gradient at sampled labels.

    ``g`` [...] is the gradient of the mean loss of a batch of ``batch`` examples whose labels are drawn from the model. Gives an
    array of that shape. Source: Liu et al. 2024, arXiv:2305.14342, Algorithm 2.
    """

    batch: Annotated[int, Whole(1)] = 1

    citation = Citation(
        "Liu et al. 2024",
        _SOPHIA,
        "ICLR, arXiv:2305.14342, Algorithm 2",
        read="authors' code",
        source="Liuhong99/Sophia a7e1572",
    )
    unspecified = (
        "how labels are drawn, and what a batch is where examples are tokens: the caller says its size; the "
        "authors' code counts tokens"
    )

    shapes: ClassVar[Mapping[str, str]] = {"g": "n d"}

    def apply(self, g: Any) -> Any:  # type: ignore[override]
        return self.batch * g * g
