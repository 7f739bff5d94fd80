"""Vector fields that are, or are not, scores of densities: their asymmetry, gauge, dimension, and expectation under noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import COUNT, REAL, Numbers, gated
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Citation, Flag, NonNegative, Positive, Whole, by

#: roundings of a decomposition, beside one a row and one a column, of the matrix' norm
ROUNDINGS = 8

_GAUGE = Citation(
    "Horvat & Pfister 2024",
    "On Gauge Freedom, Conservativity and Intrinsic Dimensionality Estimation in Diffusion Models",
    "ICLR, arXiv:2402.03845",
    read="study",
    source="a study of a public review, whose conditions it confirms; the rest is derived",
)
_PERTURBED = Citation(
    "Zhang et al. 2023",
    "Detecting Adversarial Data by Probing Multiple Perturbations Using Expected Perturbation Score",
    "ICML, arXiv:2305.16035",
    read="authors' code",
    source="ZSHsh98/EPS-AD cceb45d, eval_epsad.py, score_sde/sde_lib.py VPSDE",
)


def _check_jacobian(jacobian: np.ndarray) -> None:
    check_axes(jacobian, "jacobian", 2, "[d, d]")
    check_same(jacobian, "jacobian", (len(jacobian), len(jacobian)), "as many columns as rows")


class JacobianAsymmetry(Transform):
    """How far a field is from a gradient at a point: |J - J^T| / |J|, Frobenius norms of its Jacobian; zero of zero.

    ``jacobian`` [d, d]. It is 0 of a symmetric matrix, and 2 of an antisymmetric one. Source: Horvat & Pfister 2024,
    arXiv:2402.03845.
    """

    citation = _GAUGE
    shapes: ClassVar[Mapping[str, str]] = {"jacobian": "d d"}
    lengths: ClassVar[Mapping[str, int]] = {"d": 3}
    unspecified = "a Jacobian of zero: 0 here"

    def check(self, *arrays: np.ndarray) -> None:
        _check_jacobian(arrays[0])

    def apply(self, jacobian: Any) -> Any:
        size = np.sum(jacobian * jacobian)
        return np.where(size == 0, 0.0, np.sqrt(np.sum((jacobian - jacobian.T) ** 2)) / np.sqrt(size))


class AsymmetryProbe(Transform):
    """|J - J^T|**2, a squared Frobenius norm, by products with random vectors: the mean of |J v - J^T v|**2.

    ``forward`` J v and ``backward`` J^T v [probes, d], of v with independent entries of mean zero and variance one.
    Source: Horvat & Pfister 2024, arXiv:2402.03845.
    """

    citation = _GAUGE
    shapes: ClassVar[Mapping[str, str]] = {"forward": "probe d", "backward": "probe d"}
    lengths: ClassVar[Mapping[str, int]] = {"probe": 3, "d": 4}
    unspecified = "which probes, and how many: the caller's to say"

    def check(self, *arrays: np.ndarray) -> None:
        forward, backward = arrays
        check_axes(forward, "forward", 2, "[probes, d]")
        check_count(forward, "forward", 1, "one row a probe")
        check_same(backward, "backward", forward.shape, "the shape of forward")

    def apply(self, forward: Any, backward: Any) -> Any:
        return np.mean(np.sum((forward - backward) ** 2, axis=1))


class GaugeResidual(Transform):
    """Whether a field may be added to a score without a change of the marginals: div r + r . s is zero then, at every point.

    ``jacobians`` [points, d, d] and ``field`` r [points, d] of the addition, ``scores`` s [points, d]. Gives, for each point, the
    divergence, the part along the score, and their sum. Where both are zero, no part is to be told apart from the score. Source:
    Horvat & Pfister 2024, arXiv:2402.03845.
    """

    citation = _GAUGE
    shapes: ClassVar[Mapping[str, str]] = {"jacobians": "point d d", "field": "point d", "scores": "point d"}
    lengths: ClassVar[Mapping[str, int]] = {"point": 4, "d": 3}
    unspecified = "how points are drawn: of the density whose score it is"

    def check(self, *arrays: np.ndarray) -> None:
        jacobians, field, scores = arrays
        check_axes(field, "field", 2, "[points, d]")
        check_same(jacobians, "jacobians", (*field.shape, field.shape[1]), "a matrix a point")
        check_same(scores, "scores", field.shape, "the shape of field")

    def apply(self, jacobians: Any, field: Any, scores: Any) -> Any:
        divergence = np.sum(np.diagonal(jacobians, axis1=1, axis2=2), axis=1)
        along = np.sum(field * scores, axis=1)
        return {"divergence": divergence, "along": along, "residual": divergence + along}


class GaussianGaugeField(Transform):
    """A field that may be added to the score of a normal distribution of mean zero: C A x, C its covariance, A antisymmetric.

    ``factor`` F [d, d], of which C = F F^T, ``skew`` B [d, d], of which A = (B - B^T) / 2, ``points`` x [points, d]. Gives
    [points, d], whose divergence, and whose part along the score, are zero. Source: derived from Horvat & Pfister 2024,
    arXiv:2402.03845.
    """

    citation = _GAUGE
    shapes: ClassVar[Mapping[str, str]] = {"factor": "d d", "skew": "d d", "points": "point d"}
    lengths: ClassVar[Mapping[str, int]] = {"d": 3, "point": 2}
    unspecified = "nothing: it is derived"

    def check(self, *arrays: np.ndarray) -> None:
        factor, skew, points = arrays
        check_axes(points, "points", 2, "[points, d]")
        for array, name in ((factor, "factor"), (skew, "skew")):
            check_same(array, name, (points.shape[1], points.shape[1]), "one row and column a number of a point")

    def apply(self, factor: Any, skew: Any, points: Any) -> Any:
        return (0.5 * (points @ (skew - skew.T).T)) @ factor @ factor.T


class FieldOverlap(Transform):
    """The mean over points of the product of two fields: of a gradient and an addition that changes no marginal it is zero.

    ``first`` and ``second`` [points, d], at points of the density. Source: Horvat & Pfister 2024, arXiv:2402.03845.
    """

    citation = _GAUGE
    shapes: ClassVar[Mapping[str, str]] = {"first": "point d", "second": "point d"}
    lengths: ClassVar[Mapping[str, int]] = {"point": 4, "d": 3}
    unspecified = "how points are drawn: of the density"

    def check(self, *arrays: np.ndarray) -> None:
        first, second = arrays
        check_axes(first, "first", 2, "[points, d]")
        check_count(first, "first", 1, "one row a point")
        check_same(second, "second", first.shape, "the shape of first")

    def apply(self, first: Any, second: Any) -> Any:
        return np.mean(np.sum(first * second, axis=1))


class _Perturbed(Transform):
    """The variance-preserving schedule: log alpha = -t**2 (beta_1 - beta_0) / 4 - t beta_0 / 2 and sigma**2 = 1 - alpha**2."""

    first_beta: Positive = 0.1
    last_beta: Positive = 20.0
    unspecified = "how many times: those of noise; they are 1/1000, 2/1000 and so on, as in the authors' code"

    def schedule(self, count: int, like: Any) -> tuple[Any, Any]:
        """alpha and sigma**2 at the first times, as columns."""
        logs = [
            -((k / 1000) ** 2) * (self.last_beta - self.first_beta) / 4 - (k / 1000) * self.first_beta / 2
            for k in range(1, count + 1)
        ]
        alpha = np.array([math.exp(log) for log in logs])
        variance = np.array([-math.expm1(2 * log) for log in logs])
        return alpha.astype(like.dtype)[:, None], variance.astype(like.dtype)[:, None]

    def perturbed(self, x: Any, noise: Any) -> Any:
        """alpha (2 x - 1) + sigma z at each time."""
        alpha, variance = self.schedule(len(noise), noise)
        return alpha * (2.0 * x - 1.0) + np.sqrt(variance) * noise


class PerturbedPoints(_Perturbed):
    """A point with the noise of each of the first times: alpha_t (2 x - 1) + sigma_t z_t, t = 1/1000, 2/1000, ...

    ``x`` [d], of numbers from 0 to 1, ``noise`` z [times, d] of standard normal numbers. Gives [times, d]. Source: Zhang et al.
    2023, arXiv:2305.16035; Song et al. 2021, arXiv:2011.13456.
    """

    citation = _PERTURBED
    shapes: ClassVar[Mapping[str, str]] = {"x": "d", "noise": "time d"}
    lengths: ClassVar[Mapping[str, int]] = {"d": 3, "time": 4}

    def check(self, *arrays: np.ndarray) -> None:
        x, noise = arrays
        check_axes(noise, "noise", 2, "[times, numbers]")
        check_same(x, "x", noise.shape[1:], "one row of noise")

    def apply(self, x: Any, noise: Any) -> Any:
        return self.perturbed(x, noise)


class GaussianPerturbationScore(_Perturbed):
    """The expected perturbation score of a normal distribution: the mean over times of its score at perturbed points.

    ``x`` [d], ``noise`` [times, d] as of `PerturbedPoints`, ``center`` [d] the mean of 2 x - 1, whose variance is
    ``deviation``**2. The score at time t is -(y - alpha center) / (alpha**2 deviation**2 + sigma**2). Gives [d].
    Source: Zhang et al. 2023, arXiv:2305.16035, of data whose scores are known.
    """

    deviation: NonNegative = 0.5
    citation = _PERTURBED
    shapes: ClassVar[Mapping[str, str]] = {"x": "d", "noise": "time d", "center": "d"}
    lengths: ClassVar[Mapping[str, int]] = {"d": 3, "time": 4}

    def check(self, *arrays: np.ndarray) -> None:
        x, noise, center = arrays
        check_axes(noise, "noise", 2, "[times, numbers]")
        check_count(noise, "noise", 1, "one row a time")
        check_same(x, "x", noise.shape[1:], "one row of noise")
        check_same(center, "center", noise.shape[1:], "one row of noise")

    def apply(self, x: Any, noise: Any, center: Any) -> Any:
        alpha, variance = self.schedule(len(noise), noise)
        whole = self.deviation**2 * (alpha * alpha) + variance
        return np.mean((alpha * center - self.perturbed(x, noise)) / whole, axis=0)


@gated(scores=Numbers(axes=2, within=REAL), centred=Flag("centred"), skipped=COUNT)
def score_dimension(scores: np.ndarray, *, centred: bool = True, skipped: int = 0) -> tuple[int, np.ndarray]:
    """The dimension of data at a point by scores of its noisy copies, which span what is normal to it.

    Args:
        scores: [copies, d], at the smallest time; more copies than ``d``, four times as many in the authors' code.
        centred: whether their mean is taken away first: so in the authors' code; not so in the paper as reported.
        skipped: how many drops, from that after the largest singular value, are passed over: one in the authors' plots,
            which so never find ``d`` - 1.

    Returns:
        ``d`` less the place of the largest drop between singular values that follow one another, and these, falling: [d].

    Raises:
        ArgumentError: another number of axes, fewer copies than numbers of a score, fewer than two of these, or too many skipped.

    Source: Stanczuk et al. 2024, arXiv:2212.12611. Read: GBATZOLIS/ID-diff b9a39d8, dim_reduction.py, plot_utils.py.

    >>> flat = np.random.default_rng(0).standard_normal((20, 3)) * [1.0, 1.0, 1e-3]
    >>> score_dimension(flat)[0]
    1
    """
    check_count(scores.T, "scores.T", 2, "numbers of a score")
    check_count(scores, "scores", scores.shape[1], "as many copies as a score has numbers")
    Whole(0, scores.shape[1] - 2).check("skipped", skipped)
    used = scores - np.mean(scores, axis=0) if centred else scores
    values = np.linalg.svd(used, compute_uv=False)
    drops = values[skipped:-1] - values[skipped + 1 :]
    return int(len(drops) - np.argmax(drops)), values


class ScoreDimension(Solved):
    """The dimension of data at a point by the scores of its noisy copies (`score_dimension`).

    ``scores`` [copy, number], as many copies at least as a score has numbers, two or more. Gives ``dimension`` and the singular
    ``values`` [number], falling. Judged by the values as far as rounding leaves them, and by the drop between two of them that a
    dimension stands for, than which none is larger but for roundings. Source: Stanczuk et al. 2024, arXiv:2212.12611.
    """

    centred: Annotated[bool, Flag(by("the copies' mean is taken away first", "authors"))] = True
    skipped: Annotated[int, Whole(0)] = 0
    citation = Citation(
        "Stanczuk et al. 2024",
        "Diffusion Models Encode the Intrinsic Dimension of Data Manifolds",
        "ICML, arXiv:2212.12611",
        read="authors' code",
        source="GBATZOLIS/ID-diff b9a39d8, dim_reduction.py, plot_utils.py",
    )
    shapes: ClassVar[Mapping[str, str]] = {"scores": "copy number"}
    lengths: ClassVar[Mapping[str, int]] = {"copy": 9, "number": 4}
    longest: ClassVar[Mapping[str, int]] = {"copy": 129, "number": 33}
    unspecified = "which of two drops of one size: either; here the first"

    def check(self, *arrays: np.ndarray) -> None:
        (scores,) = arrays
        check_axes(scores, "scores", 2, "[copy, number]")
        check_count(scores.T, "scores.T", 2 + self.skipped, "numbers of a score, beside those that are skipped")
        check_count(scores, "scores", scores.shape[1], "as many copies as a score has numbers")

    def apply(self, scores: Any) -> Any:
        values = self._spectrum(scores)
        if not np.isfinite(values).all():
            return {"dimension": math.nan, "values": values}
        drops = values[self.skipped : -1] - values[self.skipped + 1 :]
        return {"dimension": float(len(drops) - np.argmax(drops)), "values": values}

    def condition(self, scores: Any, dimension: Any, values: Any, unit: float) -> Conditions:
        own = self._spectrum(scores)
        reach = unit * (ROUNDINGS + sum(scores.shape)) * np.linalg.norm(scores)
        drops = own[self.skipped : -1] - own[self.skipped + 1 :]
        place = len(drops) - float(dimension)
        known = place in range(len(drops))
        short = np.max(drops) - drops[int(place)] if known else 0.0
        return {
            "a number that is no dimension": (0.0 if known else 1.0, 0.0),
            "how much smaller a drop is than the largest": (short, 4 * reach),
            "the error of a singular value": (values - own, reach),
        }

    def _spectrum(self, scores: Any) -> np.ndarray:
        scores = np.asarray(scores, np.float64)
        used = scores - np.mean(scores, axis=0) if self.centred else scores
        if not np.isfinite(used).all():
            return np.full(used.shape[1], np.nan)
        return np.linalg.svd(used, compute_uv=False)
