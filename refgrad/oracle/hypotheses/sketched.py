"""What is wrong under a hypothesis beyond doubt: results in float64, held against the sets that they have under the claim.

A hypothesis has acceptance sets of its own, and to find them costs a hundred times what its results alone cost. Where most
elements are a thousand half-widths of the claim's sets away, no set that is of use takes them in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.oracle.acceptance import judgement
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.acceptance.judgement import Judged

#: half-widths of the claim's sets beyond which an element is not there because a hypothesis has wider sets
BEYOND = 1e3
#: the share of such elements with which a hypothesis is wrong: of a run that was followed, whose sets grow from step to step,
#: and of steps that are judged by themselves, where wide sets and open decisions are of few elements
MANY, FEW = 0.4, 0.1


@dataclass(frozen=True, eq=False)
class Sets:
    """The half-widths of the acceptance sets of one tensor, and where they say something of what was observed."""

    half: np.ndarray
    usable: np.ndarray
    observed: np.ndarray

    @classmethod
    def of(cls, judged: Judged, observed: np.ndarray) -> Sets:
        """Those of a tensor that was judged."""
        values = observed.astype(np.float64)
        with np.errstate(all="ignore"):
            half = (judged.high - judged.low) / 2
            usable = np.isfinite(half) & (half > 0) & np.isfinite(values) & np.isfinite(judged.truth)
        return cls(half, usable & (judged.status != judgement.UNDECIDED), values)

    @classmethod
    def stacked(cls, parts: Sequence[Sets], order: Sequence[int]) -> Sets:
        """Those of several steps each, along the first axis, by the steps' order."""
        place = np.argsort(order)
        joined = (np.concatenate([getattr(part, field) for part in parts])[place] for field in cls.__annotations__)
        return cls(*joined)

    def blunted(self, unit: np.dtype) -> Sets:
        """Those that are at least as wide as a rounding of what was observed, which another hypothesis makes of larger terms."""
        with np.errstate(all="ignore"):
            half = np.maximum(self.half, np.abs(self.observed) * float(dtypes.ulp(np.asarray(1.0), unit)))
        return Sets(half, self.usable, self.observed)

    def rows(self, rows: Sequence[int]) -> Sets:
        """Those of some steps."""
        return Sets(self.half[list(rows)], self.usable[list(rows)], self.observed[list(rows)])

    def distances(self, values: np.ndarray) -> np.ndarray:
        """How far results are from what was observed, in half-widths, of the elements of which that says something."""
        with np.errstate(all="ignore"):
            ratio = (np.broadcast_to(values, self.observed.shape) - self.observed) / self.half
        return np.nan_to_num(np.clip(ratio[self.usable], -1e9, 1e9), nan=1e9)


def hopeless(distances: Sequence[np.ndarray], share: float) -> bool:
    """True if so many elements are so far away that the hypothesis is wrong, however wide its own sets are."""
    beyond = sum(int(np.count_nonzero(np.abs(each) > BEYOND)) for each in distances)
    return beyond > share * sum(map(len, distances))


def counted(distances: np.ndarray) -> Count:
    """The elements inside and outside, about."""
    outside = int(np.count_nonzero(np.abs(distances) > 1.0))
    return Count(len(distances) - outside, outside, 0)
