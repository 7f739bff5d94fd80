"""Ghost batch normalisation: a large batch normalised in small parts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_count, check_same
from refgrad.rule import Choice, Citation, Fraction, NonNegative, Whole, by

_HOFFER = Citation(
    "Hoffer, Hubara & Soudry 2017",
    "Train longer, generalize better",
    "arXiv:1705.08741, Algorithm 1",
    read="authors' code",
    source="eladhoffer/bigBatch 0c69f28",
)


class _Ghost(Transform):
    """How a batch is cut into parts; ``x``: [batch, channels, ...]."""

    size: Annotated[int, Whole(1)] = 128
    eps: NonNegative = 1e-5
    parts: Annotated[
        str,
        Choice(
            sized=by(
                "consecutive parts of size examples, the last one shorter", "published: where size divides the batch"
            ),
            even=by("as many consecutive parts, as even as torch.chunk makes them", "pytorch-tabnet"),
            interleaved="as many parts, example i in part i modulo their number (a widely copied form)",
        ),
    ] = "sized"

    lengths: ClassVar[Mapping[str, int]] = {"n": 6, "c": 2, "w": 3}

    def check(self, *arrays: np.ndarray) -> None:
        x, gamma = arrays[:2]
        check_count(x, "x", 1, "one row an example")
        if x.ndim < 2 or x.size == 0:
            raise bad_argument("x.shape", x.shape, "[batch, channels, ...], not empty")
        check_same(gamma, "gamma", x.shape[1:2], "one number a channel")

    def cut(self, batch: int) -> list[np.ndarray]:
        """The indices of each part's examples."""
        count, index = math.ceil(batch / self.size), np.arange(batch)
        if self.parts == "interleaved":
            return [index[k::count] for k in range(count)]
        length = self.size if self.parts == "sized" else math.ceil(batch / count)
        return [index[start : start + length] for start in range(0, batch, length)]

    def _normalised(self, part: Any) -> tuple[Any, Any, Any, Any]:
        """A part's normalised numbers, its mean, its variance (divisor n), and the root that divides."""
        axes = (0, *range(2, part.ndim))
        mean = np.mean(part, axis=axes, keepdims=True)
        variance = np.mean((part - mean) * (part - mean), axis=axes, keepdims=True)
        root = np.sqrt(variance + self.eps)
        return (part - mean) / root, mean, variance, root


def _channels(values: Any, ndim: int) -> Any:
    return values.reshape(1, -1, *(1,) * (ndim - 2))


class GhostBatchNorm(_Ghost):
    """Each part of the batch normalised by its own mean and variance; running statistics follow the parts in order.

    ``x`` [batch, channels, ...], ``gamma``, ``beta``, ``mean``, ``variance`` [channels]. Gives the output and the new
    running mean and variance: r <- (1 - momentum) r + momentum s for each part. Source: Hoffer, Hubara & Soudry 2017,
    arXiv:1705.08741, Algorithm 1.
    """

    momentum: Fraction = 0.1
    running: Annotated[
        str,
        Choice(
            unbiased=by("the running variance follows variances with divisor n - 1", "torch"),
            biased=by("it follows those with divisor n, by which the parts are divided", "Keras"),
        ),
    ] = "unbiased"
    citation = _HOFFER
    shapes: ClassVar[Mapping[str, str]] = {"x": "n c w", "gamma": "c", "beta": "c", "mean": "c", "variance": "c+"}
    unspecified = (
        "which variance runs; the printed weights of the running statistics do not sum to one: an average here"
    )

    def check(self, *arrays: np.ndarray) -> None:
        super().check(*arrays)
        for array, name in zip(arrays[2:], ("beta", "mean", "variance"), strict=True):
            check_same(array, name, arrays[1].shape, "one number a channel")

    def apply(self, x: Any, gamma: Any, beta: Any, mean: Any, variance: Any) -> Any:
        y = np.empty_like(x)
        for part in self.cut(len(x)):
            x_hat, part_mean, part_variance, _ = self._normalised(x[part])
            y[part] = _channels(gamma, x.ndim) * x_hat + _channels(beta, x.ndim)
            n = x[part].size // x.shape[1]
            if self.running == "unbiased":
                part_variance = part_variance * (n / (n - 1)) if n > 1 else np.full_like(part_variance, np.nan)
            mean = (1 - self.momentum) * mean + self.momentum * part_mean.reshape(-1)
            variance = (1 - self.momentum) * variance + self.momentum * part_variance.reshape(-1)
        return y, mean, variance


class GhostBatchNormGradient(_Ghost):
    """The gradients by the input, gamma and beta of `GhostBatchNorm`; each part's statistics depend on its input.

    ``x`` [batch, channels, ...], ``gamma`` [channels], ``g`` like ``x``: the loss's gradient by the output. Source: Ioffe &
    Szegedy 2015, arXiv:1502.03167, section 3, on each part.
    """

    shapes: ClassVar[Mapping[str, str]] = {"x": "n c w", "gamma": "c", "g": "n c w"}
    citation = Citation(
        "Ioffe & Szegedy 2015",
        "Batch Normalization",
        "arXiv:1502.03167, section 3",
        read="package",
        source="torch 2.13.0 nn.functional.batch_norm under autograd, on each part",
    )
    unspecified = (
        "nothing: it is the derivative of GhostBatchNorm as it stands; parts of one example have a gradient of zero"
    )

    def check(self, *arrays: np.ndarray) -> None:
        super().check(*arrays)
        check_same(arrays[2], "g", arrays[0].shape, "the shape of x")

    def apply(self, x: Any, gamma: Any, g: Any) -> Any:
        axes = (0, *range(2, x.ndim))
        g_x, g_gamma = np.empty_like(x), np.zeros_like(gamma)
        for part in self.cut(len(x)):
            x_hat, _, _, root = self._normalised(x[part])
            mean_g = np.mean(g[part], axis=axes, keepdims=True)
            along = np.mean(g[part] * x_hat, axis=axes, keepdims=True)
            g_x[part] = _channels(gamma, x.ndim) / root * (g[part] - mean_g - x_hat * along)
            g_gamma = g_gamma + np.sum(g[part] * x_hat, axis=axes)
        return g_x, g_gamma, np.sum(g, axis=axes)
