"""A number that is told by distances alone: on a grid, then by the golden section, then how far it reaches."""

from __future__ import annotations

import math
from collections.abc import Callable

from refgrad.oracle.hypotheses.crossings import edge
from refgrad.oracle.hypotheses.protocol import Late
from refgrad.oracle.hypotheses.recovered import UNDETERMINED, Recovered, shortest_decimal
from refgrad.rule import Range

#: what a number is told by where all results tell it together
ALL = "all"
#: a number is looked for over so many powers of two on either side of a claim, and then by so many bisections
OCTAVES, FINE = 8, 48
#: parts of a bounded range
PARTS = 32

#: from a value to how many elements are outside with it, and how far they are on a scale that grows slowly
Distance = Callable[[float], tuple[int, float]]


def recovered(name: str, claimed: float, legal: Range, distance: Distance, late: Late) -> Recovered | None:
    """The value with which nothing is outside, and the interval of such values; None if none is found, or in time.

    Args:
        name: of the number.
        claimed: what it is said to be; it is looked for around that, and all along a bounded range.
        legal: the values that it may have.
        distance: falls towards the value and rises beyond it.
        late: asked at each value of the grid.
    """

    def at(value: float) -> tuple[int, float]:
        return distance(value) if value in legal else (1 << 62, math.inf)

    start = claimed if claimed > 0 else 1.0
    grid = sorted({start * 2.0 ** (k / 2) for k in range(-2 * OCTAVES, 2 * OCTAVES + 1)} | _along(legal))
    far = []
    for value in grid:
        if late():
            return None
        far.append(at(value)[::-1])
    if len({each for each in far if math.isfinite(each[0])}) < 2:
        return None  # nothing depends on it
    best = min(range(len(grid)), key=far.__getitem__)
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
    fitting = next((v for v in (least(lambda v: at(v)[1], low, high), grid[best]) if at(v)[0] == 0), None)
    if fitting is None:
        return None
    ends = [edge(lambda v: at(v)[0] == 0, fitting, end, FINE) for end in (low, high)]
    told = claimed if ends[0] <= claimed <= ends[1] else shortest_decimal(ends[0], ends[1], fitting)
    determined = ends[0] * ends[1] > 0 and max(map(abs, ends)) < UNDETERMINED * min(map(abs, ends))
    return Recovered(name, ALL, claimed, told if at(told)[0] == 0 else fitting, ends[0], ends[1], determined)


def _along(legal: Range) -> set[float]:
    """Numbers along a bounded range."""
    if not (math.isfinite(legal.low) and math.isfinite(legal.high)):
        return set()
    return {legal.low + (legal.high - legal.low) * k / PARTS for k in range(1, PARTS)}


def least(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that falls and rises again is least, by the golden section."""
    ratio = (math.sqrt(5) - 1) / 2
    a, b = high - ratio * (high - low), low + ratio * (high - low)
    at_a, at_b = function(a), function(b)
    for _ in range(FINE):
        if at_a <= at_b:
            high, b, at_b = b, a, at_a
            a = high - ratio * (high - low)
            at_a = function(a)
        else:
            low, a, at_a = a, b, at_b
            b = low + ratio * (high - low)
            at_b = function(b)
    return a if at_a <= at_b else b
