"""Running a graph with reductions: a compiled kernel a pass, and one between two passes for the few numbers there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from refgrad.arithmetic import folding
from refgrad.arithmetic.graph import Graph, Node
from refgrad.axes import EACH_COLUMN, EACH_ROW, ROW, TENSOR, Axes
from refgrad.backends import fold_source, kernels, numpy_backend, thread_pool
from refgrad.backends.between_source import Between, own_axes
from refgrad.backends.program import Program
from refgrad.backends.row_source import RowSource
from refgrad.backends.staged_source import PassSource


def run(program: Program, free: tuple[float, ...], arrays: Mapping[str, np.ndarray], count: int | None) -> None:
    """Overwrite the plan's outputs: for an optimizer ``p`` and the array slots with their values after the step."""
    plan = program.plan
    p = arrays[plan.rule.primary]
    if not p.size:
        numpy_backend.run(plan, free, arrays)
        return
    shape = (p.shape[0], math.prod(p.shape[1:])) if p.ndim else (1, 1)
    count = thread_pool.worth(p.size) if count is None else count
    rows = program.of_rows(shape)
    if rows is not None:
        _by_rows(rows, shape, arrays, plan.scalars(*free), count)
        return
    run = _Run(p, shape, arrays, plan.scalars(*free), count, {name: kernels.address(a) for name, a in arrays.items()})
    for piece in program.passes:
        run.small(piece)
        if piece.sweep.reductions or piece.arrays:
            run.sweep(piece)
    # copied first: what is given as one slot may be the result of another one
    small = {name: run.value(plan.graph, plan.graph.outputs[name]) for name in plan.graph.small}
    for name, value in small.items():
        arrays[name].reshape(-1)[...] = value


def _by_rows(
    rows: RowSource, shape: tuple[int, int], arrays: Mapping[str, np.ndarray], scalars: tuple[float, ...], count: int
) -> None:
    """One kernel for all passes, over shares of the rows."""
    kernel, at = kernels.get(rows.source), [kernels.address(arrays[name]) for name in rows.arrays]
    chunks = thread_pool.split(shape[0], count, 1)
    buffers = [np.empty(rows.buffer(shape[1]), rows.source.dtype) for _ in chunks]
    packed = [
        kernel.pack(i, i + size, shape[0] * shape[1], shape[1], *at, kernels.address(buffer), *scalars)
        for (i, size), buffer in zip(chunks, buffers, strict=True)
    ]
    thread_pool.run(kernel, packed, (arrays, buffers))


@dataclass(eq=False)
class _Run:
    """One run of a program.

    Args:
        p: the primary array.
        shape: the numbers of its rows, and of what a row has.
        arrays: all arrays that the rule is handed, by name.
        scalars: the graph's scalars, in order.
        count: how many threads.
        at: where these arrays begin.
        values: what is one number a row, a column or a tensor, as vectors, by the indices of nodes.
        places: where those vectors begin; truth values are zero and one in them.
        left: what the blocks of the last pass left of its reductions.
        held: what else must live as long as kernels may read it.
    """

    p: np.ndarray
    shape: tuple[int, int]
    arrays: Mapping[str, np.ndarray]
    scalars: tuple[float, ...]
    count: int
    at: dict[str, int]
    values: dict[int, np.ndarray] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    left: list[tuple[Node, np.ndarray, int]] = field(default_factory=list)
    held: list[np.ndarray] = field(default_factory=list)

    def length(self, axes: Axes) -> int:
        """How many numbers there are of what has such axes."""
        return 1 if axes == TENSOR else self.shape[0] if axes == ROW else self.shape[1]

    def value(self, graph: Graph, node: Node) -> np.ndarray:
        """A copy of what is one number a row, a column or a tensor, or of a scalar."""
        if node.op != "scalar":
            return self.values[node.index].copy()
        order = [n.index for n in graph.nodes if n.op == "scalar"]
        return np.full(1, self.scalars[order.index(node.index)], self.p.dtype)

    def small(self, piece: PassSource) -> None:
        """What is computed ahead of a pass."""
        for node in piece.sweep.before:
            if node.op == "input":
                self.values[node.index] = self.arrays[node.attribute].reshape(-1)
                self.places[node.index] = self.at[node.attribute]
        if piece.ahead is not None:
            self._between(piece.ahead)

    def _between(self, ahead: Between) -> None:
        for node, blocks, place in self.left:
            length = self.length(node.axes)
            self.values[node.index] = blocks if len(blocks) == length else blocks[:length]
            self.places[node.index] = place
        for node in ahead.arrays.vectors:
            room = self._room(node, self.length(node.args[0].axes))
            self.values[node.index] = room[: self.length(node.axes)]
            self.held.append(room)
        for node in ahead.arrays.kept:
            self.values[node.index] = self._room(node, self.length(own_axes(node)))
        at = [self.places[node.index] for node in ahead.arrays.nodes]
        kernels.get(ahead.source)(self.p.size, self.shape[1], *at, *[self.scalars[i] for i in ahead.scalars])

    def _room(self, node: Node, length: int) -> np.ndarray:
        """An array for what a kernel writes of a node."""
        room = np.empty(length, self.p.dtype)
        self.places[node.index] = kernels.address(room)
        return room

    def sweep(self, piece: PassSource) -> None:
        """One pass over the elements, in as many threads as are given."""
        sweep, kernel = piece.sweep, kernels.get(piece.source)
        at = [*map(self.at.__getitem__, piece.arrays), *(self.places[node.index] for node in sweep.small)]
        taken = [self.scalars[i] for i in piece.scalars]
        n, row_length = self.p.size, self.shape[1]
        if not sweep.reductions:
            chunks = thread_pool.split(n, self.count)
            thread_pool.run(kernel, [kernel.pack(i, i + size, n, row_length, *at, *taken) for i, size in chunks], self)
            return
        units, size = _blocks(sweep.over, *self.shape)
        left = [np.empty(size, self.p.dtype) for _ in sweep.reductions]
        into = list(map(kernels.address, left))
        chunks = thread_pool.split(units, self.count, 1)
        terms = fold_source.terms(sweep.over == EACH_COLUMN)
        buffers = [np.empty(len(left) * terms, self.p.dtype) for _ in chunks]
        packed = [
            kernel.pack(i, i + size, n, row_length, *at, kernels.address(buffer), *into, *taken)
            for (i, size), buffer in zip(chunks, buffers, strict=True)
        ]
        thread_pool.run(kernel, packed, (self, left, buffers))
        self.left = list(zip(sweep.reductions, left, into, strict=True))


def _blocks(over: Axes, rows: int, row_length: int) -> tuple[int, int]:
    """How many blocks a pass folds, and how many numbers they leave of each reduction."""
    if over == EACH_COLUMN:
        strips, row_blocks = -(-row_length // fold_source.STRIP), -(-rows // folding.BLOCK)
        return strips * row_blocks, row_blocks * row_length
    each, length = (rows, row_length) if over == EACH_ROW else (1, rows * row_length)
    blocks = each * -(-length // folding.BLOCK)
    return blocks, blocks
