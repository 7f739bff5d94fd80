"""Which ReLUs of some units are active at examples, as a rule: a sign, and one unit for each pattern."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.gradients.convex_networks import ConvexReLUProgram
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import check_axes

#: roundings of a product's terms, each of the magnitudes' sum, that a sign may be hidden by, beside one a feature
ROUNDINGS = 4


class ActivationPatterns(Solved):
    """Which ReLUs are active at which examples, and one unit of each pattern that there is.

    ``x`` [example, feature], ``directions`` [feature, unit], the units' weights: normal numbers for a sample of all patterns.
    Gives ``patterns`` [example, unit], 1 where x u >= 0 and 0 else, and ``kept`` [unit], 1 of one unit a pattern and 0 of others
    with that pattern. `activation_patterns` gives the kept columns in lexicographic order. Judged by the sign of each product, as
    far as rounding leaves it, and by the units that are kept among the patterns that were given. Source: Pilanci & Ergen 2020,
    arXiv:2002.10553.
    """

    citation = ConvexReLUProgram.citation
    shapes: ClassVar[Mapping[str, str]] = {"x": "example feature", "directions": "feature unit"}
    lengths: ClassVar[Mapping[str, int]] = {"example": 4, "feature": 2, "unit": 9}
    longest: ClassVar[Mapping[str, int]] = {"example": 65, "feature": 129, "unit": 129}
    unspecified = "which of several units of one pattern is kept: any; here the first"

    def check(self, *arrays: np.ndarray) -> None:
        x, directions = arrays
        check_axes(x, "x", 2, "[example, feature]")
        check_axes(directions, "directions", 2, "[feature, unit]")
        if directions.shape[0] != x.shape[1]:
            raise bad_argument(
                "directions.shape", directions.shape, f"({x.shape[1]}, units): a weight for each feature"
            )

    def apply(self, x: Any, directions: Any) -> Any:
        products = np.asarray(x, np.float64) @ np.asarray(directions, np.float64)
        active = 1.0 * (products >= 0)
        kept = np.zeros(directions.shape[1])
        if kept.size:
            kept[np.unique(active, axis=1, return_index=True)[1]] = 1.0
        return {"patterns": active, "kept": kept}

    def condition(self, x: Any, directions: Any, patterns: Any, kept: Any, unit: float) -> Conditions:
        product, magnitude = x @ directions, np.abs(x) @ np.abs(directions)
        # a product below the least normal number may become zero, whose unit is active
        least = x.shape[1] * (2.0**-126 if unit > 2.0**-53 else 2.0**-1022)
        known = (np.abs(product) > unit * (ROUNDINGS + x.shape[1]) * magnitude + least) | (magnitude == 0)
        wrong = np.where(known, np.abs(patterns - (product >= 0)), _from_truth(patterns))
        same = np.all(patterns[:, :, None] == patterns[:, None, :], axis=0)
        return {
            "a unit that is on the other side of an example": (wrong, 0.0),
            "a unit that is neither kept nor left out": (_from_truth(kept), 0.0),
            "how many units of a pattern are kept, beside one": (same @ kept - 1.0, 0.0),
        }


def _from_truth(values: Any) -> Any:
    """How far numbers are from 0 or 1, whichever is nearer."""
    return np.minimum(np.abs(values), np.abs(values - 1.0))
