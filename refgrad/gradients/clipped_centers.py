"""Centres of workers' gradients that are gone to in a given number of steps: clipped differences, weights by distance."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Choice, Citation, Iterations, Positive, by


class CenteredClipping(Transform):
    """``start`` moved by the mean of the differences of all rows to it, each clipped to the length ``radius``; ``rounds`` times.

    ``gradients``: one row a worker; ``start``: the result of the call before. Source: Karimireddy, He & Jaggi 2021,
    arXiv:2012.10333.
    """

    radius: Positive = 1.0
    rounds: Annotated[int, Iterations()] = 1
    citation = Citation(
        "Karimireddy, He & Jaggi 2021",
        "Learning from History for Byzantine Robust Optimization",
        "ICML, arXiv:2012.10333",
        source="independent notes on the publication and on byzfl",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d", "start": "d"}
    unspecified = "a row that is the centre: it moves nothing; a row with NaN: the result is NaN"
    revision = 2  # a row with NaN was not clipped, and moved what has no NaN in it

    def check(self, *arrays: np.ndarray) -> None:
        gradients, start = arrays
        check_axes(gradients, "gradients", 2, "workers and coordinates")
        check_count(gradients, "gradients", 1, "one row a worker")
        check_same(start, "start", gradients.shape[1:], "one row of gradients")

    def apply(self, gradients: Any, start: Any) -> Any:
        for _ in range(self.rounds):
            away = gradients - start
            length = np.sqrt(np.sum(away * away, axis=1))
            clip = np.where(length <= self.radius, 1.0, self.radius / length)
            start = start + np.mean(away * clip[:, None], axis=0)
        return start


class WeiszfeldSteps(Transform):
    """So many ``steps`` towards the geometric median: each the mean of the rows, weighted by one over their distance.

    A distance counts as ``floor`` at least. Source: Pillutla, Kakade & Harchaoui 2022, arXiv:1912.13445 (RFA).
    """

    steps: Annotated[int, Iterations()] = 3
    floor: Positive = 0.1
    start: Annotated[
        str,
        Choice(
            mean="from the mean of the rows",
            zero=by("from zero", "byzfl", "byzantine-robust-optimizer"),
        ),
    ] = "mean"
    citation = Citation(
        "Pillutla, Kakade & Harchaoui 2022",
        "Robust Aggregation for Federated Learning",
        "IEEE Transactions on Signal Processing, arXiv:1912.13445",
        source="independent notes on the publication, on byzfl and on epfml/byzantine-robust-optimizer",
    )
    shapes: ClassVar[Mapping[str, str]] = {"gradients": "n d"}
    unspecified = "where it starts: at the mean here; a row with NaN: the result is NaN"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "gradients", 2, "workers and coordinates")
        check_count(arrays[0], "gradients", 1, "one row a worker")

    def apply(self, gradients: Any) -> Any:
        at = np.mean(gradients, axis=0) if self.start == "mean" else 0.0 * gradients[0]
        for _ in range(self.steps):
            away = gradients - at
            weights = 1.0 / np.maximum(np.sqrt(np.sum(away * away, axis=1)), self.floor)
            at = np.sum(weights[:, None] * gradients, axis=0) / np.sum(weights)
        return at
