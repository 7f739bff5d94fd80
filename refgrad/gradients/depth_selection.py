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
    N - n; it is taken where its metric is less than that of n - 1 and m. Gives ``left_out`` [n - 1, m - 1], the set's place in
    ``metrics``, or -1, and ``best`` [m - 1], the metric with all layers considered, infinite where there is no set. Judged step
    by step from the sets that were given: of equal metrics either is right. Source: Fu et al. 2024 (AmoebaLLM), as its authors'
    code has it.
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
        costs, left_out = self._costs(metrics), [np.full(self.removed, -1)]
        for n in range(1, layers + 1):
            kept, offered = left_out[-1], self._candidates(left_out[-1], layers - n)
            left_out.append(np.where(np.take(costs, offered) < np.take(costs, kept), offered, kept))
        return {"left_out": 1.0 * np.stack(left_out[1:]), "best": np.take(costs, left_out[-1])}

    def condition(self, metrics: Any, left_out: Any, best: Any, unit: float) -> Conditions:
        layers, costs = len(metrics).bit_length() - 1, self._costs(metrics)
        known = np.where((left_out >= 0) & (left_out < len(metrics)) & (left_out == np.floor(left_out)), left_out, -1)
        sets = known.astype(int)  # what is no place is no set
        kept = np.concatenate([np.full((1, self.removed), -1), sets[:-1]])
        offered = np.stack([self._candidates(row, layers - n - 1) for n, row in enumerate(kept)])
        least = np.minimum(costs[kept], costs[offered])
        right = ((left_out == kept) & (costs[kept] == least)) | (
            (left_out == offered) & (costs[offered] == least) & (least < np.inf)
        )
        return {
            "a set that is not the better of two": (1.0 * ~right, 0.0),
            "a metric that is not the last set's": (1.0 * (best != costs[sets[-1]]), 0.0),
        }

    def _costs(self, metrics: Any) -> np.ndarray:
        """What each set costs, NaN as infinity; last, at -1, what none does."""
        return np.concatenate([np.where(np.isnan(metrics), np.inf, metrics), [np.inf]])

    def _candidates(self, before: np.ndarray, layer: int) -> np.ndarray:
        """The sets of one layer fewer considered and one fewer left out, with a layer; -1 where there is none."""
        smaller = np.concatenate([[0], before[:-1]])
        return np.where(smaller >= 0, smaller | (1 << layer), -1)
