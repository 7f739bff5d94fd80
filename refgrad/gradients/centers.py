"""Centres of workers' gradients that are known by what is least at them: sums of distances, a diameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.solved import Conditions, Solved
from refgrad.optimizers.transform import check_axes, check_count
from refgrad.rule import Citation, Range

#: roundings of the largest number of a coordinate that an answer may be off by
ROUNDINGS = 8
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
