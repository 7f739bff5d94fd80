"""Perceptual scales by Fisher information, and how observers compare differences on them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import NOT_NEGATIVE, POSITIVE, REAL, Numbers, gated
from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Positive, by

_VACHER = Citation(
    "Vacher & Mamassian 2024",
    "Perceptual Scales Predicted by Fisher Information Metrics",
    "ICLR, arXiv:2310.11759",
    read="authors' code",
    source="JonathanVacher/perceptual_metric d686bdc, by notes on it",
)

_FINITE = Numbers(within=REAL)


class SpectralFisherInformation(Transform):
    """The Fisher information of a parameter of Gaussian features that do not depend on one another, such as a spectrum's.

    ``mean_slope``, ``variance``, ``variance_slope`` [feature]: derivatives by the parameter, and the variances (the power of a
    stationary field at each frequency). I = sum of mean_slope**2 / variance + (variance_slope / variance)**2 / 2. Gives one
    number. Source: Vacher & Mamassian 2024, arXiv:2310.11759.
    """

    citation = _VACHER
    shapes: ClassVar[Mapping[str, str]] = {"mean_slope": "feature", "variance": "feature+", "variance_slope": "feature"}
    lengths: ClassVar[Mapping[str, int]] = {"feature": 5}
    unspecified = "a variance of zero: infinite, or NaN"

    def check(self, *arrays: np.ndarray) -> None:
        for name, array in zip(("variance", "variance_slope"), arrays[1:], strict=True):
            check_same(array, name, arrays[0].shape, "the shape of mean_slope")

    def apply(self, mean_slope: Any, variance: Any, variance_slope: Any) -> Any:
        relative = variance_slope / variance
        return np.sum(mean_slope * mean_slope / variance + 0.5 * (relative * relative))


class PerceptualScale(Transform):
    """The scale on which equal steps are equally visible: psi(t), the integral of the root of the information, over that to 1.

    ``information`` [place], at places of equal distance. Gives [place]. Source: Vacher & Mamassian 2024, arXiv:2310.11759.
    """

    integral: Annotated[
        str,
        Choice(
            trapezoid="by trapezoids: psi is 0 at the first place and 1 at the last",
            sum=by("by a cumulative sum: psi is 1 at the last place and not 0 at the first", "authors"),
        ),
    ] = "trapezoid"

    citation = _VACHER
    shapes: ClassVar[Mapping[str, str]] = {"information": "place+"}
    lengths: ClassVar[Mapping[str, int]] = {"place": 6}
    unspecified = "information that is zero everywhere: 0 / 0"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "information", 1, "[place]")
        check_count(arrays[0], "information", 2, "two places")

    def apply(self, information: Any) -> Any:
        speed = np.sqrt(information)
        if self.integral == "trapezoid":
            speed = np.pad(0.5 * (speed[1:] + speed[:-1]), (1, 0))
        total = np.cumsum(speed)
        return total / total[-1]


class ScaleDifferenceProbability(Transform):
    """How likely an observer calls the second of two differences on a scale the larger one, of each quadruple.

    ``scale`` [stimulus]; ``a``, ``b``, ``c``, ``d`` [trial], which stimuli are shown. Phi((|psi_d - psi_c| - |psi_b - psi_a|) /
    sigma). Gives [trial]. Source: Maloney & Yang 2003 (maximum likelihood difference scaling).
    """

    sigma: Positive = 1.0
    citation = Citation(
        "Maloney & Yang 2003",
        "Maximum Likelihood Difference Scaling",
        "Journal of Vision 3(8)",
        read="authors' code",
        source="JonathanVacher/perceptual_metric d686bdc, by notes on it",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "scale": "stimulus",
        **dict.fromkeys("abcd", "trial below:stimulus"),
    }
    lengths: ClassVar[Mapping[str, int]] = {"stimulus": 5, "trial": 7}
    unspecified = "nothing: a trial compares what it is given, the same stimulus twice too"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "scale", 1, "[stimulus]")
        for name, array in zip("bcd", arrays[2:], strict=True):
            check_same(array, name, arrays[1].shape, "the shape of a")
        for name, array in zip("abcd", arrays[1:], strict=True):
            if array.size and not 0 <= int(array.min()) <= int(array.max()) < len(arrays[0]):
                raise bad_argument(name, array.tolist(), f"places in scale, which has {len(arrays[0])}")

    def apply(self, scale: Any, a: Any, b: Any, c: Any, d: Any) -> Any:
        from scipy.special import erf

        difference = np.abs(scale[d] - scale[c]) - np.abs(scale[b] - scale[a])
        return 0.5 * (1.0 + erf(difference / (self.sigma * math.sqrt(2))))


@gated(mean_slope=_FINITE, covariance=_FINITE, covariance_slope=_FINITE, ridge=NOT_NEGATIVE)
def gaussian_fisher_information(
    mean_slope: Any, covariance: Any, covariance_slope: Any, *, ridge: float = 0.0
) -> float:
    """The Fisher information of a parameter of a Gaussian family: mu' S^-1 mu' + tr(S^-1 S' S^-1 S') / 2.

    Args:
        mean_slope: mu' [feature].
        covariance: S [feature, feature], symmetric positive definite.
        covariance_slope: S' [feature, feature], symmetric.
        ridge: is added to the diagonal of S; the authors' code adds 1e-6.

    Returns:
        I. Source: Vacher & Mamassian 2024, arXiv:2310.11759.

    Raises:
        ArgumentError: shapes do not fit, or S is not positive definite.

    >>> gaussian_fisher_information([1.0], [[4.0]], [[4.0]])
    0.75
    """
    check_axes(mean_slope, "mean_slope", 1, "[feature]")
    length, slope = mean_slope.size, covariance_slope
    for name, array in (("covariance", covariance), ("covariance_slope", slope)):
        check_same(array, name, (length, length), "[feature, feature]")
    shifted = covariance + ridge * np.eye(length)
    lower = _cholesky(shifted, "covariance")
    whitened = np.linalg.solve(lower, np.linalg.solve(lower, slope).T)
    return float(np.sum(np.linalg.solve(lower, mean_slope) ** 2) + 0.5 * np.sum(whitened * whitened))


@gated(start=_FINITE, end=_FINITE, place=REAL)
def covariance_path(start: Any, end: Any, place: float) -> np.ndarray:
    """The covariance at a place of the geodesic of optimal transport between two Gaussians.

    S(t) = M A M, M = (1 - t) I + t T, with T the map that carries A to B. With Q = B**-1/2 (B**1/2 A B**1/2)**1/2 that is N
    N^T, N = t B**1/2 + (1 - t) Q; N^T N, as the study has it, does not begin at A.

    Args:
        start: A [feature, feature], symmetric positive definite.
        end: B, likewise.
        place: t, 0 at A and 1 at B.

    Returns:
        S(t). Source: McCann 1997, as Vacher & Mamassian 2024, arXiv:2310.11759 use it.

    Raises:
        ArgumentError: a covariance is not positive definite, or the shapes differ.

    >>> covariance_path([[1.0]], [[9.0]], 0.5).tolist()
    [[4.0]]
    """
    check_axes(start, "start", 2, "[feature, feature]")
    check_same(start, "start", (len(start), len(start)), "a square matrix")
    check_same(end, "end", start.shape, "the shape of start")
    _cholesky(start, "start"), _cholesky(end, "end")
    root = _root(start)
    inverse = np.linalg.inv(root)
    carried = inverse @ _root(root @ end @ root) @ inverse
    moved = (1 - place) * np.eye(len(start)) + place * carried
    return moved @ start @ moved


@gated(frequency=Numbers(within=POSITIVE), start=POSITIVE, end=POSITIVE)
def frequency_scale(frequency: Any, start: float, end: float) -> Any:
    """The scale of spatial frequency: log(z / z0) / log(z1 / z0).

    Args:
        frequency: z, positive, of any shape.
        start: z0, at which it is 0.
        end: z1, at which it is 1.

    Returns:
        The scale, of the shape of ``frequency``.

    Raises:
        ArgumentError: a frequency is not positive, or both ends are one.

    >>> round(float(frequency_scale(4.0, 1.0, 16.0)), 12)
    0.5
    """
    if start == end:
        raise bad_argument("end", end, f"another frequency than start, {start}")
    return np.log(frequency / start) / (math.log(end) - math.log(start))


def _cholesky(matrix: np.ndarray, name: str) -> np.ndarray:
    try:
        return np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise bad_argument(name, matrix.tolist(), "a positive definite matrix") from None


def _root(matrix: np.ndarray) -> np.ndarray:
    """The positive root of a symmetric matrix."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)
