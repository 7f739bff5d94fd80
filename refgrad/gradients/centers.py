"""Centres of workers' gradients that are known by what is least at them: sums of distances, a diameter, a spread."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.dtypes import finite
from refgrad.errors import bad_argument
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import check_axes, check_count
from refgrad.rule import Citation, Range, Whole

#: roundings of the largest number of a coordinate that an answer may be off by
ROUNDINGS = 8
#: subsets at most that are looked through
SUBSETS = 100_000
#: steps of the geometric median's program, each of Newton or of Weiszfeld
STEPS = 200


class GeometricMedian(Solved):
    """The point whose distances to all rows have the least sum.

    ``gradients``: one row a worker. Judged by the subgradient at the answer, the sum of unit vectors to the rows: its norm,
    less one for each row that is the answer, is at most ``tolerance`` a row, and what roundings of the answer change in it.
    Source: Pillutla, Kakade & Harchaoui 2022, arXiv:1912.13445 (RFA), as reported.
    """

    tolerance: Annotated[float, Range(0.0, 1e-3)] = 1e-5
    citation = Citation(
        "Pillutla, Kakade & Harchaoui 2022",
        "Robust Aggregation for Federated Learning",
        "arXiv:1912.13445",
        read="study",
        source="independent notes on the publication; the optimality condition is derived",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d"}
    unspecified = "which point, where several are right (an even number of rows on one line): any; here a row"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "gradients", 2, "workers and coordinates")
        check_count(arrays[0], "gradients", 1, "one row a worker")

    def apply(self, gradients: Any) -> Any:
        rows = np.asarray(gradients, np.float64)
        scale = np.max(np.abs(rows), initial=0.0)
        if not 0 < scale < np.inf:
            return rows[0] + 0.0 * scale
        return scale * _median(rows / scale)

    def condition(self, gradients: Any, median: Any, unit: float) -> Conditions:
        scale = np.max(np.abs(gradients), initial=0.0) or 1.0
        away = (gradients - median) / scale
        distance = np.linalg.norm(away, axis=1)
        reach = ROUNDINGS * unit * float(np.linalg.norm(np.max(np.abs(gradients), axis=0) / scale))
        far = distance > reach
        subgradient = np.sum(away[far] / distance[far, None], axis=0)
        known_to = np.sum(np.minimum(2.0, 2.0 * reach / distance[far]))
        return {
            "the subgradient's norm": (
                np.linalg.norm(subgradient),
                np.sum(distance <= reach) + known_to + self.tolerance * len(gradients),
            )
        }


class _LeastSubset(Solved):
    """The mean of n - ``faults`` rows of which something is least; of several such subsets any."""

    faults: Annotated[int, Whole(0)] = 1
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 6, "d": 5}
    longest: ClassVar[Mapping[str, int]] = {"n": 17}
    unspecified = "which subset, where several are as good: any; here the first"

    def check(self, *arrays: np.ndarray) -> None:
        (gradients,) = arrays
        check_axes(gradients, "gradients", 2, "workers and coordinates")
        check_count(gradients, "gradients", 2 * self.faults + 1, f"enough workers for faults={self.faults}")
        if math.comb(len(gradients), self.faults) > SUBSETS:
            raise bad_argument("gradients.shape", gradients.shape, f"at most {SUBSETS:,} subsets of n - faults workers")
        finite(gradients, "gradients")

    def sizes(self, rows: np.ndarray, subsets: np.ndarray) -> np.ndarray:
        """What is least: a number a subset, in the units of the rows."""
        raise NotImplementedError

    def apply(self, gradients: Any) -> Any:
        rows, scale = _scaled(gradients)
        subsets = np.array(list(self._subsets(len(rows))))
        return scale * np.mean(rows[subsets[int(np.argmin(self.sizes(rows, subsets)))]], axis=0)

    def condition(self, gradients: Any, mean: Any, unit: float) -> Conditions:
        rows, scale = _scaled(gradients)
        subsets = np.array(list(self._subsets(len(rows))))
        sizes = self.sizes(rows, subsets)
        # two sizes of which a program in the answer's precision cannot tell the smaller
        good = subsets[
            sizes <= np.min(sizes) + ROUNDINGS * math.sqrt(rows.shape[1] + 1.0) * len(rows) * unit * self.grade
        ]
        off = np.max(np.abs(np.mean(rows[good], axis=1) - mean / scale), axis=1, initial=0.0)
        return {"the distance to the mean of the nearest such subset": (np.min(off), ROUNDINGS * unit)}

    #: the largest factor of a size to the largest number of the rows
    grade: ClassVar[float] = 2.0

    def _subsets(self, n: int) -> Iterator[tuple[int, ...]]:
        return combinations(range(n), n - self.faults)


class LeastDiameterMean(_LeastSubset):
    """The mean of those n - ``faults`` rows of which the two farthest are the nearest (minimum-diameter averaging, MDA).

    Judged by its nearness to the mean of any subset of the least diameter. Source: El Mhamdi, Guerraoui & Rouault 2018,
    arXiv:1802.07927; El Mhamdi et al. 2021.
    """

    citation = Citation(
        "El Mhamdi, Guerraoui & Rouault 2018",
        "The Hidden Vulnerability of Distributed Learning in Byzantium",
        "ICML, arXiv:1802.07927",
        source="independent notes on byzfl 0.0.11",
    )

    def sizes(self, rows: np.ndarray, subsets: np.ndarray) -> np.ndarray:
        distances = np.linalg.norm(rows[:, None, :] - rows[None, :, :], axis=2)
        return np.max(distances[subsets[:, :, None], subsets[:, None, :]], axis=(1, 2), initial=0.0)


class LeastSpreadMean(_LeastSubset):
    """The mean of those n - ``faults`` rows whose spread along their widest direction is least (SMEA).

    The spread is the root of the largest eigenvalue of their covariance. Judged as `LeastDiameterMean` is. Source: Allouah et
    al. 2023, arXiv:2302.04787.
    """

    citation = Citation(
        "Allouah et al. 2023",
        "On the Privacy-Robustness-Utility Trilemma in Distributed Learning",
        "ICML, arXiv:2302.04787",
        source="independent notes on byzfl 0.0.11, which takes one power step from a random vector",
    )

    def sizes(self, rows: np.ndarray, subsets: np.ndarray) -> np.ndarray:
        kept = rows[subsets]
        centred = kept - np.mean(kept, axis=1, keepdims=True)
        return np.asarray(np.linalg.norm(centred, ord=2, axis=(1, 2)) / math.sqrt(subsets.shape[1]))


def _scaled(gradients: Any) -> tuple[np.ndarray, float]:
    """Rows in float64 of which the largest number is one, and what it was."""
    rows = np.asarray(gradients, np.float64)
    scale = float(np.max(np.abs(rows), initial=0.0)) or 1.0
    return rows / scale, scale


def _median(rows: np.ndarray) -> np.ndarray:
    """The geometric median of rows of which the largest number is one: a row that is optimal, or where Newton's steps end."""
    differences = rows[:, None, :] - rows[None, :, :]
    distances = np.linalg.norm(differences, axis=2)
    near = distances <= 1e-15
    units = np.where(near[..., None], 0.0, differences / np.where(near, 1.0, distances)[..., None])
    left = np.linalg.norm(np.sum(units, axis=1), axis=1) - np.sum(near, axis=1)
    best = int(np.argmin(left))
    if left[best] <= 1e-12 * len(rows):
        return rows[best]
    basis = np.linalg.qr((rows - rows[0]).T)[0] if rows.shape[1] > len(rows) else np.eye(rows.shape[1])
    return rows[0] + basis @ _descended((rows - rows[0]) @ basis)


def _descended(rows: np.ndarray) -> np.ndarray:
    """Where the sum of distances is least, if that is at no row."""
    at = np.mean(rows, axis=0)
    for _ in range(STEPS):
        away = at - rows
        distance = np.maximum(np.linalg.norm(away, axis=1), 1e-300)
        unit = away / distance[:, None]
        gradient, weight = np.sum(unit, axis=0), np.sum(1 / distance)
        hessian = weight * np.eye(len(at)) - (unit / distance[:, None]).T @ unit
        tried = [at - np.linalg.lstsq(hessian, gradient)[0], at - gradient / weight]
        sums = [np.sum(np.linalg.norm(each - rows, axis=1)) for each in tried]
        new = tried[int(np.argmin(sums))]
        if np.array_equal(new, at) or np.linalg.norm(gradient) <= 1e-13 * len(rows):
            break
        at = new
    return at
