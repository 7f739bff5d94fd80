"""A hyperparameter as the data tell it: the numbers that fit, and which of them is named."""

from __future__ import annotations

from dataclasses import dataclass

#: a value that may be wrong by this factor either way and still fits is not determined
UNDETERMINED = 1e3


@dataclass(frozen=True)
class Recovered:
    """A hyperparameter as the data tell it: ``value`` is the shortest decimal in ``[low, high]``, or the claimed one.

    ``output`` is the tensor that tells it ("all" for a rule without state); ``determined`` is True if the interval is narrower
    than a factor of a thousand.
    """

    name: str
    output: str
    claimed: float
    value: float
    low: float
    high: float
    determined: bool


def shortest_decimal(low: float, high: float, middle: float) -> float:
    """The number of the fewest decimal digits in an interval; the one nearest to the middle, if there are several."""
    for digits in range(1, 17):
        value = float(f"{middle:.{digits}g}")
        if low <= value <= high:
            return value
    return middle
