"""The dimension of data by distances to nearest neighbours, and how sharply labels change with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Range, Whole, by


def distances_of_pairs(points: Any) -> Any:
    """Euclidean distances of all pairs, each once, by the differences themselves.

    Args:
        points: one row a point [point, feature].

    Returns:
        [pair], in the order of `numpy.triu_indices`.
    """
    first, second = np.triu_indices(len(points), 1)
    difference = points[first] - points[second]
    return np.sqrt(np.sum(difference * difference, axis=-1))


def distances_to_others(points: Any) -> Any:
    """The distances of each point to all others [point, other], the others in order."""
    count = len(points)
    pair = np.zeros((count, count), int)
    pair[np.triu_indices(count, 1)] = np.arange(count * (count - 1) // 2)
    others = (pair + pair.T)[~np.eye(count, dtype=bool)].reshape(count, count - 1)
    return distances_of_pairs(points)[others]


class LikelihoodDimension(Transform):
    """The dimension that makes the distances to the nearest neighbours most likely.

    ``points`` [point, feature]. With T_j a point's distance to its j-th neighbour, l = sum over j < k of log(T_k / T_j), and
    its own dimension is (k - 1) / l. Gives one number. Source: Levina & Bickel 2004.
    """

    neighbors: Annotated[int, Whole(3)] = 3
    numerator: Annotated[
        str,
        Choice(
            likeliest=by("k - 1: the largest likelihood", "published", "scikit-dimension"),
            unbiased=by("k - 2: the mean is right in the limit", "published"),
        ),
    ] = "likeliest"
    over_points: Annotated[
        str,
        Choice(
            harmonic="the inverse of the mean of the points' inverse dimensions (MacKay & Ghahramani)",
            mean=by("the mean of the points' dimensions", "published"),
        ),
    ] = "harmonic"

    default_reasons = {
        "over_points": "the mean of inverses is the maximum of the points' joint likelihood, and less biased"
    }
    citation = Citation(
        "Levina & Bickel 2004",
        "Maximum Likelihood Estimation of Intrinsic Dimension",
        "NeurIPS 17",
        read="study",
        source="a study of ppope/dimensions 77dd613, mazurowski-lab/intrinsic-properties e4aec43 and scikit-dimension 0.5.0",
    )
    shapes: ClassVar[Mapping[str, str]] = {"points": "point feature"}
    lengths: ClassVar[Mapping[str, int]] = {"point": 6, "feature": 4}
    longest: ClassVar[Mapping[str, int]] = {"point": 33}
    unspecified = (
        "points that are the same: their distance is 0 as any other's, so that their own dimension is 0, or NaN"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "points", 2, "[point, feature]")
        check_count(arrays[0], "points", self.neighbors + 1, f"a point and its neighbors={self.neighbors}")

    def apply(self, points: Any) -> Any:
        nearest = np.sort(distances_to_others(points), axis=-1)[:, : self.neighbors]
        spread = np.sum(np.log(nearest[:, -1:] / nearest[:, :-1]), axis=-1)
        count = self.neighbors - (1 if self.numerator == "likeliest" else 2)
        return np.mean(count / spread) if self.over_points == "mean" else 1.0 / np.mean(spread / count)


class TwoNeighborDimension(Transform):
    """The dimension by the ratio mu of the distances to the second and to the first neighbour.

    ``points`` [point, feature]. Of log mu sorted, F = i / n; the fit is the line through the origin of -log(1 - F) on log mu.
    Gives one number. Source: Facco et al. 2017 (TwoNN).
    """

    discard: Annotated[float, Range(0.0, 1.0, open_low=False)] = 0.1
    estimate: Annotated[
        str,
        Choice(
            fit=by("the line, without the share `discard` of the largest ratios", "published", "scikit-dimension"),
            fit_but_last="the line, without the largest ratio alone (ppope/dimensions)",
            likeliest="n / sum log mu",
            unbiased="(n - 1) / sum log mu",
        ),
    ] = "fit"

    citation = Citation(
        "Facco et al. 2017",
        "Estimating the Intrinsic Dimension of Datasets by a Minimal Neighborhood Information",
        "Scientific Reports 7, 12140",
        read="study",
        source="a study of ppope/dimensions 77dd613 and scikit-dimension 0.5.0",
    )
    shapes: ClassVar[Mapping[str, str]] = {"points": "point feature"}
    lengths: ClassVar[Mapping[str, int]] = {"point": 12, "feature": 3}
    unspecified = (
        "points that are the same: a ratio is infinite, or NaN; how many ratios are kept: at least one, and never the last, "
        "whose 1 - F is 0"
    )

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "points", 2, "[point, feature]")
        check_count(arrays[0], "points", 3, "a point and two neighbours")

    def apply(self, points: Any) -> Any:
        nearest = np.sort(distances_to_others(points), axis=-1)
        ratio = np.log(nearest[:, 1] / nearest[:, 0])
        count = len(points)
        if self.estimate in ("likeliest", "unbiased"):
            return (count - (self.estimate == "unbiased")) / np.sum(ratio)
        share = 0.0 if self.estimate == "fit_but_last" else self.discard
        kept = min(max(int(count * (1 - share)), 1), count - 1)
        least = np.sort(ratio)[:kept]
        rank = -np.log1p(-np.arange(1, kept + 1) / count)
        return np.sum(least * rank) / np.sum(least * least)


class LabelSharpness(Transform):
    """The largest change of a label over the distance of two examples: an estimate of its Lipschitz constant.

    ``points`` [point, feature]; ``labels`` [point]. Pairs of distance 0 count 0, as does what has no pairs. Gives one number.
    Source: Konz & Mazurowski 2024.
    """

    pairs: Annotated[
        str,
        Choice(
            difference=by("all pairs, by the absolute difference of their labels", "published"),
            different=by("all pairs of different labels, by 1: of classes without an order", "published"),
            equal=by("pairs of equal labels, by 1, as the released branch for many classes has it", "authors"),
        ),
    ] = "difference"

    citation = Citation(
        "Konz & Mazurowski 2024",
        "The Effect of Intrinsic Dataset Properties on Generalization",
        "ICLR 2024",
        read="authors' code",
        source="mazurowski-lab/intrinsic-properties e4aec43, by notes on it",
    )
    shapes: ClassVar[Mapping[str, str]] = {"points": "point feature", "labels": "point below:3"}
    lengths: ClassVar[Mapping[str, int]] = {"point": 6, "feature": 4}
    longest: ClassVar[Mapping[str, int]] = {"point": 65}
    unspecified = "which pairs: all here; the released code draws some"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "points", 2, "[point, feature]")
        check_same(arrays[1], "labels", arrays[0].shape[:1], "one a point")

    def apply(self, points: Any, labels: Any) -> Any:
        distance = distances_of_pairs(points)
        first, second = np.triu_indices(len(labels), 1)
        change = np.abs(labels[first] - labels[second])
        if self.pairs == "different":
            change = np.minimum(change, 1)
        if self.pairs == "equal":
            change = 1 - np.minimum(change, 1)
        return np.max(np.where(distance > 0, change / distance, 0.0), initial=0.0)
