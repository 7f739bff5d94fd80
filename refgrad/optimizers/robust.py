"""Robust means: of examples (winsorised, M3), of consecutive batches (RM3), and of workers (MoNNA's nearest neighbours)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.transform import Transform, check_count, check_same
from refgrad.rule import Choice, Citation, Decay, NonNegative, Range, State, Whole, by, zeros_like_param

_ZIELINSKI = Citation(
    "Zielinski, Krishnan & Chatterjee 2020",
    "Weak and Strong Gradient Directions",
    "arXiv:2003.07422",
    read="authors' code",
    source="google-research/google-research 303e062, coherent_gradients/weak_and_strong/optimizers/m3.py; 35a5be2, rm3.py",
)


class WinsorizedMean(Transform):
    """The mean of per-example gradients, each coordinate held between two of its percentiles.

    ``gradients``: one row an example. ``percent`` c gives the c-th and (100 - c)-th percentile, each the example nearest to
    it; c = 0 is the mean. Source: Chatterjee 2020, arXiv:2002.10657.
    """

    percent: Annotated[float, Range(0.0, 50.0, open_low=False)] = 10.0
    citation = Citation(
        "Chatterjee 2020",
        "Coherent Gradients",
        "arXiv:2002.10657, winsorised gradient descent",
        read="authors' code",
        source="google-research/google-research 1d4d2f1, coherent_gradients/iclr_2020_paper/utils.py np_winsorize",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d"}
    unspecified = "which percentile: the nearest example's, as in the authors' code (NumPy's method 'nearest')"

    def check(self, *arrays: np.ndarray) -> None:
        check_count(arrays[0], "gradients", 1, "one row an example")

    def apply(self, gradients: Any) -> Any:
        low = np.percentile(gradients, self.percent, axis=0, method="nearest")
        high = np.percentile(gradients, 100 - self.percent, axis=0, method="nearest")
        return np.mean(np.minimum(np.maximum(gradients, low), high), axis=0)


def median_of_three(a: Any, b: Any, c: Any) -> Any:
    """The median of three numbers, element by element; NaN if one is NaN."""
    return np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))


class M3(Transform):
    """The median, coordinate by coordinate, of the mean gradients of three parts of a batch.

    ``gradients``: one row an example, cut in order into three parts of equal size. Source: Zielinski, Krishnan & Chatterjee
    2020, arXiv:2003.07422.
    """

    citation = _ZIELINSKI
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d"}
    unspecified = "a batch that three does not divide: refused here"

    def check(self, *arrays: np.ndarray) -> None:
        check_count(arrays[0], "gradients", 3, "three parts")
        if len(arrays[0]) % 3:
            check_same(arrays[0], "gradients", (len(arrays[0]) // 3 * 3, *arrays[0].shape[1:]), "three equal parts")

    def apply(self, gradients: Any) -> Any:
        return median_of_three(*(np.mean(part, axis=0) for part in np.split(gradients, 3)))


class RM3(Optimizer):
    """A step by the median, coordinate by coordinate, of the last three gradients; none at the first two steps.

    Source: Zielinski, Krishnan & Chatterjee 2020, arXiv:2003.07422 (RM3, the rolling median). NaN propagates.
    """

    lr: NonNegative = 1e-2
    weight_decay: NonNegative = 0.0
    median: Annotated[
        str,
        Choice(
            exact="the middle one of the three",
            difference=by("their sum less the least and the largest: rounding may lose it", "authors"),
        ),
    ] = "exact"

    citation = _ZIELINSKI
    unspecified = "weight decay: in the gradient before it is kept, as in the authors' code; the first two steps: none"
    state = State(previous=zeros_like_param, before=zeros_like_param)

    def update(self, p: Any, g: Any, previous: Any, before: Any, t: Any) -> tuple[Any, ...]:
        if self.weight_decay:
            g = g + self.weight_decay * p
        if t < 3:
            return 1.0 * p, 1.0 * g, 1.0 * previous
        if self.median == "exact":
            middle = median_of_three(g, previous, before)
        else:
            least = np.minimum(np.minimum(g, previous), before)
            middle = g + previous + before - least - np.maximum(np.maximum(g, previous), before)
        return p - self.lr * middle, 1.0 * g, 1.0 * previous


class Coherence(Transform):
    """m-coherence of per-example gradients: m |mean g|**2 / mean |g|**2, from 0 (they cancel) to m (all the same).

    Source: Chatterjee & Zielinski 2022, arXiv:2203.10036. 0 where every gradient is zero.
    """

    citation = Citation(
        "Chatterjee & Zielinski 2022",
        "On the Generalization Mystery in Deep Learning",
        "arXiv:2203.10036",
        read="study",
        source="independent notes on the publication",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d"}
    unspecified = "gradients that are all zero: 0 here"

    def check(self, *arrays: np.ndarray) -> None:
        check_count(arrays[0], "gradients", 1, "one row an example")

    def apply(self, gradients: Any) -> Any:
        rows = gradients.reshape(len(gradients), -1)
        total, squares = np.sum(rows, axis=0), np.sum(rows * rows)
        return np.where(squares == 0, 0.0, np.sum(total * total) / squares)


class NearestNeighborAverage(Transform):
    """The mean of those ``keep`` of the received vectors that are nearest to the pivot.

    ``received``: one row a worker; ``pivot``: one vector. Ties go to the earlier row; a vector whose distance is NaN is
    the farthest. Source: Farhadkhani et al. 2023, arXiv:2209.10931.
    """

    keep: Annotated[int, Whole(1)] = 1
    citation = Citation(
        "Farhadkhani et al. 2023",
        "Robust Collaborative Learning with Linear Gradient Overhead",
        "arXiv:2209.10931",
        read="authors' code",
        source="LPD-EPFL/robust-collaborative-learning 3425aa1, peerToPeer.py; byzfl 0.0.11 NNM",
    )
    shapes: ClassVar[Mapping[str, str]] = {"received": "n d", "pivot": "d"}
    unspecified = "ties, and distances that are NaN"

    def check(self, *arrays: np.ndarray) -> None:
        received, pivot = arrays
        check_count(received, "received", self.keep, f"keep={self.keep} are averaged")
        check_same(pivot, "pivot", received.shape[1:], "one row of received")

    def apply(self, received: Any, pivot: Any) -> Any:
        difference = (received - pivot).reshape(len(received), -1)
        distance = np.sum(difference * difference, axis=1)
        nearest = np.argsort(np.where(np.isnan(distance), np.inf, distance), kind="stable")[: self.keep]
        return np.mean(received[np.sort(nearest)], axis=0)


class MoNNA(Transform):
    """One round of n workers of whom ``faults`` may be faulty: a momentum step each, then nearest-neighbour averaging.

    ``p``, ``g``, ``m``: one row a worker. Each steps by its momentum, m = beta m + (1 - beta) g and p - lr m, and then
    averages the n - 2 ``faults`` of these vectors that are nearest to its own. Gives the new ``(p, m)``. Source:
    Farhadkhani et al. 2023, arXiv:2209.10931, Algorithm 1.
    """

    lr: NonNegative = 1e-2
    beta: Decay = 0.99
    faults: Annotated[int, Whole(0)] = 0
    citation = NearestNeighborAverage.citation
    shapes: ClassVar[Mapping[str, str]] = {"p": "n d", "g": "n d", "m": "n d"}
    unspecified = (
        "whose vectors arrive in time: n - faults of them in the source, all n here; the number of mixings: one"
    )

    def check(self, *arrays: np.ndarray) -> None:
        p, g, m = arrays
        check_count(p, "p", 2 * self.faults + 1, f"more than twice faults={self.faults} workers")
        check_same(g, "g", p.shape, "the shape of p")
        check_same(m, "m", p.shape, "the shape of p")

    def apply(self, p: Any, g: Any, m: Any) -> Any:
        m = self.beta * m + (1 - self.beta) * g
        half = p - self.lr * m
        average = NearestNeighborAverage(keep=len(p) - 2 * self.faults)
        return np.stack([average.apply(half, own) for own in half]), m
