"""Distances between two samples of features: by their moments (CORAL), and by kernels (maximum mean discrepancy)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Fraction, Iterations, Positive, by

_DOMAINBED = "facebookresearch/DomainBed b93c22a, domainbed/algorithms.py AbstractMMD"


def squared_distances(a: Any, b: Any) -> Any:
    """Of every row of one array to every row of another, by their differences."""
    difference = a[:, None, :] - b[None, :, :]
    return np.sum(difference * difference, axis=2)


class _TwoSamples(Transform):
    """Two samples of one number of features."""

    shapes: ClassVar[Mapping[str, str]] = {"a": "n d", "b": "m d"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 4, "m": 3, "d": 13}
    #: how many rows each has at least
    least: ClassVar[int] = 1

    def check(self, *arrays: np.ndarray) -> None:
        a, b = arrays
        for array, name in ((a, "a"), (b, "b")):
            check_axes(array, name, 2, "[examples, features]")
            check_count(array, name, self.least, "one row an example")
        check_same(b, "b", (len(b), a.shape[1]), "as many features as a")


class CorrelationAlignment(_TwoSamples):
    """CORAL: how far the covariances (divisor n - 1) of two samples of features are from one another.

    ``a`` [n, features], ``b`` [m, features], two rows each at least. Source: Sun & Saenko 2016, arXiv:1607.01719.
    """

    form: Annotated[
        str,
        Choice(
            frobenius=by(
                "the squared Frobenius distance of the covariances over 4 features**2", "published: Deep CORAL"
            ),
            moments=by("its mean over entries, and the means' mean squared difference besides", "DomainBed: CORAL"),
        ),
    ] = "frobenius"
    citation = Citation(
        "Sun & Saenko 2016",
        "Deep CORAL: Correlation Alignment for Deep Domain Adaptation",
        "ECCV workshops, arXiv:1607.01719, equation 1",
        read="package",
        source=_DOMAINBED,
    )
    least = 2
    unspecified = "a sample of one, whose covariance is 0/0: refused here"

    def apply(self, a: Any, b: Any) -> Any:
        mean_a, mean_b = np.mean(a, axis=0), np.mean(b, axis=0)
        covariance_a = (a - mean_a).T @ (a - mean_a) / (len(a) - 1)
        covariance_b = (b - mean_b).T @ (b - mean_b) / (len(b) - 1)
        apart = np.mean((covariance_a - covariance_b) ** 2)
        return apart / 4 if self.form == "frobenius" else np.mean((mean_a - mean_b) ** 2) + apart


class MaximumMeanDiscrepancy(_TwoSamples):
    """The squared maximum mean discrepancy by a sum of Gaussian kernels exp(-gamma |x - y|**2).

    ``a`` [n, features], ``b`` [m, features]. There are ``kernels`` widths: gamma is ``gamma`` times powers of ``ratio``.
    Source: Gretton et al. 2012; the widths are those of Li et al. 2018 in DomainBed.
    """

    gamma: Positive = 1e-3
    ratio: Positive = 10.0
    kernels: Annotated[int, Iterations()] = 7
    estimate: Annotated[
        str,
        Choice(
            biased=by("means over all pairs, an element with itself too", "DomainBed: MMD", "published: V-statistic"),
            unbiased=by("of one sample the mean over pairs of different elements", "published: U-statistic"),
        ),
    ] = "biased"
    citation = Citation(
        "Gretton et al. 2012",
        "A Kernel Two-Sample Test",
        "JMLR 13, equations 3 and 5",
        read="package",
        source=f"{_DOMAINBED} MMD",
    )
    least = 2
    unspecified = (
        "distances: by differences here; DomainBed's |x|**2 + |y|**2 - 2 xy, held above 1e-30, loses the small ones; "
        "whether kernels are averaged: added up, as in DomainBed"
    )

    def apply(self, a: Any, b: Any) -> Any:
        return self._within(a) + self._within(b) - 2.0 * np.mean(self._kernel(squared_distances(a, b)))

    def _kernel(self, squares: Any) -> Any:
        found = np.exp(-self.gamma * squares)
        for power in range(1, self.kernels):
            found = found + np.exp(-self.gamma * self.ratio**power * squares)
        return found

    def _within(self, x: Any) -> Any:
        if self.estimate == "biased":
            return np.mean(self._kernel(squared_distances(x, x)))
        pairs = np.triu(self._kernel(squared_distances(x, x)), 1)
        return np.sum(pairs) * (2 / (len(x) * (len(x) - 1)))


class DeepKernelDiscrepancy(Transform):
    """The squared maximum mean discrepancy of a sample and one point, by a kernel of features and of the data they are of.

    ``features`` [n, f] and ``raw`` [n, d] of the sample, ``point_features`` [f] and ``point`` [d]. The kernel of squared
    distances F and D is ((1 - mixing) exp(-F / feature_width) + mixing) exp(-D / width). Gives mean k(r, r) - 2 mean k(r, x) + 1.
    Source: Zhang et al. 2023, arXiv:2305.16035, whose features are of expected perturbation scores.
    """

    feature_width: Positive = 1.0
    width: Positive = 10.0
    mixing: Fraction = 0.1
    kernel: Annotated[
        str,
        Choice(
            deep=by("of features and of the data", "authors: is_smooth=True"),
            features=by("of features alone, exp(-F / feature_width)", "authors: is_smooth=False"),
        ),
    ] = "deep"
    citation = Citation(
        "Zhang et al. 2023",
        "Detecting Adversarial Data by Probing Multiple Perturbations Using Expected Perturbation Score",
        "ICML, arXiv:2305.16035",
        read="authors' code",
        source="ZSHsh98/EPS-AD cceb45d, utils_MMD.py MMD_batch2, eval_epsad.py",
    )
    shapes: ClassVar[Mapping[str, str]] = {"features": "n f", "raw": "n d", "point_features": "f", "point": "d"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 3, "f": 4, "d": 13}
    unspecified = "the widths and the mixing, which are learned; the network that gives the features"

    def check(self, *arrays: np.ndarray) -> None:
        features, raw, point_features, point = arrays
        check_axes(features, "features", 2, "[examples, features]")
        check_count(features, "features", 1, "one row an example")
        check_axes(raw, "raw", 2, "[examples, numbers]")
        check_same(raw, "raw", (len(features), raw.shape[1]), "one row an example")
        check_same(point_features, "point_features", features.shape[1:], "one row of features")
        check_same(point, "point", raw.shape[1:], "one row of raw")

    def apply(self, features: Any, raw: Any, point_features: Any, point: Any) -> Any:
        within = self._kernel(squared_distances(features, features), squared_distances(raw, raw))
        between = self._kernel(np.sum((features - point_features) ** 2, axis=1), np.sum((raw - point) ** 2, axis=1))
        return np.mean(within) - 2.0 * np.mean(between) + 1.0

    def _kernel(self, of_features: Any, of_raw: Any) -> Any:
        deep = np.exp(-of_features / self.feature_width)
        if self.kernel == "features":
            return deep
        return ((1 - self.mixing) * deep + self.mixing) * np.exp(-of_raw / self.width)


class OneSampleDiscrepancy(Transform):
    """The squared maximum mean discrepancy of two samples of one size without any pair (i, i), and its variance.

    ``a`` and ``b`` [n, features], the kernel exp(-|x - y|**2 / width). With h_ij = k(a_i, a_j) + k(b_i, b_j) - k(a_i, b_j) -
    k(b_i, a_j) the statistic is the mean of h over i != j, and the variance 4 (mean_i (mean_j h_ij)**2 - (mean h)**2), of means
    that have i = j too. Source: Gretton et al. 2012; Zhang et al. 2023, arXiv:2305.16035 (EPS).
    """

    width: Positive = 10.0
    pairs: Annotated[
        str,
        Choice(
            without_own=by("of a and b too pairs (i, i) are left out", "authors: use_1sample_U=True"),
            all=by("of a and b all pairs count", "authors: use_1sample_U=False", "published: the two-sample statistic"),
        ),
    ] = "without_own"
    default_reasons = {"pairs": "what the authors call it with, and what their variance is of"}
    citation = Citation(
        "Zhang et al. 2023",
        "Detecting Adversarial Data by Probing Multiple Perturbations Using Expected Perturbation Score",
        "ICML, arXiv:2305.16035",
        read="authors' code",
        source="ZSHsh98/EPS-AD cceb45d, utils_MMD.py h1_mean_var_gram, whose kernel is that of features alone",
    )
    shapes: ClassVar[Mapping[str, str]] = {"a": "n d", "b": "n d"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 4, "d": 3}
    longest: ClassVar[Mapping[str, int]] = {"n": 65}
    unspecified = (
        "distances: by differences here; the authors' |x|**2 + |y|**2 - 2 xy, held above 0, loses the small ones"
    )

    def check(self, *arrays: np.ndarray) -> None:
        a, b = arrays
        check_axes(a, "a", 2, "[examples, features]")
        check_count(a, "a", 2, "two examples")
        check_same(b, "b", a.shape, "the shape of a: pairs (i, i) are left out")

    def apply(self, a: Any, b: Any) -> Any:
        within_a, within_b, between = (self._kernel(*each) for each in ((a, a), (b, b), (a, b)))
        n = len(a)
        inside, apart = np.eye(n, dtype=bool), n * (n - 1)
        of_a, of_b, of_both = (np.sum(np.where(inside, 0.0, each)) / apart for each in (within_a, within_b, between))
        if self.pairs == "all":
            of_both = np.mean(between)
        h = within_a + within_b - between - between.T
        rows = np.mean(h, axis=1)
        return {"discrepancy": of_a - 2.0 * of_both + of_b, "variance": 4.0 * (np.mean(rows * rows) - np.mean(h) ** 2)}

    def _kernel(self, x: Any, y: Any) -> Any:
        return np.exp(-squared_distances(x, y) / self.width)
