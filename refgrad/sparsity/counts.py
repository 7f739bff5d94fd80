"""How many entries are kept: a whole number from a fraction, by a named rule.

Products are taken in float64, so that 0.29 of 100 entries is 28.999999999999996, whose floor is 28.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np

from refgrad.errors import bad_argument
from refgrad.rule import Choice, by

Rounding = Annotated[
    str,
    Choice(
        half_even=by(
            "the count is rounded to the nearest whole number, halves to the even one", "Python: round", "torch: round"
        ),
        floor="the count is rounded down (a cast to int)",
        ceil="the count is rounded up",
        floor_plus_one=by(
            "the count is rounded down, and one more",
            "wanda: magnitude, the threshold goes too",
            "sparsegpt: the threshold goes too",
        ),
        half_even_plus_one=by("the count is rounded to the nearest, and one more", "lottery-ticket-hypothesis"),
        ceil_plus_one=by("the count is rounded up, and one more", "open_lth"),
        floor_minus_one=by("the count is rounded down, and one fewer", "GraSP"),
    ),
]

Counted = Annotated[
    str,
    Choice(
        pruned="the number of pruned entries, sparsity times all, is rounded",
        kept="the number of kept entries, (1 - sparsity) times all, is rounded",
        kept_float32=by("as kept, but 1 - sparsity and the product are taken in float32", "jaxpruner"),
        kept_percentile=by(
            "the threshold is the k-th largest, k the number of kept entries rounded, and is pruned itself", "ACDC"
        ),
    ),
]


def rounded(value: float, rule: str) -> int:
    """A whole number from a float by a member of `Rounding`.

    Raises:
        ArgumentError: the value is not finite.
    """
    if not math.isfinite(value):
        raise bad_argument("value", value, "a finite number")
    base = rule.removesuffix("_plus_one")
    if rule.endswith("_minus_one"):
        return rounded(value, rule.removesuffix("_minus_one")) - 1
    extra = 1 if rule.endswith("_plus_one") else 0
    if base == "half_even":
        return round(value) + extra
    return (math.floor(value) if base == "floor" else math.ceil(value)) + extra


def kept(size: int, sparsity: float, rounding: str, counted: str, at_least: int = 0) -> int:
    """How many of ``size`` entries are kept at a sparsity, between ``at_least`` (if there are as many) and all.

    Args:
        size: how many there are.
        sparsity: the fraction to prune, 0 to 1.
        rounding: a member of `Rounding`.
        counted: a member of `Counted`.
        at_least: the fewest that are kept.
    """
    if counted == "pruned":
        number = size - rounded(sparsity * size, rounding)
    elif counted == "kept":
        number = rounded((1.0 - sparsity) * size, rounding)
    elif counted == "kept_float32":
        number = rounded(float((np.float32(1.0) - np.float32(sparsity)) * np.float32(size)), rounding)
    else:
        number = rounded((1.0 - sparsity) * size, rounding) - 1
    return min(max(number, at_least, 0), size)
