"""DIFF2: a private estimate of the gradient from clipped gradients and clipped gradient differences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Citation, Positive, Range, Whole

_DIFF2 = Citation(
    "Murata & Suzuki 2023",
    "DIFF2: Differential Private Optimization via Gradient Differences for Nonconvex Distributed Learning",
    "arXiv:2302.03884",
    read="authors' code",
    source="lawrenceztang/CE-PLSGM 39bf24a, a fork of the authors' code, src/optimizers.py",
    unreachable="the authors' own repository",
)


def clipped(u: Any, radius: Any, eps: float) -> Any:
    """Each row scaled to a norm of at most the radius; ``eps`` is added to its norm."""
    norm = np.sqrt(np.sum(u * u, axis=-1, keepdims=True))
    return u * np.minimum(1.0, radius / (norm + eps))


class _Diff2(Transform):
    """Hyperparameters and noise of both rounds."""

    epsilon: Positive = 3.0
    delta: Annotated[float, Range(0.0, 1.0)] = 1e-5
    rounds: Annotated[int, Whole(1)] = 2000
    restart: Annotated[int, Whole(1)] = 1
    workers: Annotated[int, Whole(1)] = 1
    samples: Annotated[int, Whole(1)] = 1000
    eps: Positive = 1e-10

    lengths: ClassVar[Mapping[str, int]] = {"workers": 2, "samples": 4, "d": 3}

    def restarts(self, number: int) -> bool:
        """True if a round, counted from 0, is one that starts anew: every ``restart``-th."""
        return number % self.restart == 0

    def order(self) -> float:
        """The order of Renyi privacy that the noise is worked out for: 1 + ceil(2 ln(1/delta) / epsilon)."""
        return 1.0 + math.ceil(2.0 * math.log(1.0 / self.delta) / self.epsilon)

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "gradients", 3, "[workers, samples, parameters]")
        check_count(arrays[0], "gradients", 1, "one row a worker")


class Diff2Restart(_Diff2):
    """A round of DIFF2 that starts anew: the mean of clipped per-sample gradients, and noise.

    ``gradients`` [workers, samples, d], ``noise`` [d] of standard normal numbers. Gives the estimate [d]: noise of
    standard deviation ``radius`` times `noise_scale`. Source: Murata & Suzuki 2023, arXiv:2302.03884, Algorithm 1.
    """

    radius: Positive = 1.0
    citation = _DIFF2
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "workers samples d", "noise": "d"}
    unspecified = "the constants of the noise, and eps: those of the published code"

    def noise_scale(self) -> float:
        """sqrt(c a R / (T n**2 P**2 epsilon)), c = 5 with restarts after more than one round, else 4."""
        c = 5.0 if self.restart > 1 else 4.0
        size = self.restart * (self.samples * self.workers) ** 2 * self.epsilon
        return math.sqrt(c * self.order() * self.rounds / size)

    def check(self, *arrays: np.ndarray) -> None:
        super().check(*arrays)
        check_same(arrays[1], "noise", arrays[0].shape[2:], "one number a parameter")

    def apply(self, gradients: Any, noise: Any) -> Any:
        mean = np.mean(np.mean(clipped(gradients, self.radius, self.eps), axis=1), axis=0)
        return mean + self.radius * self.noise_scale() * noise


class Diff2Difference(_Diff2):
    """A round of DIFF2 between restarts: the last estimate, and the mean of clipped differences of gradients, and noise.

    ``gradients`` and ``previous`` [workers, samples, d] at the new and the old parameters, ``estimate`` [d] of the last
    round, ``moved`` [d] = new - old parameters, ``noise`` [d] of standard normal numbers. The radius is ``radius`` times
    |moved|. Source: Murata & Suzuki 2023, arXiv:2302.03884, Algorithm 1.
    """

    radius: Positive = 1.0
    citation = _DIFF2
    shapes: ClassVar[Mapping[str, str]] = {
        "gradients": "workers samples d",
        "previous": "workers samples d",
        "estimate": "d",
        "moved": "d",
        "noise": "d",
    }
    unspecified = Diff2Restart.unspecified

    def noise_scale(self) -> float:
        """sqrt(20 a R / (n**2 P**2 epsilon)): the other part of the privacy, 4u/(u - 1) with u = 1.25."""
        size = (self.samples * self.workers) ** 2 * self.epsilon
        return math.sqrt(20.0 * self.order() * self.rounds / size)

    def check(self, *arrays: np.ndarray) -> None:
        super().check(*arrays)
        check_same(arrays[1], "previous", arrays[0].shape, "the shape of gradients")
        for array, name in zip(arrays[2:], ("estimate", "moved", "noise"), strict=True):
            check_same(array, name, arrays[0].shape[2:], "one number a parameter")

    def apply(self, gradients: Any, previous: Any, estimate: Any, moved: Any, noise: Any) -> Any:
        radius = self.radius * np.sqrt(np.sum(moved * moved))
        mean = np.mean(np.mean(clipped(gradients - previous, radius, self.eps), axis=1), axis=0)
        return estimate + mean + radius * self.noise_scale() * noise
