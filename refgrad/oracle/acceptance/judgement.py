"""What a judgement says of each element: inside, outside or undecided; and how judgements of several ways become one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from refgrad.arithmetic.enclosure import within

#: what `Judged` is made of
Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]

INSIDE, OUTSIDE, UNDECIDED = np.uint8(0), np.uint8(1), np.uint8(2)
#: what is taken of either of two judgements
FIELDS = ("status", "truth", "low", "high")


@dataclass(frozen=True)
class Judged:
    """One output of one step, judged element by element; all arrays have the shape of the output.

    Attributes:
        status: `INSIDE`, `OUTSIDE` or `UNDECIDED`, uint8.
        truth: the centre of the acceptance set that decided it, float64.
        low, high: the ends of that set, float64, on the grid of the output's dtype.
        no_number: where no program gives a number, as far as that was looked at (`refgrad.oracle.acceptance.no_numbers`).
    """

    status: np.ndarray
    truth: np.ndarray
    low: np.ndarray
    high: np.ndarray
    no_number: np.ndarray | None = None

    def parts(self) -> Parts:
        """All that it is made of, in order."""
        return self.status, self.truth, self.low, self.high, self.no_number

    def at(self, index: tuple[int, ...]) -> tuple[float, float, float]:
        """Of one element the truth and the ends.

        Args:
            index: that of the element.

        Returns:
            The truth, the least and the largest that is acceptable.
        """
        return float(self.truth[index]), float(self.low[index]), float(self.high[index])


def outside(judged: Iterable[Judged]) -> int:
    """The number of elements that are outside.

    Args:
        judged: outputs, each of any shape.

    Returns:
        The number.
    """
    return sum(int((j.status == OUTSIDE).sum()) for j in judged)


def undecide(judged: Judged, open_: np.ndarray | None) -> Judged:
    """An output's elements that another decision may change: undecided rather than inside.

    Args:
        judged: the output on one way through the decisions.
        open_: the elements at which a decision that it depends on was open (`Branch.open`); None if there is no such decision.

    Returns:
        The output with other statuses; itself if nothing was open.
    """
    if open_ is None:
        return judged
    marks = within(open_, judged.status.shape)
    status = np.where(marks & (judged.status == INSIDE), UNDECIDED, judged.status)
    return Judged(status, judged.truth, judged.low, judged.high)


def admitted(judged: Judged) -> Judged:
    """An output of which nothing is undecided: what some program gives is inside.

    Args:
        judged: the output.

    Returns:
        The output with other statuses.
    """
    return Judged(np.where(judged.status == UNDECIDED, INSIDE, judged.status), *judged.parts()[1:])


def met(judged: Judged, values: np.ndarray) -> Judged:
    """An output where an infinity was handed in: it is NaN or infinite where the rule's own is, or NaN in its place.

    `a + b (g - a)`, `x + (hard - x)` and products with a mask make NaN of an infinity of which other forms of the same number
    make none. What is a number and should be none, or another number, stays outside.

    Args:
        judged: the output.
        values: what was seen, shaped like the statuses.

    Returns:
        The output with other statuses.
    """
    seen = np.isnan(values) | (np.isinf(values) & np.isnan(judged.truth))
    status = np.where((judged.status == OUTSIDE) & seen, INSIDE, judged.status)
    return Judged(status, *judged.parts()[1:])  # of large arrays the arrays are not made yet


def union(known: dict[str, Judged] | None, new: dict[str, Judged]) -> dict[str, Judged]:
    """What either of two ways explains: element by element, the way with fewer outputs outside; of equals the known one.

    One way must explain all outputs of an element, so that all are taken from the same one. An output that is one number a
    row, a column or a tensor is taken from the new way where any of its elements is.

    Args:
        known: all outputs on the ways before; None if there were none.
        new: the same outputs on one more.

    Returns:
        All outputs, by name; the new ones if there were none before.
    """
    if known is None:
        return new
    worse = sum((known[n].status == OUTSIDE).astype(np.int8) for n in known)
    fewer = np.asarray(sum((new[n].status == OUTSIDE).astype(np.int8) for n in new) < worse)
    return {n: either(known[n], new[n], within(fewer, new[n].status.shape)) for n in new}


def either(known: Judged, new: Judged, better: np.ndarray) -> Judged:
    """One output of either of two ways, element by element.

    Args:
        known: the output on one way.
        new: the same on another.
        better: where it is taken from that one.

    Returns:
        The output. Where both refuse what was seen, and one of them admits NaN and the other numbers, the truth is NaN and the
        ends are those of the numbers, so that all that is admissible can be told.
    """
    taken = Judged(*(np.where(better, getattr(new, f), getattr(known, f)) for f in FIELDS))
    nan = np.isnan(known.truth) != np.isnan(new.truth)
    if not nan.any():
        return taken
    at = nan & (known.status == OUTSIDE) & (new.status == OUTSIDE)
    low = np.where(at, np.where(np.isnan(known.low), new.low, known.low), taken.low)
    high = np.where(at, np.where(np.isnan(known.high), new.high, known.high), taken.high)
    truth = np.where(at, np.nan, taken.truth)
    return Judged(taken.status, truth, low, high)
