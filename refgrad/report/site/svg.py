"""Small pictures as SVG that takes its colours from the page around it, in light and dark."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

#: pixels of a panel, and around its frame
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 330, 230, 46, 10, 26, 30

Numbers = Sequence[float] | np.ndarray


@dataclass
class Panel:
    """Axes with what is drawn in them.

    Args:
        title: what stands above them.
        x: the ends of the horizontal axis.
        y: the ends of the vertical axis.
        parts: SVG elements, in the order in which they are drawn.
    """

    title: str
    x: tuple[float, float]
    y: tuple[float, float]
    parts: list[str] = field(default_factory=list)

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where a point lies, in pixels."""
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - TOP - BOTTOM)

    def line(self, xs: Numbers, ys: Numbers, kind: str = "curve") -> None:
        """A line through points; it is broken where a value is no number."""
        for run in _finite(np.asarray(xs, float), np.asarray(ys, float)):
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in _corners([self.at(a, b) for a, b in run]))
            self.parts.append(f'<polyline class="{kind}" points="{points}"/>')

    def dots(self, xs: Numbers, ys: Numbers, kind: str = "dot", radius: float = 2.2) -> None:
        """A dot at each point."""
        for a, b in zip(xs, ys, strict=True):
            x, y = self.at(float(a), float(b))
            self.parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>')

    def ellipse(self, a: float, b: float, degrees: float) -> None:
        """An ellipse around the origin, by its half axes; both axes of the panel have one scale then."""
        x, y = self.at(0, 0)
        scale = self.at(1, 0)[0] - x
        rise = y - self.at(0, 1)[1]
        self.parts.append(
            f'<ellipse class="level" rx="{a:.3f}" ry="{b:.3f}" '
            f'transform="matrix({scale:.3f} 0 0 {-rise:.3f} {x:.1f} {y:.1f}) rotate({degrees:g})"/>'
        )

    def text(self) -> str:
        """The panel as one SVG document, on one line."""
        ticks = "".join(self._ticks())
        across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
        frame = f'<rect class="frame" x="{LEFT}" y="{TOP}" width="{across}" height="{down}"/>'
        # a picture within is cut off at its edges
        place = f'x="{LEFT}" y="{TOP}" width="{across}" height="{down}" viewBox="{LEFT} {TOP} {across} {down}"'
        inside = f"<svg {place}>{''.join(self.parts)}</svg>"
        return _document(
            WIDTH,
            HEIGHT,
            self.title,
            f'<text class="title" x="{LEFT}" y="17">{escape(self.title)}</text>{ticks}{frame}{inside}',
        )

    def _ticks(self) -> Iterable[str]:
        for value in _round_numbers(*self.x):
            x, y = self.at(value, self.y[0])
            yield f'<line class="grid" x1="{x:.1f}" y1="{TOP}" x2="{x:.1f}" y2="{y:.1f}"/>'
            yield f'<text class="tick" text-anchor="middle" x="{x:.1f}" y="{y + 15:.1f}">{value:g}</text>'
        for value in _round_numbers(*self.y):
            x, y = self.at(self.x[0], value)
            yield f'<line class="grid" x1="{x:.1f}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}"/>'
            yield f'<text class="tick" text-anchor="end" x="{x - 5:.1f}" y="{y + 4:.1f}">{value:g}</text>'


def cells(title: str, mask: np.ndarray, side: int = 12) -> str:
    """A matrix of true and false as squares, full where it is true."""
    rows, columns = mask.shape
    inside = f'width="{side - 2}" height="{side - 2}"'
    drawn = [
        f'<rect class="{"kept" if mask[i, j] else "pruned"}" x="{j * side + 1}" y="{i * side + TOP + 1}" {inside}/>'
        for i in range(rows)
        for j in range(columns)
    ]
    head = f'<text class="title" x="0" y="17">{escape(title)}</text>'
    return _document(columns * side, rows * side + TOP, title, head + "".join(drawn))


def _document(width: int, height: int, title: str, inside: str) -> str:
    return (
        f'<svg class="rule-picture" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" role="img"><title>{escape(title)}</title>{inside}</svg>'
    )


def ends(values: np.ndarray) -> tuple[float, float]:
    """The ends of an axis that shows all values that are numbers, and zero beside them if it is near."""
    finite = np.asarray(values, float)[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    room = 0.06 * (high - low) or 0.5
    return low - room, high + room


def _finite(xs: np.ndarray, ys: np.ndarray) -> Iterable[list[tuple[float, float]]]:
    run: list[tuple[float, float]] = []
    for a, b in zip(xs, ys, strict=True):
        if np.isfinite(a) and np.isfinite(b):
            run.append((a, b))
        elif run:
            yield run
            run = []
    if run:
        yield run


def _corners(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The points of a line without those that lie, but for a tenth of a pixel, between the last one that is kept and the next."""
    kept = list(points[:1])
    for (x, y), (after, there) in itertools.pairwise(points[1:]):
        start, height = kept[-1]
        between = height + (there - height) * (x - start) / (after - start) if after != start else there
        if abs(y - between) > 0.1:
            kept.append((x, y))
    return [*kept, *points[-1:]] if len(points) > 1 else kept


def _round_numbers(low: float, high: float) -> list[float]:
    """Two to six round numbers within: multiples of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** np.floor(np.log10(high - low) - 1)
    step = next(power * factor for factor in (1, 2, 5, 10, 20, 50) if (high - low) / (power * factor) <= 6)
    return [float(f"{k * step:.12g}") for k in range(int(np.ceil(low / step)), int(np.floor(high / step)) + 1)]
