"""How far results are from the truth: their distances in units in the last place, counted."""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.oracle.acceptance.judgement import OUTSIDE, UNDECIDED, Judged

#: upper ends of the bins, in ulps of the truth, each end in its own bin; a wrong class, such as NaN, is in the last
ENDS: tuple[float, ...] = (0.0, 0.5, *(2.0**k for k in range(0, 25)), math.inf)
_ENDS = np.asarray(ENDS)

#: binades of the truth that are counted together
BINADES = 16


@dataclass(frozen=True)
class Binades:
    """The elements whose truth has a magnitude from ``2**low`` on, and below ``2**(low + BINADES)``."""

    low: int
    count: int
    outside: int
    #: the largest distance in ulps; infinite where a class is wrong
    largest: float

    def __add__(self, other: Binades) -> Binades:
        return Binades(
            self.low, self.count + other.count, self.outside + other.outside, max(self.largest, other.largest)
        )


@dataclass(frozen=True)
class Errors:
    """The elements of one tensor by their distance from the truth.

    ``bins`` counts all that are decided, by `ENDS`, and ``outside`` those of them outside their acceptance sets;
    ``magnitudes`` has them by the magnitude of the truth, zero and subnormal numbers in the lowest.
    """

    bins: tuple[int, ...] = (0,) * len(ENDS)
    outside: tuple[int, ...] = (0,) * len(ENDS)
    magnitudes: Mapping[int, Binades] = field(default_factory=dict)

    def __add__(self, other: Errors) -> Errors:
        merged = dict(self.magnitudes)
        for low, found in other.magnitudes.items():
            merged[low] = merged[low] + found if low in merged else found
        return Errors(_sum(self.bins, other.bins), _sum(self.outside, other.outside), dict(sorted(merged.items())))


def _sum(one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(map(operator.add, one, other))


def measure(judged: Judged, values: np.ndarray, dtype: Any) -> Errors:
    """The distances of values of a dtype from the truth, where the truth is one number."""
    status, wide, truth = judged.status.ravel(), values.astype(np.float64).ravel(), np.ravel(judged.truth)
    decided = status != UNDECIDED
    if not decided.all():
        status, wide, truth = status[decided], wide[decided], truth[decided]
    wrong = np.flatnonzero(status == OUTSIDE)
    distance = distances(wide, truth, dtype)
    place = np.searchsorted(_ENDS, distance)
    facts = dtypes.format_of(dtype)
    # what is NaN counts with what is infinite
    size = np.maximum(np.fmin(np.abs(truth), facts.largest), facts.smallest_normal)
    group = (np.frexp(size)[1] - 1) // BINADES
    first = int(group.min(initial=0))
    group = group - first
    many = np.bincount(group)
    bad, largest = np.bincount(group[wrong], minlength=many.size), np.zeros(many.size)
    np.maximum.at(largest, group, distance)
    magnitudes = {
        (low := (number + first) * BINADES): Binades(low, int(many[number]), int(bad[number]), float(largest[number]))
        for number in np.flatnonzero(many).tolist()
    }
    return Errors(_counts(place), _counts(place[wrong]), magnitudes)


def distances(values: np.ndarray, truth: np.ndarray, dtype: Any) -> np.ndarray:
    """Each distance in units in the last place of the truth; infinite where one is NaN or infinite and the other not."""
    with np.errstate(all="ignore"):
        distance = np.abs(values - truth) / dtypes.ulp(truth, dtype)
    same = (values == truth) | (np.isnan(values) & np.isnan(truth))
    return np.where(same, 0.0, np.where(np.isfinite(distance), distance, math.inf))


def _counts(place: np.ndarray) -> tuple[int, ...]:
    return tuple(np.bincount(place, minlength=len(ENDS)).tolist())
