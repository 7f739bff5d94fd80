"""Workers' gradients weighed down along the direction in which they spread most (CAF)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np

from refgrad.arithmetic.function_arguments import COUNT, Numbers, gated
from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, by

_ALLOUAH = Citation(
    "Allouah et al. 2025",
    "Towards Trustworthy Federated Learning with Untrusted Participants",
    "ICML, arXiv:2505.01874",
    read="package",
    source="byzfl 0.0.11, aggregators.CAF",
    unreachable="the publication, whose number is from memory",
)


#: among which rows the largest spread is sought
LARGEST = Choice(
    all=by("the largest spread among all rows, also of those without a weight", "byzfl"),
    weighted="the largest spread among rows with a weight, so that each step ends one of them",
)


class CovarianceFilterStep(Transform):
    """A step of the covariance filter: each row's weight less the share that its spread has of the largest.

    ``gradients`` [n, d]; ``weights`` [n], not negative; ``direction`` v [d], that of the largest spread. With the weighted mean m
    each row's spread is (v . (x - m))**2, and its weight is multiplied by 1 - spread / largest. Gives the new weights, the mean
    m, and the weighted variance along v. Source: Allouah et al. 2025, arXiv:2505.01874.
    """

    largest: Annotated[str, LARGEST] = "all"
    citation = _ALLOUAH
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d", "weights": "n+", "direction": "d"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 6, "d": 5}
    unspecified = "no spread at all: the weights stay"

    def check(self, *arrays: np.ndarray) -> None:
        gradients, weights, direction = arrays
        check_axes(gradients, "gradients", 2, "workers and coordinates")
        check_count(gradients, "gradients", 1, "one row a worker")
        check_same(weights, "weights", gradients.shape[:1], "one a row of gradients")
        check_same(direction, "direction", gradients.shape[1:], "one row of gradients")

    def apply(self, gradients: Any, weights: Any, direction: Any) -> Any:
        total = np.sum(weights)
        mean = np.sum(weights[:, None] * gradients, axis=0) / total
        along = np.sum((gradients - mean) * direction, axis=1)
        spread = along * along
        largest = np.max(spread if self.largest == "all" else np.where(weights > 0, spread, 0.0))
        kept = np.where(largest == 0, 1.0, np.maximum(1.0 - spread / np.where(largest == 0, 1.0, largest), 0.0))
        return {"weights": weights * kept, "mean": mean, "variance": np.sum(weights * spread) / total}


class Filtered(NamedTuple):
    """The result of the covariance filter.

    Args:
        mean: the weighted mean of the least largest variance that was met [d].
        variance: that variance.
        weights: with which it was [n].
        steps: how many there were.
    """

    mean: np.ndarray
    variance: float
    weights: np.ndarray
    steps: int


@gated(gradients=Numbers(axes=2), faults=COUNT, largest=LARGEST)
def covariance_filter(gradients: np.ndarray, faults: int, *, largest: str = "all") -> Filtered:
    """The mean of workers' gradients that are weighed down where they spread, until what ``faults`` weigh is gone twice (CAF).

    Weights begin at one. While they add up to more than n - 2 ``faults``, the direction of the largest variance of the weighted
    rows is taken, and `CovarianceFilterStep`. The mean of the least such variance is kept. Source: Allouah et al. 2025,
    arXiv:2505.01874, by byzfl 0.0.11, where the direction is found by power steps from a random vector.

    Args:
        gradients: [n, d].
        faults: workers that may be wrong, fewer than half.
        largest: as of `CovarianceFilterStep`; with ``"weighted"`` each step ends a row.

    Returns:
        The mean, its variance, the weights, and the number of steps.

    Raises:
        ArgumentError: another number of axes, or too few rows.

    >>> rows = np.array([[0.0, 1.0], [0.0, -1.0], [1.0, 0.0], [-1.0, 0.0], [50.0, 0.0]])
    >>> covariance_filter(rows, 1).mean.round(3).tolist()  # that of all rows is 10, 0
    [0.007, 0.0]
    """
    rows = gradients
    if len(rows) <= 2 * faults:
        raise bad_argument("gradients.shape", rows.shape, f"more than {2 * faults} rows for faults={faults}")
    weights, steps, best = np.ones(len(rows)), 0, None
    while best is None or (np.sum(weights) > len(rows) - 2 * faults and best.variance > 0):
        mean = weights @ rows / np.sum(weights)
        spread = np.sqrt(weights / np.sum(weights))[:, None] * (rows - mean)
        direction = np.linalg.svd(spread, full_matrices=False)[2][0] if rows.shape[1] else np.zeros(0)
        found = CovarianceFilterStep(largest=largest)(rows, weights, direction)
        steps += 1
        if best is None or found["variance"] < best.variance:
            best = Filtered(mean, float(found["variance"]), weights, steps)
        if np.array_equal(found["weights"], weights):
            break
        weights = found["weights"]
    return best._replace(steps=steps)
