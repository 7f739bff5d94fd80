"""How many bits of inductive bias a task asks for, by the count of functions on a manifold that fit its examples."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import NOT_NEGATIVE, POSITIVE, Numbers, gated
from refgrad.errors import bad_argument
from refgrad.gradients.solved import Conditions, Solved
from refgrad.legal import Range, Whole
from refgrad.optimizers.transform import check_axes, check_same
from refgrad.rule import Citation, Positive

_FACTORS = ("examples", "dimension", "radius", "distance", "outputs", "product", "bound", "error")

#: numbers of which one by each is one of float64 too
_INVERTIBLE = Range(2.0**-1000, 2.0**1000)

#: roundings of each term of a sum of logarithms, those of logarithms of gamma functions among them
ROUNDINGS = 16


@gated(distances=Numbers(within=_INVERTIBLE), pairs=POSITIVE, order=Whole(2, 2**53))
def closest_distance(distances: Any, pairs: float, order: int = 2000) -> float:
    """The least distance between examples of two classes in all data, from a sample of such distances by extreme values.

    The tail of 1 / distance above its ``order``-th largest, X, has by moments M1, M2 of log excesses the index gamma =
    M1 + 1 - 0.5 / (1 - M1**2 / M2). Source: Boopathy et al. 2023, arXiv:2305.01034, as its authors' code has it: the usual
    estimator of the quantile has a factor 1 - min(gamma, ..), which it leaves out.

    Args:
        distances: of pairs of the sample, positive, as an array of any shape.
        pairs: how many pairs all data have.
        order: how many of the largest 1 / distance are the tail, two at least.

    Returns:
        The extrapolated distance; the least of the sample's where that is less.

    Raises:
        ArgumentError: the sample has no more distances than ``order``, one that is not positive, or a tail without spread.

    >>> float(np.round(closest_distance([1.0, 2.0, 3.0, 4.0], pairs=4, order=2), 6))
    1.0
    """
    given = np.ravel(distances)
    if order >= len(given):
        raise bad_argument("order", order, f"a whole number from 2 to {len(given) - 1}: fewer than the distances")
    values = np.sort(1 / given)
    threshold, excess = values[-order - 1], np.log(values[-order:] / values[-order - 1])
    first, second = float(np.mean(excess)), float(np.mean(excess * excess))
    spread = 1 - first * first / second if second > 0 else 0.0
    if not spread > 0:
        raise bad_argument("distances", float(given.min()), f"different ones among the {order} least")
    index = first + 1 - 0.5 / spread
    growth = order * pairs / len(values)
    factor = math.log(growth) if index == 0 else float(np.expm1(index * math.log(growth))) / index
    return float(min(1 / (threshold + factor * threshold * first), 1 / values[-1]))


@gated(dimension=Range(1.0, open_low=False), radius=POSITIVE, distance=POSITIVE)
def resolution_degree(dimension: float, radius: float, distance: float) -> float:
    """The degree K, not rounded, of the harmonics that resolve a distance: K (K + m - 1) = (2 pi R / delta)**2.

    Args:
        dimension: m, of the manifold, which is taken for a sphere.
        radius: R, its radius.
        distance: delta, that is resolved.

    Returns:
        K, positive.

    >>> round(resolution_degree(48, 943.5923, 65), 8)
    70.69043274
    """
    frequency = 2 * math.pi * radius / distance
    # the difference of a root and m - 1 as a quotient, which loses nothing where m is large
    return 2 * frequency**2 / (math.hypot(dimension - 1, 2 * frequency) + dimension - 1)


@gated(dimension=POSITIVE, degree=NOT_NEGATIVE)
def log_harmonics(dimension: float, degree: float) -> float:
    """The logarithm of the number of harmonics up to a degree: binom(m + K, m) + binom(m + K - 1, m) of real K.

    Args:
        dimension: m, of the sphere.
        degree: K.

    Returns:
        The logarithm.

    >>> round(math.exp(log_harmonics(2, 3)))  # on the ordinary sphere 1 + 3 + 5 + 7
    16
    """
    first = math.lgamma(dimension + degree + 1) - math.lgamma(dimension + 1) - math.lgamma(degree + 1)
    return first + math.log1p(degree / (dimension + degree))  # the second is the first times K / (m + K)


@gated(**dict.fromkeys(_FACTORS, POSITIVE))
def inductive_bias_bits(
    *,
    examples: float,
    dimension: float,
    radius: float,
    distance: float,
    outputs: float,
    product: float = 1.0,
    bound: float = 1.0,
    error: float = 0.1,
) -> float:
    """The bits of inductive bias with which a model generalizes: what examples leave open of the functions on a sphere.

    Source: Boopathy et al. 2023, arXiv:2305.01034; the study read FieteLab/inductive-bias-complexity 1907c6d.

    Args:
        examples: n.
        dimension: m, the intrinsic dimension of the data.
        radius: R, of the sphere that the data are taken for.
        distance: delta, the least distance over which the function changes.
        outputs: D, the outputs; of classification one less than the classes.
        product: the factors of a product manifold; of classification the classes.
        bound: B, of the outputs; 1 of classification.
        error: the target error.

    Returns:
        Bits; negative where the examples leave nothing open, infinite where float64 has no such number.

    Raises:
        ArgumentError: an argument is not positive.

    >>> f"{inductive_bias_bits(examples=1280901, dimension=48, radius=943.5923, distance=65, outputs=999, product=1000):.6e}"
    '3.583253e+41'
    """
    degree, m = resolution_degree(dimension, radius, distance), dimension
    log_sphere = math.log(2) + (m + 1) / 2 * math.log(math.pi) - math.lgamma((m + 1) / 2)
    log_width = 0.5 * math.log(m / 6) + (log_sphere + math.log(product)) / m + math.log(radius) - math.log(examples) / m
    log_open = math.log(2 * outputs * product) + log_harmonics(m, degree)
    each = (
        math.log2(bound) + 0.5 * math.log2(outputs) + 0.5 * math.log2(product) - math.log2(error)
        + math.log2(degree * math.sqrt(outputs) / radius) + log_width / math.log(2)
    )  # fmt: skip
    open_ = math.exp(log_open) if log_open < math.log(1.7e308) else math.inf
    return (open_ - examples * outputs) * each


class InductiveBiasBits(Solved):
    """The bits of inductive bias of tasks of one shape, with the degree and the number of functions that they follow from.

    ``radius`` R, ``distance`` delta [task]. K (K + m - 1) = M**2, M = 2 pi R / delta; E = binom(m + K, m) + binom(m + K - 1, m);
    (2 D prodD E - n D) times the bits of each function are the bits (`inductive_bias_bits`). Gives ``degree`` K,
    ``log_harmonics`` log E and ``bits`` [task]. Judged by the equation that a degree solves, and each further result by the ones
    before it, whose roundings exponentials make larger. Source: Boopathy et al. 2023, arXiv:2305.01034.
    """

    examples: Positive = 10.0
    dimension: Annotated[float, Range(1.0, 1e6, open_low=False)] = 3.0
    outputs: Positive = 1.0
    product: Positive = 1.0
    bound: Positive = 1.0
    error: Positive = 0.1
    citation = Citation(
        "Boopathy et al. 2023",
        "Model-agnostic Measure of Generalization Difficulty",
        "ICML, arXiv:2305.01034",
        read="authors' code",
        source="FieteLab/inductive-bias-complexity 1907c6d, by notes on it",
    )
    shapes: ClassVar[Mapping[str, str]] = {"radius": "task+", "distance": "task+"}
    lengths: ClassVar[Mapping[str, int]] = {"task": 5}
    unspecified = "a radius or a distance of zero: no number"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "radius", 1, "one number a task")
        check_same(arrays[1], "distance", arrays[0].shape, "one number a task")

    def apply(self, radius: Any, distance: Any) -> Any:
        radius, distance = np.asarray(radius, np.float64), np.asarray(distance, np.float64)
        frequency = 2 * math.pi * radius / distance
        degree = 2 * frequency**2 / (np.hypot(self.dimension - 1, 2 * frequency) + self.dimension - 1)
        harmonics = sum(self._logarithms(degree))
        open_, terms = self._parts(radius, degree, harmonics)
        return {
            "degree": degree,
            "log_harmonics": harmonics,
            "bits": (open_ - self.examples * self.outputs) * sum(terms),
        }

    def condition(self, radius: Any, distance: Any, degree: Any, harmonics: Any, bits: Any, unit: float) -> Conditions:
        m, frequency = self.dimension, 2 * math.pi * radius / distance
        known_to = ROUNDINGS * unit
        gammas = self._logarithms(degree)
        open_, terms = self._parts(radius, degree, harmonics)
        each, left = sum(terms), open_ - self.examples * self.outputs
        # a degree that is told to a rounding of m or of the frequency, as by a difference of these, is told well enough
        of_degree = known_to * (m - 1 + 2 * frequency) * (2 * degree + m - 1)
        of_gammas = known_to * (sum(np.abs(g) for g in gammas) + m + 1)
        of_open = known_to * (1 + np.abs(harmonics)) * open_ + known_to * self.examples * self.outputs
        of_each = known_to * (1 + sum(np.abs(t) for t in terms))
        return {
            "what is left of the degree's equation": (degree * (degree + m - 1) - frequency**2, of_degree),
            "the logarithm of the number of functions, beside that of the degree": (harmonics - sum(gammas), of_gammas),
            "the bits beside those of the number of functions": (
                bits - left * each,
                np.abs(each) * of_open + (np.abs(left) + of_open) * of_each,
            ),
        }

    def _logarithms(self, degree: Any) -> list[Any]:
        """Terms of which the sum is the logarithm of the number of harmonics."""
        from scipy.special import gammaln

        m = self.dimension
        return [gammaln(m + degree + 1), -gammaln(m + 1), -gammaln(degree + 1), np.log1p(degree / (m + degree))]

    def _parts(self, radius: Any, degree: Any, harmonics: Any) -> tuple[Any, list[Any]]:
        """How many numbers are open, and the terms of which the sum is the bits of each."""
        m, log_two = self.dimension, math.log(2)
        sphere = log_two + (m + 1) / 2 * math.log(math.pi) - math.lgamma((m + 1) / 2)
        fixed = (0.5 * math.log(m / 6), (sphere + math.log(self.product)) / m, -math.log(self.examples) / m)
        numbers = (self.bound, self.outputs, self.product, 1 / self.error)
        terms = [each / log_two for each in fixed]
        terms += [math.log2(n) * power for n, power in zip(numbers, (1.0, 1.0, 0.5, 1.0), strict=True)]
        terms += [np.log2(degree / radius), np.log2(radius)]
        return 2 * self.outputs * self.product * np.exp(harmonics), terms
