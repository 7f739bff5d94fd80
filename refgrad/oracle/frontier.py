"""The least tolerances of the form atol + rtol |expected| that cover given distances: a curve, not a number.

Each element asks for ``distance <= atol + rtol * size``, which is half a plane of pairs (rtol, atol). What all ask for together
is a convex region, and the elements that shape its edge are the upper hull of the points (size, distance): few of many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal

import numpy as np

#: points of which all are sorted
FEW = 256

#: a pair: rtol, atol
Pair = tuple[float, float]

#: comparisons of this form that tests use, with the pair that each takes of float32 where nothing is said
TOLERANCES: Mapping[str, Pair] = {
    "numpy.allclose": (1e-5, 1e-8),
    "numpy.testing.assert_allclose": (1e-7, 0.0),
    "torch.testing.assert_close": (1.3e-6, 1e-5),
    "chex.assert_trees_all_close": (1e-6, 0.0),
}


@dataclass(frozen=True)
class Frontier:
    """The pairs of rtol and atol that cover some elements.

    Args:
        points: pairs of a size and a distance, the sizes and the distances ascending, on their upper hull.
    """

    points: tuple[tuple[float, float], ...] = ()

    def atol(self, rtol: float) -> float:
        """The least atol beside an rtol; infinite if none is large enough.

        >>> Frontier(((1.0, 2.0), (10.0, 3.0))).atol(0.1)
        2.0
        """
        return max([0.0, *(d - rtol * s for s, d in self.points)])

    def covered(self, rtol: float, atol: float) -> bool:
        """True if every element lies within a pair."""
        return all(d <= atol + rtol * s for s, d in self.points)

    def corners(self) -> list[Pair]:
        """The corners of the curve, from no rtol at all to the least atol that there is."""
        if not self.points:
            return [(0.0, 0.0)]
        found = [(0.0, self.points[-1][1])]
        for (s, d), (more, further) in zip(self.points[-2::-1], self.points[:0:-1], strict=True):
            rtol = (further - d) / (more - s)
            if d - rtol * s > 0.0:
                found.append((rtol, d - rtol * s))
        ends = [d / s if s else math.inf for s, d in self.points if d]
        if ends and max(ends) < math.inf:
            found.append((max(ends), 0.0))
        return found


def frontier(sizes: np.ndarray, distances: np.ndarray) -> Frontier:
    """The frontier of some elements.

    Args:
        sizes: the magnitudes of what is expected, finite, of any shape.
        distances: how far each may be from it, like the sizes; infinite where no tolerance covers it.
    """
    sizes, distances = sizes.ravel(), distances.ravel()
    kept = distances > 0.0
    sizes, distances = sizes[kept], distances[kept]
    if not np.isfinite(distances).all():
        return Frontier(((0.0, math.inf),))
    above = _above(sizes, distances)
    sizes, distances = sizes[above], distances[above]
    order = np.lexsort((-distances, sizes))
    sizes, distances = sizes[order], distances[order]
    before = np.concatenate([[0.0], np.maximum.accumulate(distances)[:-1]])
    hull: list[tuple[float, float]] = []
    for s, d in zip(sizes[distances > before].tolist(), distances[distances > before].tolist(), strict=True):
        while len(hull) > 1 and _below(hull[-2], hull[-1], (s, d)):
            hull.pop()
        hull.append((s, d))
    return Frontier(tuple(hull))


def together(parts: Sequence[Frontier]) -> Frontier:
    """The frontier of the elements of several."""
    points = np.asarray([p for part in parts for p in part.points], np.float64).reshape(-1, 2)
    return frontier(points[:, 0], points[:, 1])


def rounded_up(value: float) -> float:
    """The least number of two digits that is not below a value.

    >>> rounded_up(1.2345e-06), rounded_up(0.0)
    (1.3e-06, 0.0)
    """
    return float(Context(prec=2, rounding=ROUND_CEILING).create_decimal(Decimal(value)))


def _above(sizes: np.ndarray, distances: np.ndarray) -> np.ndarray:
    """Which points are not below the hull of a few of them that are looked for at once: all that the hull can have, and few."""
    if distances.size < FEW:
        return np.ones(distances.shape, bool)
    with np.errstate(over="ignore", invalid="ignore"):
        slopes = distances.max() / (sizes.max() or 1.0) * np.exp2(np.arange(-8.0, 64.0, 4.0))
        chosen = {int(np.argmax(distances)), *(int(np.argmax(distances - slope * sizes)) for slope in slopes)}
    known = frontier(sizes[list(chosen)], distances[list(chosen)]).points
    s, d = np.asarray(known).T
    on_it = np.isin(np.arange(sizes.size), list(chosen))
    return on_it | (distances > np.interp(sizes, s, d, left=-1.0))


def _below(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """True if the middle one of three points lies on or below the line between the others."""
    return (b[1] - a[1]) * (c[0] - a[0]) <= (c[1] - a[1]) * (b[0] - a[0])
