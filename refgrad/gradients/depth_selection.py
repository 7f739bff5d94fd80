"""Which layers of a model to leave out, as a rule of a table of metrics: the program over the last layers, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.gradients.search import WidthImportance
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import check_axes
from refgrad.rule import Whole


class DepthSelection(Solved):
    """Which layers to leave out, for every number of them, by a program over the last layers (`depth_program`).

    ``metrics`` [2**N], of the model of N layers without those whose bits the place has: bit i is layer i; less is better, and
    NaN is never taken. With the last n layers considered and m left out, the candidate is the set of n - 1 and m - 1 with layer
    N - n; it is taken where its metric is less than that of n - 1 and m. Gives ``best`` [n - 1, m - 1], infinite where there
    is no set, and ``left_out`` likewise, the set's place in ``metrics``, or -1. Judged step by step from the sets that were
    given: of equal metrics either is right. Source: Fu et al. 2024 (AmoebaLLM), as its authors' code has it.
    """

    removed: Annotated[int, Whole(1, 24)] = 2
    citation = WidthImportance.citation
    shapes: ClassVar[Mapping[str, str]] = {"metrics": "subset"}
    lengths: ClassVar[Mapping[str, int]] = {"subset": 32}
    longest: ClassVar[Mapping[str, int]] = {"subset": 257}
    unspecified = "which of two sets of equal metrics is taken: either; here the one that was there"

    def check(self, *arrays: np.ndarray) -> None:
        (metrics,) = arrays
        check_axes(metrics, "metrics", 1, "one number a set of layers")
        layers = len(metrics).bit_length() - 1
        if len(metrics) != 2**layers or layers < self.removed:
            raise bad_argument("metrics.shape", metrics.shape, f"(2**N,), N layers, from removed={self.removed}")

    def apply(self, metrics: Any) -> Any:
        layers = len(metrics).bit_length() - 1
        best, left_out = np.full((layers + 1, self.removed), np.inf), np.full((layers + 1, self.removed), -1)
        for n in range(1, layers + 1):
            best[n], left_out[n] = best[n - 1], left_out[n - 1]
            for m, place in enumerate(self._candidates(left_out[n - 1], layers - n)):
                if place >= 0 and metrics[place] < best[n, m]:
                    best[n, m], left_out[n, m] = metrics[place], place
        return {"best": best[1:], "left_out": left_out[1:].astype(float)}

    def condition(self, metrics: Any, best: Any, left_out: Any, unit: float) -> Conditions:
        layers, sets = len(metrics), np.where((left_out >= 0) & (left_out < len(metrics)), left_out, -1)
        sets = np.where(sets == np.floor(sets), sets, -1).astype(int)  # NaN and what is no place is no set
        layers = layers.bit_length() - 1
        kept = np.concatenate([np.full((1, self.removed), -1), sets[:-1]])
        offered = np.stack([self._candidates(row, layers - n - 1) for n, row in enumerate(kept)])
        costs = np.append(np.where(np.isnan(metrics), np.inf, metrics), np.inf)  # the last: of no set
        least = np.minimum(costs[kept], costs[offered])
        with_least = ((left_out == kept) & (costs[kept] == least)) | (
            (left_out == offered) & (costs[offered] == least) & (least < np.inf)
        )
        return {
            "a set that is not the better of two": (1.0 * ~with_least, 0.0),
            "a metric that is not the set's": (1.0 * (best != least), 0.0),
        }

    def _candidates(self, before: np.ndarray, layer: int) -> np.ndarray:
        """The sets of one layer fewer considered and one fewer left out, with a layer; -1 where there is none."""
        smaller = np.concatenate([[0], before[:-1]])
        return np.where(smaller >= 0, smaller | (1 << layer), -1)
