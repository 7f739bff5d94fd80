"""Robust aggregation of workers' gradients, coordinate by coordinate and by distances between workers.

Every rule takes ``gradients``, one row a worker, of whom ``faults`` may send anything. A distance that is NaN is the
farthest, so that a row with NaN is not selected while there are others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.subgradients import top_k
from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_count
from refgrad.rule import Choice, Citation, Iterations, Whole, by

_NOTES = "independent notes on the publication and on byzfl, torchjd and epfml/byzantine-robust-optimizer"
_YIN = Citation(
    "Yin, Chen, Ramchandran & Bartlett 2018",
    "Byzantine-Robust Distributed Learning: Towards Optimal Statistical Rates",
    "ICML, arXiv:1803.01498",
    source=_NOTES,
)
_BLANCHARD = Citation(
    "Blanchard, El Mhamdi, Guerraoui & Stainer 2017",
    "Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent",
    "NeurIPS, arXiv:1703.02757",
    source=_NOTES,
)


class Aggregation(Transform):
    """What rules on workers' gradients share: one array, and how many workers there must be."""

    faults: Annotated[int, Whole(0)] = 1
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 7, "d": 5}

    def fewest(self) -> int:
        """How many workers there must be at least."""
        return 2 * self.faults + 1

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "gradients", 2, "workers and coordinates")
        check_count(arrays[0], "gradients", self.fewest(), f"enough workers for faults={self.faults}")


class CoordinateMedian(Transform):
    """The median of workers' gradients, coordinate by coordinate. Source: Yin et al. 2018, arXiv:1803.01498."""

    even: Annotated[
        str,
        Choice(
            middle=by("of an even number the mean of the two middle ones", "NumPy: median", "byzfl"),
            lower=by("of an even number the lower middle one", "torch: median"),
        ),
    ] = "middle"
    citation = _YIN
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d"}
    unspecified = "the median of an even number: the mean of the two middle ones; NaN: larger than all numbers"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "gradients", 2, "workers and coordinates")
        check_count(arrays[0], "gradients", 1, "one row a worker")

    def apply(self, gradients: Any) -> Any:
        return _median(np.sort(gradients, axis=0), self.even)


class TrimmedMean(Aggregation):
    """The mean, coordinate by coordinate, without the ``faults`` least and the ``faults`` largest.

    Source: Yin et al. 2018, arXiv:1803.01498.
    """

    form: Annotated[
        str,
        Choice(
            kept="the mean of those that are left",
            difference=by(
                "the sum of all less the sums of the largest and of the least: roundings are of the size of what is thrown away",
                "byzantine-robust-optimizer",
            ),
        ),
    ] = "kept"
    citation = _YIN
    unspecified = (
        "nothing is left (2 faults >= n): refused; NaN: larger than all numbers, so that up to `faults` in a coordinate are "
        "thrown away, with more it is NaN; with `form=difference` any NaN is"
    )

    def apply(self, gradients: Any) -> Any:
        rising, n = np.sort(gradients, axis=0), len(gradients)
        if self.form == "kept":
            return np.mean(rising[self.faults : n - self.faults], axis=0)
        thrown = np.sum(rising[n - self.faults :], axis=0), np.sum(rising[: self.faults], axis=0)
        return (np.sum(gradients, axis=0) - thrown[0] - thrown[1]) / (n - 2 * self.faults)


class MeanAroundMedian(Aggregation):
    """The mean, coordinate by coordinate, of the n - ``faults`` numbers nearest to the median.

    Source: Xie, Koyejo & Gupta 2018, arXiv:1802.10116.
    """

    citation = Citation(
        "Xie, Koyejo & Gupta 2018", "Generalized Byzantine-tolerant SGD", "arXiv:1802.10116", source=_NOTES
    )
    unspecified = (
        "the median of an even number: the mean of the two middle ones; ties at the edge: any; NaN: the largest, and the "
        "farthest from the median, so that with more than `faults` in a coordinate the mean is NaN"
    )

    def apply(self, gradients: Any) -> Any:
        return _around_median(gradients, len(gradients) - self.faults)


class Krum(Aggregation):
    """The row whose nearest neighbours are the nearest: whose sum of squared distances to n - faults - 2 others is least.

    Ties go to the earlier row. Source: Blanchard et al. 2017, arXiv:1703.02757.
    """

    neighbors: Annotated[
        str,
        Choice(
            paper=by("the n - faults - 2 nearest others", "published", "torchjd"),
            more=by("the n - faults - 1 nearest others", "byzfl"),
        ),
    ] = "paper"
    distance: Annotated[
        str,
        Choice(
            squares=by("the sum of squared distances", "published", "byzfl"),
            distances=by("the sum of distances", "torchjd"),
            fourth=by("the sum of squares of squared distances", "byzantine-robust-optimizer"),
        ),
    ] = "squares"
    citation = _BLANCHARD
    longest: ClassVar[Mapping[str, int]] = {"n": 17, "d": 129}
    unspecified = (
        "ties: the earlier row; a row with NaN: as far from all as can be, taken where too few others are left"
    )

    def fewest(self) -> int:
        return 2 * self.faults + 3

    def apply(self, gradients: Any) -> Any:
        return gradients[self.ranked(gradients)[0]]

    def ranked(self, gradients: Any) -> Any:
        """The rows' numbers by rising scores."""
        nearest = len(gradients) - self.faults - (2 if self.neighbors == "paper" else 1)
        return np.argsort(_scores(_squares(gradients), nearest, self.distance), kind="stable")


class MultiKrum(Krum):
    """The mean of the ``keep`` rows of the least Krum scores. Source: Blanchard et al. 2017, arXiv:1703.02757."""

    keep: Annotated[int, Whole(1)] = 3
    result: Annotated[
        str,
        Choice(
            mean=by("their mean", "published", "byzfl", "torchjd"),
            sum=by("their sum", "byzantine-robust-optimizer"),
        ),
    ] = "mean"
    citation = _BLANCHARD
    unspecified = (
        "ties: the earlier row; a row with NaN: as far from all as can be, taken where too few others are left"
    )

    def fewest(self) -> int:
        return max(super().fewest(), self.keep)

    def apply(self, gradients: Any) -> Any:
        kept = gradients[np.sort(self.ranked(gradients)[: self.keep])]
        return np.mean(kept, axis=0) if self.result == "mean" else np.sum(kept, axis=0)


class Bulyan(Aggregation):
    """The mean around the median of the n - 2 faults rows that Krum takes one after the other, each from those that are left.

    Of these, coordinate by coordinate, the n - 4 faults nearest to their median are averaged. Source: El Mhamdi, Guerraoui &
    Rouault 2018, arXiv:1802.07927.
    """

    citation = Citation(
        "El Mhamdi, Guerraoui & Rouault 2018",
        "The Hidden Vulnerability of Distributed Learning in Byzantium",
        "ICML, arXiv:1802.07927",
        source="a recollection of the publication's algorithm",
    )
    longest: ClassVar[Mapping[str, int]] = {"n": 17, "d": 129}
    unspecified = (
        "the neighbours among few rows that are left: at least one here; ties: the earlier row; "
        "a row with NaN: the farthest"
    )

    def fewest(self) -> int:
        return 4 * self.faults + 3

    def apply(self, gradients: Any) -> Any:
        squares, left, taken = _squares(gradients), list(range(len(gradients))), list[int]()
        for _ in range(len(gradients) - 2 * self.faults):
            among = squares[left][:, left]
            scores = _scores(among, max(len(left) - self.faults - 2, 1), "squares")
            taken.append(left.pop(int(np.argmin(scores))))
        return _around_median(gradients[np.sort(taken)], len(taken) - 2 * self.faults)


class GradientElimination(Aggregation):
    """The n - ``faults`` gradients of the least norms, added up (comparative gradient elimination, CGE).

    Ties go to the earlier row. Source: Gupta, Liu & Vaidya 2021, arXiv:2008.04699.
    """

    result: Annotated[str, Choice(sum=by("their sum", "published"), mean="their mean")] = "sum"
    citation = Citation(
        "Gupta, Liu & Vaidya 2021",
        "Byzantine Fault-Tolerant Distributed Machine Learning using D-SGD and Norm-Based Comparative Gradient Elimination",
        "arXiv:2008.04699",
        source="a recollection of the publication's algorithm",
    )
    unspecified = (
        "ties: the earlier row; a row with NaN is the longest: with more than `faults` of them the result is NaN"
    )

    def apply(self, gradients: Any) -> Any:
        lengths = np.sum(gradients * gradients, axis=1)
        rising = np.argsort(np.where(np.isnan(lengths), np.inf, lengths), kind="stable")
        kept = gradients[np.sort(rising[: len(gradients) - self.faults])]
        return np.sum(kept, axis=0) if self.result == "sum" else np.mean(kept, axis=0)


class NeighborMixing(Aggregation):
    """Every row replaced by the mean of those nearest to it, itself among them; so many ``rounds`` one after the other.

    Nearest-neighbour mixing keeps n - faults rows, and is handed on to another aggregation. With ``kept=twice`` and several
    rounds it is the mixing of MoNNA among workers who all hear one another. Source: Allouah et al. 2023, arXiv:2302.01772.
    """

    rounds: Annotated[int, Iterations()] = 1
    kept: Annotated[
        str,
        Choice(
            once=by("the n - faults nearest", "published", "byzfl"),
            twice=by("the n - 2 faults nearest", "elsewhere: MoNNA"),
        ),
    ] = "once"
    citation = Citation(
        "Allouah et al. 2023",
        "Fixing by Mixing: A Recipe for Optimal Byzantine ML under Heterogeneity",
        "AISTATS, arXiv:2302.01772",
        source=_NOTES,
    )
    longest: ClassVar[Mapping[str, int]] = {"n": 17, "d": 129}
    unspecified = (
        "ties at the edge: any; a row with NaN: as far from all as can be, so that it is in no mean while there are "
        "enough others, and in its own place the mean of the first rows without NaN; NaN where these are too few"
    )
    revision = 2  # a mean of too few rows without NaN is NaN: NaN counted as zero

    def apply(self, gradients: Any) -> Any:
        keep = len(gradients) - self.faults * (1 if self.kept == "once" else 2)
        for _ in range(self.rounds):
            alone = np.where(np.isnan(np.sum(gradients * gradients, axis=1)), 1.0, 0.0)
            near = top_k(-np.where(alone[:, None] > alone[None, :], 0.0, _squares(gradients)), keep)
            shares = np.where(near, 1.0, 0.0)[:, :, None] + np.zeros_like(gradients)[None, :, :]
            gradients = np.sum(np.where(shares > 0.5, gradients[None, :, :], 0.0), axis=1) / keep
        return gradients


class Bucketing(Transform):
    """The means of buckets of ``size`` rows in a random order, which is handed in; the last bucket may be smaller.

    Source: Karimireddy, He & Jaggi 2022, arXiv:2006.09365.
    """

    size: Annotated[int, Whole(1)] = 2
    citation = Citation(
        "Karimireddy, He & Jaggi 2022",
        "Byzantine-Robust Learning on Heterogeneous Datasets via Bucketing",
        "ICLR, arXiv:2006.09365",
        source=_NOTES,
    )
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d", "order": "n below:n"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 7, "d": 5}
    unspecified = "a last bucket of fewer rows: the mean of these; a row with NaN: NaN is its bucket's mean"

    def check(self, *arrays: np.ndarray) -> None:
        gradients, order = arrays
        check_axes(gradients, "gradients", 2, "workers and coordinates")
        if order.shape != gradients.shape[:1]:
            raise bad_argument("order.shape", order.shape, f"{gradients.shape[:1]}: one number a row of gradients")
        if order.size and not 0 <= int(order.min()) <= int(order.max()) < len(gradients):
            raise bad_argument("order", order.tolist(), f"numbers of rows, from 0 to {len(gradients) - 1}")

    def apply(self, gradients: Any, order: Any) -> Any:
        mixed = gradients[order]
        return np.stack(
            [np.mean(mixed[at : at + self.size], axis=0) for at in range(0, len(mixed), self.size)]
            or [np.zeros(mixed.shape[1:])]
        )[: -(-len(mixed) // self.size)]


class AdaptiveClipping(Aggregation):
    """The rows, of which the 2 (faults / n) (n - faults) longest are clipped to the length of the next (ARC).

    Their number is rounded down. Source: Allouah et al. 2025, arXiv:2405.14432.
    """

    citation = Citation(
        "Allouah et al. 2025",
        "Adaptive Gradient Clipping for Robust Federated Learning",
        "ICLR, arXiv:2405.14432",
        source=_NOTES,
    )
    unspecified = (
        "rows of the length of the threshold, and of no length: as they are; a row with NaN: the longest, and as it is"
    )

    def apply(self, gradients: Any) -> Any:
        n = len(gradients)
        clipped = 2 * self.faults * (n - self.faults) // n
        norms = np.sqrt(np.sum(gradients * gradients, axis=1))
        threshold = np.sort(norms)[n - clipped - 1]
        return gradients * np.where(norms > threshold, threshold / norms, 1.0)[:, None]


def _median(rising: Any, even: str = "middle") -> Any:
    """The median of sorted rows."""
    n = len(rising)
    lower = rising[(n - 1) // 2]
    return lower if even == "lower" or n % 2 else 0.5 * (lower + rising[n // 2])


def _around_median(rows: Any, keep: int) -> Any:
    """The mean of as many rows nearest to the median, coordinate by coordinate."""
    columns, median = rows.T, _median(np.sort(rows, axis=0))
    near = top_k(-np.abs(columns - median[:, None]), keep)
    return np.sum(np.where(near, columns, 0.0), axis=1) / keep


def _squares(rows: Any) -> Any:
    """The squared distances between all rows; infinite where they are NaN."""
    difference = rows[:, None, :] - rows[None, :, :]
    squares = np.sum(difference * difference, axis=2)
    return np.where(np.isnan(squares), np.inf, squares)


def _scores(squares: Any, nearest: int, distance: str) -> Any:
    """Krum's scores: what is added up over the nearest others; a row itself is the nearest of all."""
    rising = np.sort(squares, axis=1)[:, 1 : nearest + 1]
    if distance == "distances":
        rising = np.sqrt(rising)
    return np.sum(rising * rising if distance == "fourth" else rising, axis=1)
