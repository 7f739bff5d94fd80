"""A number that is told by distances alone: on a grid, then by the golden section, then how far it reaches."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from refgrad.oracle.hypotheses.protocol import Late
from refgrad.oracle.hypotheses.recovered import ALL, UNDETERMINED, Recovered, shortest_decimal
from refgrad.rule import Range

#: powers of two on either side of a claim at which a number is looked for, and powers of a thousand, which an eps may be off by
OCTAVES, THOUSANDS = 8, 2
#: inner points of a bounded range
PARTS = 16
#: golden sections, and halvings, which leave nothing of float64
GOLDEN, HALVINGS = 80, 52
#: so many golden sections at least must bring a run nearer by this much, else another thing is wrong besides
SECTIONS, NEARER = 4, 1e-3
#: how far a value that is shown, or known to fit, may reach, as a factor
REACH = 2.0
#: the ends of what fits are told to within this part of their distance from a value that does
CLOSE = 1e-4


@dataclass(frozen=True)
class Line:
    """A run as a function of one number.

    Attributes:
        name: of the number.
        claimed: what it is said to be.
        legal: the values that it may have.
        distance: from a value to how far elements are from their truths, on a scale that grows slowly.
        fits: True for a value with which nothing is outside.
        shown: the results that are wrong, where these are few: a floor or a constant shows itself, however far it is.
    """

    name: str
    claimed: float
    legal: Range
    distance: Callable[[float], float]
    fits: Callable[[float], bool]
    shown: tuple[float, ...] = ()

    def far(self, value: float) -> float:
        """The distance, infinite where a value is not legal."""
        return self.distance(value) if value in self.legal else math.inf

    def right(self, value: float) -> bool:
        """True if a value is legal and fits."""
        return value in self.legal and self.fits(value)


def recovered(line: Line, late: Late) -> Recovered | None:
    """The value with which nothing is outside, and the interval of such values; None if none is found, or in time.

    It is looked for among what is shown, then around what is claimed and all along a bounded range, where the distance falls
    towards it and rises beyond it.

    Args:
        line: the run as a function of the number.
        late: asked at each value of the grid.
    """
    shown = next((value for value in line.shown if not late() and line.right(value)), None)
    if shown is not None:
        return around(line, shown, *sorted((shown / REACH, shown * REACH)))
    grid, far = _grid(line), []
    for value in grid:
        if late():
            return None
        far.append(line.far(value))
    if len({each for each in far if math.isfinite(each)}) < 2:
        return None  # nothing depends on it
    best = min(range(len(grid)), key=far.__getitem__)
    beyond = [max(line.legal.low, grid[0] / 2.0), *grid, min(line.legal.high, grid[-1] * 2.0)]
    low, high = beyond[best], beyond[best + 2]
    fitting = next((v for v in _near(line, grid[best], low, high) if line.right(v)), None)
    return None if fitting is None else around(line, fitting, low, high)


def _near(line: Line, best: float, low: float, high: float) -> Iterator[float]:
    """Values that may fit: the best of a grid, where the distance is least, and decimals beside that."""
    yield best
    value = least(line.far, low, high, line.right)
    yield value
    yield from dict.fromkeys(float(f"{value:.{digits}g}") for digits in range(1, 16))


def around(line: Line, fitting: float, low: float, high: float) -> Recovered:
    """A number with a value that fits, as the interval of such values between two others."""
    low, high = (_end(line.right, fitting, end) for end in (low, high))
    told = line.claimed if low <= line.claimed <= high else shortest_decimal(low, high, fitting)
    determined = low * high > 0 and max(abs(low), abs(high)) < UNDETERMINED * min(abs(low), abs(high))
    return Recovered(line.name, ALL, line.claimed, told if line.right(told) else fitting, low, high, determined)


def _end(right: Callable[[float], bool], fitting: float, outside: float) -> float:
    """The last number that fits on the way from one that does."""
    if right(outside):
        return outside
    inside = fitting
    for _ in range(HALVINGS):
        if abs(outside - inside) <= CLOSE * abs(inside - fitting):
            break
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if right(middle) else (inside, middle)
    return inside


def _grid(line: Line) -> list[float]:
    """Numbers around what is claimed, and along a bounded range."""
    start, legal = line.claimed if line.claimed > 0 else 1.0, line.legal
    grid = {start * 2.0**k for k in range(-OCTAVES, OCTAVES + 1)}
    grid |= {start * 1000.0**k for k in range(-THOUSANDS, THOUSANDS + 1)}
    if math.isfinite(legal.low) and math.isfinite(legal.high):
        grid |= {legal.low + (legal.high - legal.low) * k / PARTS for k in range(1, PARTS)}
    return sorted(grid)


def least(
    function: Callable[[float], float], low: float, high: float, enough: Callable[[float], bool] = lambda value: False
) -> float:
    """Where a function that falls and rises again is least, by the golden section.

    It ends early at a value that is good enough, or where the function falls no more.
    """
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = function(a), function(b)
    before = math.inf
    for step in range(1, GOLDEN + 1):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = function(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = function(b)
        if step % SECTIONS == 0:
            now = max(at_a, at_b)  # the other may be near by chance
            if before - now < NEARER or enough(a if at_a <= at_b else b):
                break
            before = now
    return a if at_a <= at_b else b
