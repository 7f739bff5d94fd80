"""Hyperparameters that reach a tensor through signs and comparisons alone: the values with which no decision is wrong.

Such a hyperparameter moves nothing until a decision of some element turns over. Where that happens is found for each
decision and element; between these crossing points an element is right or wrong, and the values with which the fewest
are wrong are left. The judge has the last word on them, and finds how far they reach.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import scalar_math
from refgrad.arithmetic.graph import Graph, Node, walk
from refgrad.arithmetic.rewriting import Edit
from refgrad.oracle.hypotheses.residuals import Problem, Segment
from refgrad.oracle.inputs.decision_boundaries import COMPARED
from refgrad.rule import Range

#: halvings of an interval at whose ends a decision differs, which leave nothing of float64, or of what a judge can tell
HALVINGS, EDGES = 60, 24
#: crossing points of one decision that are looked for in one element
CROSSINGS = 3
#: how often the values that are tried draw closer
ZOOMS = 5
#: where other values are known roughly, elements this many times as far as most are wrong; and where they are known better
SLACKS = (30.0, 5.0)


def value_of(problem: Problem, name: str, values: Mapping[str, float], slack: float = 0.0) -> float | None:
    """The middle of the values of a name with which the fewest elements are wrong, the others being as they are said to be.

    Elements are wrong that are outside their sets; where the others are known roughly, those that are ``slack`` times as
    far as most.
    """
    legal = problem.rule.range_of(name)
    if not isinstance(legal, Range):
        return None
    names = {**problem.base, **values}
    most = max(1.0, slack * float(np.median(np.abs(problem.residuals(values)))))
    low, high = _reach(legal, problem.numbers[name])
    if not problem.segments:
        return _scanned(problem, name, values, most, (low, high))
    parts = [part for s in problem.segments for part in _wrong(s, name, names, (low, high), most)]
    starts, ends = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    return _middle(starts, ends, low, high)


def _scanned(problem: Problem, name: str, values: Mapping[str, float], most: float, ends: tuple[float, float]) -> float:
    """The same by trying values, ever closer: where state is hidden, a decision tells of all steps before it."""

    def wrong(value: float) -> int:
        return int(np.count_nonzero(np.abs(problem.residuals({**values, name: value})) > most))

    grid = _grid(*ends)
    for _ in range(ZOOMS):
        counts = np.asarray([wrong(float(value)) for value in grid])
        best = np.flatnonzero(counts == counts.min())
        low, high = grid[max(best[0] - 1, 0)], grid[min(best[-1] + 1, len(grid) - 1)]
        middle = float(grid[best].mean())
        grid = np.linspace(low, high, 16)
    return middle


def interval(problem: Problem, name: str, value: float, values: Mapping[str, float]) -> tuple[float, float]:
    """How far a value that fits may be moved, to both sides, before an element is outside."""
    low, high = _reach(problem.rule.range_of(name), value)

    def fits(moved: float) -> bool:
        return problem.fits({**values, name: moved})

    return tuple(sorted(_end(fits, value, limit) for limit in (low, high)))  # type: ignore[return-value]


def edge(fits: Callable[[float], bool], inside: float, outside: float, halvings: int = EDGES) -> float:
    """The last number that fits on the way from one that does."""
    if fits(outside):
        return outside
    for _ in range(halvings):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if fits(middle) else (inside, middle)
    return inside


def _end(fits: Callable[[float], bool], value: float, limit: float) -> float:
    """The end of what fits between a value and a limit; steps towards the limit grow, so that few are taken."""
    inside, step = value, (limit - value) * 2.0**-24
    while abs(step) < abs(limit - value):
        if not fits(value + step):
            return edge(fits, inside, value + step)
        inside, step = value + step, step * 4.0
    return edge(fits, inside, limit)


def _reach(legal: Any, value: float) -> tuple[float, float]:
    """The values of a range that are looked at: all that are legal, as far as float64 has them."""
    low = legal.low if np.isfinite(legal.low) else -1e6 * max(abs(value), 1.0)
    high = legal.high if np.isfinite(legal.high) else 1e6 * max(abs(value), 1.0)
    room = 2.0**-53 * (high - low if np.isfinite(legal.high) else max(abs(value), 1.0))
    return low + room * legal.open_low, high - room * legal.open_high


def _grid(low: float, high: float) -> np.ndarray:
    """Values from end to end, dense at both."""
    near = np.concatenate([[0.0], np.exp2(np.arange(-24, -1, 2.0)), np.arange(0.3, 0.5, 0.05)])
    return low + (high - low) * np.unique(np.concatenate([near, [0.5], 1.0 - near]))


def _wrong(
    segment: Segment, name: str, names: Mapping[str, float], ends: tuple[float, float], most: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The intervals of a name's values within which elements are wrong: where they start, and where they end."""
    found = [c for graph in _margins(segment.graph, name) for c in _crossings(segment, graph, name, names, ends)]
    shape = segment.observed.shape
    if segment.graph.couples():  # the decisions of all elements reach each of them
        lead = shape[: segment.batch]
        flat = [c.reshape(*lead, -1) for c in found]
        own = np.moveaxis(np.concatenate(flat, axis=-1), -1, 0) if flat else np.zeros((0, *lead))
        points = own.reshape(*own.shape, *(1,) * (len(shape) - len(lead)))
    else:
        points = np.stack([np.broadcast_to(c, shape) for c in found]) if found else np.zeros((0, *shape))
    points = np.sort(np.nan_to_num(points, nan=ends[1]), axis=0)
    unit = points.shape[1:]
    bounds = [np.full(unit, ends[0]), *points, np.full(unit, ends[1])]
    for start, end in itertools.pairwise(bounds):
        if not (start < end).any():
            continue
        wrong = np.abs(segment.distance({**names, name: (start + end) / 2})) > most
        if unit != shape:
            wrong = wrong.any(axis=tuple(range(segment.batch, len(shape))), keepdims=True)
        wrong &= start < end
        yield start[wrong], end[wrong]


def _margins(graph: Graph, name: str) -> Iterator[Graph]:
    """What each decision that a name reaches compares to zero, as a graph of its own."""
    for node in graph.nodes:
        compared = node.op in COMPARED and node.is_boolean
        if (node.op == "sign" or compared) and any(_reads(n, name) for n in walk(node)):
            edit = Edit()
            for each in walk(node):
                if each is not node:
                    edit.new[each.index] = edit.copy(each, tuple(edit.new[a.index] for a in each.args))
            operands = [edit.new[a.index] for a in node.args]
            margin = operands[0] if node.op == "sign" else edit.op("sub", *operands)
            yield Graph(edit.builder.live({"margin": margin}), {"margin": margin}, {}, (), {})


def _reads(node: Node, name: str) -> bool:
    return node.op == "scalar" and name in scalar_math.names_in(node.attribute)


def _crossings(
    segment: Segment, graph: Graph, name: str, names: Mapping[str, float], ends: tuple[float, float]
) -> Iterator[np.ndarray]:
    """The values of a name at which a margin changes sign, element by element; NaN where it does not."""

    def sign(value: float | np.ndarray) -> np.ndarray:
        return np.sign(segment.evaluated(graph, {**names, name: value})["margin"])

    grid = _grid(*ends)
    signs = np.stack(np.broadcast_arrays(*(sign(float(value)) for value in grid)))
    changes = signs[:-1] != signs[1:]
    changes &= ~np.isnan(signs[:-1]) & ~np.isnan(signs[1:])
    for _ in range(CROSSINGS):
        if not changes.any():
            return
        first = np.argmax(changes, axis=0)
        there = np.take_along_axis(changes, first[None], 0)[0]
        low, high = grid[first], grid[first + 1]
        before = np.take_along_axis(signs, first[None], 0)[0]
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            still = sign(middle) == before
            low, high = np.where(still, middle, low), np.where(still, high, middle)
        yield np.where(there, (low + high) / 2, np.nan)
        np.put_along_axis(changes, first[None], False, 0)


def _middle(starts: np.ndarray, ends: np.ndarray, low: float, high: float) -> float:
    """The middle of the widest interval in which the fewest of some intervals overlap."""
    places = np.concatenate([[low, high], starts, ends])
    steps = np.concatenate([[0, 0], np.ones(len(starts), int), -np.ones(len(ends), int)])
    order = np.argsort(places, kind="stable")
    count, at = np.cumsum(steps[order])[:-1], places[order]
    widths = np.where(np.diff(at) > 0, np.diff(at), 0.0)
    fewest = np.min(count[widths > 0])
    best = int(np.argmax(np.where(count == fewest, widths, -1.0)))
    return float((at[best] + at[best + 1]) / 2)
