"""Outputs of large arrays, of which a kernel said where they are inside, and what judging an output adds up to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np

from refgrad.arithmetic.enclosed import SPARE, Enclosed
from refgrad.backends.screen_source import BINADES, BINS, groups_of
from refgrad.oracle.acceptance.chunks import CHUNK, Cut
from refgrad.oracle.acceptance.findings import Count, count, tightness
from refgrad.oracle.acceptance.judgement import UNDECIDED, Judged
from refgrad.oracle.acceptance.own_numbers import OwnNumbers
from refgrad.oracle.acceptance.ulp_errors import Binades, Errors, measure


class Summary(NamedTuple):
    """What judging one output adds up to.

    Attributes:
        counted: how many elements are inside, outside and undecided.
        undecided_nan: how many are undecided and NaN.
        tightest: the largest distance from the truth over half the width of what is acceptable, of what is decided.
        errors: the distances in units in the last place; None if they were not asked for.
    """

    counted: Count
    undecided_nan: int
    tightest: float
    errors: Errors | None

    def merged(self, other: Summary) -> Summary:
        """That of both together.

        Args:
            other: the same of other elements, with errors where this one has them.
        """
        errors = None if self.errors is None or other.errors is None else self.errors + other.errors
        nan, tightest = self.undecided_nan + other.undecided_nan, max(self.tightest, other.tightest)
        return Summary(self.counted + other.counted, nan, tightest, errors)


def summary(judged: Judged, values: np.ndarray, unit: np.dtype | None = None, measured: bool = True) -> Summary:
    """What judging one output adds up to.

    Args:
        judged: the output.
        values: what was seen, shaped like the statuses.
        unit: the dtype whose units in the last place distances are counted in; None if they are not counted.
        measured: whether to look for the largest distance over what is acceptable.

    Returns:
        The sums.
    """
    if isinstance(judged, Screened) and (unit is None or unit == judged.dtype):
        return judged.summary(unit is not None, measured)
    if isinstance(judged, OwnNumbers) and (unit is None or judged.can_count(unit)):
        return Summary(Count(values.size, 0, 0), 0, 0.0, None if unit is None else judged.errors(unit))
    if judged.status.size > CHUNK and judged.status.shape == values.shape:
        return _summed(judged, values, unit, measured)
    return _at_once(judged, values, unit, measured)


def _at_once(judged: Judged, values: np.ndarray, unit: np.dtype | None, measured: bool) -> Summary:
    undecided = judged.status == UNDECIDED
    nan = int(np.count_nonzero(undecided & np.isnan(values.astype(np.float64)))) if undecided.any() else 0
    largest = tightness(judged, values) if measured else 0.0
    return Summary(count(judged), nan, largest, None if unit is None else measure(judged, values, unit))


def _summed(judged: Judged, values: np.ndarray, unit: np.dtype | None, measured: bool) -> Summary:
    """`summary` of a large output, chunk by chunk: its temporaries are as large as a chunk."""
    cut, arrays = Cut.of(values.shape, CHUNK), judged.parts()
    found: Summary | None = None
    for chunk in cut.chunks():
        status, truth, low, high = (cut.part(a, chunk) for a in arrays[:4])
        each = _at_once(Judged(status, truth, low, high), cut.part(values, chunk), unit, measured)
        found = each if found is None else found.merged(each)
    assert found is not None
    return found


@dataclass(eq=False)
class Screen:
    """What the kernel said of one step.

    Attributes:
        clear: by chunk whether all of its elements are inside.
        rough, worst: by chunk and output the largest distance over what is allowed: of elements where that may be less by the
            output's loss, and of those where it is exact.
        counts: by output, group of binades and bin how many elements of clear chunks there are.
        largest: by output and group their largest distance in units in the last place.
        size, chunk: how many elements there are, and in a chunk.
        careful: a chunk's outputs, judged as small arrays are.
    """

    found: Enclosed
    clear: np.ndarray
    rough: np.ndarray
    worst: np.ndarray
    counts: np.ndarray
    largest: np.ndarray
    size: int
    chunk: int
    careful: Callable[[int], dict[str, Judged]]
    #: clear chunks whose ends are told otherwise, as they are judged together with others that are not
    beside: frozenset[int] = frozenset()
    _known: dict[int, dict[str, Judged]] = field(default_factory=dict)

    @cached_property
    def unclear(self) -> tuple[int, ...]:
        """The chunks that are judged as small arrays are."""
        return tuple(np.flatnonzero(~self.clear).tolist())

    def judged(self, chunk: int) -> dict[str, Judged]:
        """The outputs of a chunk, judged as small arrays are; of those that are not clear they are kept."""
        if chunk not in self._known:
            found = self.careful(chunk)
            if self.clear[chunk]:
                return found
            self._known[chunk] = found
        return self._known[chunk]


class Screened(Judged):
    """One output of a large array: what it adds up to is known, and its arrays are worked out when they are asked for."""

    def __init__(self, screen: Screen, name: str, values: np.ndarray, dtype: np.dtype | None = None) -> None:
        own = values.dtype if dtype is None else dtype
        for attribute, value in (("screen", screen), ("name", name), ("values", values), ("dtype", own)):
            object.__setattr__(self, attribute, value)

    screen: Screen
    name: str
    values: np.ndarray
    #: that in whose units in the last place distances are counted
    dtype: np.dtype

    @cached_property
    def status(self) -> np.ndarray:  # type: ignore[override]
        """`INSIDE`, `OUTSIDE` or `UNDECIDED`, of each element."""
        found = np.zeros(self.screen.size, np.uint8)
        for chunk in self.screen.unclear:
            found[self._cut(chunk)] = self._of(chunk).status.reshape(-1)
        return found.reshape(self.values.shape)

    @property
    def truth(self) -> np.ndarray:  # type: ignore[override]
        """The centre of each element's set."""
        return self._whole("truth")

    @property
    def low(self) -> np.ndarray:  # type: ignore[override]
        """The least that is acceptable."""
        return self._whole("low")

    @property
    def high(self) -> np.ndarray:  # type: ignore[override]
        """The largest that is acceptable."""
        return self._whole("high")

    def at(self, index: tuple[int, ...]) -> tuple[float, float, float]:
        """Of one element the truth and the ends."""
        place = int(np.ravel_multi_index(index, self.values.shape))
        found, inner = self._of(place // self.screen.chunk), place % self.screen.chunk
        return tuple(float(a.reshape(-1)[inner]) for a in (found.truth, found.low, found.high))  # type: ignore[return-value]

    def summary(self, counted: bool, measured: bool) -> Summary:
        """See `summary`; what the kernel said of the clear chunks, and the others judged."""
        screen, unit = self.screen, self.dtype if counted else None
        total = [summary(self._of(k), self._seen(k), unit, measured) for k in screen.unclear]
        few = sum((each.counted for each in total), Count())
        counts = Count(screen.size - few.total, 0, 0) + few
        largest = self._tightest(max((each.tightest for each in total), default=0.0)) if measured else 0.0
        errors = sum((e.errors for e in total if e.errors is not None), self._errors()) if counted else None
        return Summary(counts, sum(each.undecided_nan for each in total), largest, errors)

    def _tightest(self, known: float) -> float:
        """The largest distance over what is allowed; chunks where the kernel has it only nearly are judged, if need be."""
        screen, j = self.screen, self._place
        usual = screen.clear.copy()
        usual[list(screen.beside)] = False
        rough, worst = (np.where(usual, a[:, j], 0.0) for a in (screen.rough, screen.worst))
        known = max(known, float(worst.max(initial=0.0)))
        known = max([known, *(tightness(self._of(k), self._seen(k)) for k in screen.beside)])
        most = rough / (1.0 - screen.found.losses[self.name] - SPARE) * (1.0 + 2.0**-20)
        for chunk in np.argsort(-most).tolist():
            if not most[chunk] > known:
                break
            known = max(known, tightness(self._of(chunk), self._seen(chunk)))
        return known

    def _errors(self) -> Errors:
        """The distances of the clear chunks."""
        counts, largest = self.screen.counts[self._place], self.screen.largest[self._place]
        first, rooms = groups_of(self.dtype)
        magnitudes = {}
        for group in range(rooms):
            many = int(counts[group].sum())
            if many:
                low = (group + first) * BINADES
                magnitudes[low] = Binades(low, many, 0, float(largest[group]))
        return Errors(tuple(counts.sum(axis=0)[:BINS].tolist()), magnitudes=magnitudes)

    @property
    def _place(self) -> int:
        return self.screen.found.names.index(self.name)

    def _cut(self, chunk: int) -> slice:
        return slice(chunk * self.screen.chunk, (chunk + 1) * self.screen.chunk)

    def _seen(self, chunk: int) -> np.ndarray:
        """What was seen in a chunk, shaped as it was judged."""
        return self.values.reshape(-1)[self._cut(chunk)].reshape(self._of(chunk).status.shape)

    def _of(self, chunk: int) -> Judged:
        return self.screen.judged(chunk)[self.name]

    def _whole(self, field_: str) -> np.ndarray:
        parts = (getattr(self._of(k), field_).reshape(-1) for k in range(len(self.screen.clear)))
        return np.concatenate(list(parts)).reshape(self.values.shape)
