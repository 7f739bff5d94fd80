"""Noise on gradients, with the noise as an input: annealed, Langevin's, and that of differential privacy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.sgd import SGD
from refgrad.optimizers.transform import Transform, check_count, check_same
from refgrad.optimizers.wrapper import Wrapper
from refgrad.rule import Citation, Extra, Extras, Nested, NonNegative, Positive


class AddNoise(Wrapper):
    """The inner rule on a gradient with normal noise of variance ``eta / t**gamma``.

    ``noise`` are independent standard normal numbers. Source: Neelakantan et al. 2015, arXiv:1511.06807, equations 1 and 2, whose
    steps count from 0.
    """

    inner: Annotated[Optimizer, Nested("optimizer")] = SGD()
    eta: NonNegative = 0.01
    gamma: NonNegative = 0.55

    citation = Citation(
        "Neelakantan et al. 2015",
        "Adding Gradient Noise Improves Learning for Very Deep Networks",
        "arXiv:1511.06807",
        read="package",
        source="optax 0.2.8 noisy_sgd",
    )
    unspecified = (
        "where noise meets clipping: the source clips first, which is to put AddNoise inside the clipping rule's "
        "inner; steps count from 0 there and from 1 here, which is the same variance"
    )
    extras = Extras(noise=Extra("noise"))

    def update(self, p: Any, g: Any, noise: Any, step: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (step(p, g + np.sqrt(self.eta / t**self.gamma) * noise),)


class LangevinDynamics(Optimizer):
    """Stochastic gradient Langevin dynamics: half a gradient step of size ``lr``, and normal noise of variance ``lr``.

    ``g`` is the gradient of the negative log posterior, ``noise`` are independent standard normal numbers. Source: Welling & Teh
    2011, ICML, equation 4.
    """

    lr: NonNegative = 1e-3

    citation = Citation(
        "Welling & Teh 2011",
        "Bayesian Learning via Stochastic Gradient Langevin Dynamics",
        "ICML, equation 4",
        read="study",
        source="the equations as recalled, and restated in its tests",
    )
    unspecified = (
        "how the step size falls, which its theory asks for: the caller's to do; the gradient is the whole "
        "posterior's, scaled up from the batch by the caller; there is no preconditioner"
    )
    extras = Extras(noise=Extra("noise"))

    def update(self, p: Any, g: Any, noise: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (p - self.lr / 2 * g + np.sqrt(self.lr) * noise,)


class PrivateAggregate(Transform):
    """The mean of clipped gradients of a batch's examples with normal noise: the gradient of DP-SGD.

    ``gradients`` [examples, ...] one an example, each scaled to a norm of at most ``l2_norm_clip``; ``noise`` [...] of
    independent standard normal numbers, times ``noise_multiplier`` times ``l2_norm_clip``. Gives an array like the noise. The
    gradients of several parameters are one vector each. Source: Abadi et al. 2016, arXiv:1607.00133, Algorithm 1.
    """

    l2_norm_clip: Positive = 1.0
    noise_multiplier: NonNegative = 1.1

    citation = Citation(
        "Abadi et al. 2016",
        "Deep Learning with Differential Privacy",
        "CCS, arXiv:1607.00133, Algorithm 1",
        read="package",
        source="optax 0.2.8 contrib.dpsgd",
    )
    unspecified = "lots that are drawn at random have no fixed size; here the sum is divided by the number of examples"

    shapes: ClassVar[Mapping[str, str]] = {"gradients": "examples d", "noise": "d"}
    lengths: ClassVar[Mapping[str, int]] = {"examples": 6, "d": 5}

    def check(self, *arrays: np.ndarray) -> None:
        check_count(arrays[0], "gradients", 1, "one row an example")
        check_same(arrays[1], "noise", arrays[0].shape[1:], "the shape of one example's gradient")

    def apply(self, gradients: Any, noise: Any) -> Any:  # type: ignore[override]
        examples = gradients.shape[0]
        rows = gradients.reshape(examples, -1)
        norms = np.sqrt(np.sum(rows * rows, axis=1, keepdims=True))
        clipped = rows / np.maximum(1.0, norms / self.l2_norm_clip)
        total = np.sum(clipped, axis=0).reshape(noise.shape)
        return (total + self.noise_multiplier * self.l2_norm_clip * noise) / examples
