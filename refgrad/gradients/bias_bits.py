"""The bits of inductive bias of tasks as a rule: a degree, a number of functions, and bits, each judged by the one before."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import check_axes, check_same
from refgrad.rule import Citation, Positive, Range

#: roundings of each term of a sum of logarithms, those of logarithms of gamma functions among them
ROUNDINGS = 16


class InductiveBiasBits(Solved):
    """The bits of inductive bias of tasks of one shape, with the degree and the number of functions that they follow from.

    ``radius`` R, ``distance`` delta [task]. K (K + m - 1) = M**2, M = 2 pi R / delta; E = binom(m + K, m) + binom(m + K - 1, m);
    (2 D d E - n D) b are the bits, b = log2(B D sqrt(d m / 6) (d S / n)**(1 / m) K / error) those of each number, where S =
    2 pi**((m + 1) / 2) / Gamma((m + 1) / 2) is the sphere's volume, n ``examples``, m ``dimension``, D ``outputs``, d
    ``product``, B ``bound`` (`inductive_bias_bits`). Gives ``degree`` K, ``log_harmonics`` log E and ``bits`` [task]. Judged by
    the equation that a degree solves, and each further result by the ones before it, whose roundings exponentials make larger.
    Source: Boopathy et al. 2023, arXiv:2305.01034.
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
