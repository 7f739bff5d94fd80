"""AdaGrad-Norm; tests of a batch's size; and AdAdaGrad, which steps as Adagrad and asks a test for the next size."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import TENSOR
from refgrad.errors import bad_argument
from refgrad.optimizers.adagrad import Adagrad
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.transform import Transform, check_count, check_same
from refgrad.rule import Choice, Citation, NonNegative, Positive, Range, Slot, State, by

_LAU = Citation(
    "Lau, Liu & Kolar 2024",
    "AdAdaGrad: Adaptive Batch Size Schemes for Adaptive Gradient Methods",
    "arXiv:2402.11215",
    read="authors' code",
    source="timlautk/AdAdaGrad cc126fb",
)

#: how much of the gradient's square the variance of the batch's mean may be, as a root
TestSize = Annotated[float, Range(0.0, 1.0)]


class AdaGradNorm(Optimizer):
    """Gradient descent divided by the root of the sum of all squared gradient norms: one number a tensor.

    ``initial`` is the sum before the first step, the square of what is usually called b_0. Source: Ward, Wu & Bottou 2019,
    arXiv:1806.01811, Algorithm 1. One NaN reaches the whole tensor.
    """

    lr: NonNegative = 1e-2
    initial: Positive = 1e-2

    citation = Citation(
        "Ward, Wu & Bottou 2019",
        "AdaGrad stepsizes: sharp convergence over nonconvex landscapes",
        "arXiv:1806.01811",
        read="study",
        source="the equations as recalled, and restated in its tests",
    )
    unspecified = "what one vector is: the tensor here, all parameters in the paper"
    state = State(s=Slot(fill="initial", axes=TENSOR))

    def update(self, p: Any, g: Any, s: Any, t: Any) -> tuple[Any, ...]:
        s = s + tree_sum(g * g)
        return p - self.lr * g / np.sqrt(s), s


class _BatchTest(Transform):
    """A test of a batch's per-example gradients: the batch size at which the test would hold.

    Called with the gradients, one row an example, it gives a Python float; `next_size` rounds and bounds it.
    """

    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d"}

    def check(self, *arrays: np.ndarray) -> None:
        check_count(arrays[0], "gradients", 2, "the variance of one example is not defined")

    def next_size(self, gradients: Any, size: int, largest: int) -> int:
        """The next batch size: never smaller than ``size``, at most ``largest``; the same if the test gives NaN."""
        if not 2 <= size <= largest:
            raise bad_argument("size", size, f"a batch size from 2 to largest={largest}")
        needed = self(gradients)
        if math.isnan(needed):
            return size
        return largest if needed >= largest else max(size, math.ceil(needed))


def _flat(gradients: Any) -> tuple[Any, Any]:
    """Gradients as one row an example, and their mean."""
    rows = gradients.reshape(len(gradients), -1)
    return rows, np.mean(rows, axis=0)


def _needed(variance: Any, allowed: Any) -> Any:
    """The batch size at which a variance over the size is allowed; NaN is passed on, infinity where nothing is allowed."""
    return np.where(variance == 0.0, 0.0, np.where(allowed == 0.0, math.inf, variance / allowed))


class NormTest(_BatchTest):
    """The batch size b at which the variance of the batch's mean is at most (``threshold`` times its norm) squared.

    ``sum_j Var(g_ij) / b <= threshold**2 |mean g|**2``, variances with divisor b - 1. Source: Byrd et al. 2012; as used in Lau,
    Liu & Kolar 2024, arXiv:2402.11215.
    """

    threshold: TestSize = 0.1
    citation = _LAU
    unspecified = (
        "a mean of zero: the size asked for is infinite; Byrd et al. estimate the variance on a sample with a "
        "correction for finite populations, which is left out here as in later work"
    )

    def apply(self, gradients: Any) -> Any:
        rows, mean = _flat(gradients)
        return _needed(np.sum(np.var(rows, axis=0, ddof=1)), self.threshold**2 * np.sum(mean * mean))


class InnerProductTest(_BatchTest):
    """The batch size at which the variance of <g_i, mean g> over it is at most ``threshold``**2 |mean g|**4.

    Source: Bollapragada, Byrd & Nocedal 2018, arXiv:1710.11258; as used in Lau, Liu & Kolar 2024.
    """

    threshold: TestSize = 0.1
    citation = Citation(
        "Bollapragada, Byrd & Nocedal 2018",
        "Adaptive Sampling Strategies for Stochastic Optimization",
        "arXiv:1710.11258",
        read="package",
        source="timlautk/AdAdaGrad cc126fb",
    )
    unspecified = (
        "a mean of zero: the size asked for is infinite; how a larger batch is drawn is the source's, the size "
        "alone is given here"
    )

    def apply(self, gradients: Any) -> Any:
        rows, mean = _flat(gradients)
        square = np.sum(mean * mean)
        return _needed(np.var(rows @ mean, ddof=1), self.threshold**2 * square * square)


class AugmentedInnerProductTest(_BatchTest):
    """The larger of the inner-product test's batch size and that of the orthogonality test.

    Orthogonality: the variance of the parts of g_i orthogonal to mean g is at most ``orthogonality``**2 |mean g|**2. Source:
    Bollapragada, Byrd & Nocedal 2018, arXiv:1710.11258.
    """

    threshold: TestSize = 0.1
    orthogonality: Positive = 0.1
    citation = InnerProductTest.citation
    unspecified = (
        "gradients whose mean is zero: the size asked for is NaN or infinite, by 0 / 0; how the batch grows is the "
        "source's heuristic, which is left out: the size is that at which the test holds"
    )

    def apply(self, gradients: Any) -> Any:
        rows, mean = _flat(gradients)
        square = np.sum(mean * mean)
        along = rows @ mean
        rest = rows - (along / square)[:, None] * mean
        needed = _needed(np.sum(np.var(rest, axis=0, ddof=1)), self.orthogonality**2 * square)
        return np.maximum(_needed(np.var(along, ddof=1), self.threshold**2 * square * square), needed)


class CoordinateTest(_BatchTest):
    """The batch size at which each coordinate passes: ``Var(g_ij) / b <= threshold**2 (mean g)_j**2`` for all j.

    Source: Lau, Liu & Kolar 2024, arXiv:2402.11215: what AdAdaGrad's theory asks for; the released code does not have it.
    """

    threshold: TestSize = 0.1
    citation = dataclasses.replace(
        _LAU, read="study", source="its theory as others restate it; the released code has no test of coordinates"
    )
    unspecified = "how the batch grows where it fails: to the largest size that a coordinate asks for, here"

    def apply(self, gradients: Any) -> Any:
        rows, mean = _flat(gradients)
        variances = np.var(rows, axis=0, ddof=1)
        return np.max(_needed(variances, self.threshold**2 * mean * mean), initial=0.0)


class AdAdaGrad(Transform):
    """Adagrad's step by the mean of per-example gradients, and the batch size at which the batch's test would hold.

    ``p`` [...], ``gradients`` [examples, ...], ``s`` [...] the sum of squares. Gives the new p and s, and the size asked
    for, a float; `next_size` of the test rounds it. Source: Lau, Liu & Kolar 2024, arXiv:2402.11215, Algorithm 1.
    """

    lr: NonNegative = 1e-2
    eps: NonNegative = 1e-10
    threshold: TestSize = 0.1
    test: Annotated[
        str,
        Choice(
            norm=by("the norm test", "published: experiments", "authors"),
            coordinate=by("the test of every coordinate", "published: theory"),
            inner_product=by("the inner-product test", "authors: an option"),
        ),
    ] = "norm"
    citation = _LAU
    shapes: ClassVar[Mapping[str, str]] = {"p": "d", "gradients": "n d", "s": "d+"}
    unspecified = "eps: that of Adagrad here; how the size asked for becomes the next one: next_size of the test"

    def check(self, *arrays: np.ndarray) -> None:
        p, gradients, s = arrays
        check_count(gradients, "gradients", 2, "the variance of one example is not defined")
        check_same(gradients, "gradients", (len(gradients), *p.shape), "one row an example, shaped like p")
        check_same(s, "s", p.shape, "the shape of p")

    def apply(self, p: Any, gradients: Any, s: Any) -> Any:
        p, s = Adagrad(lr=self.lr, eps=self.eps).update(p, np.mean(gradients, axis=0), s, 1)
        tests = {"norm": NormTest, "coordinate": CoordinateTest, "inner_product": InnerProductTest}
        return p, s, tests[self.test](threshold=self.threshold).apply(gradients)


class AdAdaGradNorm(Transform):
    """AdaGrad-Norm's step by the mean of per-example gradients, and the batch size at which the norm test would hold.

    ``p`` [...], ``gradients`` [examples, ...], ``s`` [1, ...] the sum of squared norms, broadcasting against p. Source: Lau,
    Liu & Kolar 2024, arXiv:2402.11215, Algorithm 1.
    """

    lr: NonNegative = 1e-2
    threshold: TestSize = 0.1
    citation = _LAU
    shapes: ClassVar[Mapping[str, str]] = {"p": "d", "gradients": "n d", "s": "one+"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 6, "d": 5, "one": 1}
    unspecified = "the start of the sum: that of s"

    def check(self, *arrays: np.ndarray) -> None:
        p, gradients, s = arrays
        check_count(gradients, "gradients", 2, "the variance of one example is not defined")
        check_same(gradients, "gradients", (len(gradients), *p.shape), "one row an example, shaped like p")
        check_same(s, "s", (1,) * p.ndim, "one number, broadcasting against p")

    def apply(self, p: Any, gradients: Any, s: Any) -> Any:
        p, s = AdaGradNorm(lr=self.lr).update(p, np.mean(gradients, axis=0), s, 1)
        return p, s, NormTest(threshold=self.threshold).apply(gradients)
