"""How many bits of inductive bias a task asks for, by the count of functions on a manifold that fit its examples."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refgrad.arithmetic.function_arguments import NOT_NEGATIVE, POSITIVE, Numbers, gated
from refgrad.errors import bad_argument
from refgrad.legal import Range, Whole

_FACTORS = ("examples", "dimension", "radius", "distance", "outputs", "product", "bound", "error")

#: numbers of which one by each is one of float64 too
_INVERTIBLE = Range(2.0**-1000, 2.0**1000)


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
