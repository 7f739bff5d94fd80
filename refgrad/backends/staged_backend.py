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
        by_rows(rows, p.size, shape[1], arrays, plan.scalars(*free), count)
        return
    run = Run(program.passes[0].source.dtype, shape, arrays, plan.scalars(*free), count)
    for name, value in run.through(program).items():
        arrays[name].reshape(-1)[...] = value


def by_rows(
    rows: RowSource,
    size: int,
    row_length: int,
    arrays: Mapping[str, np.ndarray],
    scalars: tuple[float, ...],
    count: int | None,
) -> None:
    """One kernel for all passes, over shares of the rows.

    Args:
        rows: the kernel.
        size: how many elements there are.
        row_length: how many a row has; the last one has what is left.
        arrays: what it reads and writes, C-contiguous, by name.
        scalars: the graph's scalars, in order.
        count: how many threads; None for as many as are worth it.
    """
    kernel, at = kernels.get(rows.source), [kernels.address(arrays[name]) for name in rows.arrays]
    count = thread_pool.worth(size) if count is None else count
    chunks = thread_pool.split(-(-size // row_length), count, 1)
    buffers = [np.empty(rows.buffer(row_length), rows.source.dtype) for _ in chunks]
    packed = [
        kernel.pack(i, i + n, size, row_length, *at, kernels.address(buffer), *scalars)
        for (i, n), buffer in zip(chunks, buffers, strict=True)
    ]
    thread_pool.run(kernel, packed, (arrays, buffers))


@dataclass(eq=False)
class Run:
    """One run of a program.

    Args:
        dtype: the working dtype.
        shape: the numbers of the primary array's rows, and of what a row has.
        arrays: all arrays that the rule is handed, by name.
        scalars: the graph's scalars, in order.
        count: how many threads.
        values: what is one number a row, a column or a tensor, as vectors, by the indices of nodes.
        places: where those vectors begin; truth values are zero and one in them.
        left: what the blocks of the last pass left of its reductions.
        held: what else must live as long as kernels may read it.
    """

    dtype: np.dtype
    shape: tuple[int, int]
    arrays: Mapping[str, np.ndarray]
    scalars: tuple[float, ...]
    count: int
    values: dict[int, np.ndarray] = field(default_factory=dict)
    places: dict[int, int] = field(default_factory=dict)
    left: list[tuple[Node, np.ndarray, int]] = field(default_factory=list)
    held: list[np.ndarray] = field(default_factory=list)

    def __post_init__(self) -> None:
        #: where the arrays begin
        self.at = {name: kernels.address(a) for name, a in self.arrays.items()}

    @property
    def size(self) -> int:
        """How many elements there are."""
        return self.shape[0] * self.shape[1]

    def through(self, program: Program) -> dict[str, np.ndarray]:
        """All passes; gives the outputs of few numbers by name, which are stored when all are known.

        Args:
            program: the program. What is given as one slot may be the result of another one: so these are copies.
        """
        for piece in program.passes:
            self.small(piece)
            if piece.sweep.reductions:
                self.fold(piece)
            elif piece.arrays:
                self.store(piece)
        graph = program.plan.graph
        return {name: self.value(graph, graph.outputs[name]) for name in graph.small}

    def length(self, axes: Axes) -> int:
        """How many numbers there are of what has such axes."""
        return 1 if axes == TENSOR else self.shape[0] if axes == ROW else self.shape[1]

    def value(self, graph: Graph, node: Node) -> np.ndarray:
        """A copy of what is one number a row, a column or a tensor, or of a scalar."""
        if node.op != "scalar":
            return self.values[node.index].copy()
        order = [n.index for n in graph.nodes if n.op == "scalar"]
        return np.full(1, self.scalars[order.index(node.index)], self.dtype)

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
        kernels.get(ahead.source)(self.size, self.shape[1], *at, *[self.scalars[i] for i in ahead.scalars])

    def _room(self, node: Node, length: int) -> np.ndarray:
        """An array for what a kernel writes of a node."""
        room = np.empty(length, self.dtype)
        self.places[node.index] = kernels.address(room)
        return room

    def store(self, piece: PassSource) -> None:
        """The pass that stores the outputs' elements."""
        self.stored(piece, self.at, self.size, self.count)

    def stored(self, piece: PassSource, at: Mapping[str, int], size: int, count: int) -> None:
        """Outputs' elements stored, in as many threads as are given.

        Args:
            piece: the pass.
            at: where the arrays begin.
            size: how many elements they have.
            count: how many threads.
        """
        kernel, given, scalars = kernels.get(piece.source), self._given(piece, at), self._taken(piece)
        row_length = self.shape[1]
        chunks = [kernel.pack(i, i + n, size, row_length, *given, *scalars) for i, n in thread_pool.split(size, count)]
        thread_pool.run(kernel, chunks, self)

    def fold(self, piece: PassSource) -> None:
        """A pass that folds elements."""
        units, into = self.room(piece)
        self.folded(piece, self.at, (0, units), into, self.count)

    def room(self, piece: PassSource) -> tuple[int, list[int]]:
        """Room for what the blocks of a pass leave.

        Args:
            piece: the pass.

        Returns:
            How many blocks it folds, and where its room begins for each of its reductions.
        """
        units, size = _blocks(piece.sweep.over, *self.shape)
        left = [np.empty(size, self.dtype) for _ in piece.sweep.reductions]
        into = list(map(kernels.address, left))
        self.left = list(zip(piece.sweep.reductions, left, into, strict=True))
        return units, into

    def folded(
        self, piece: PassSource, at: Mapping[str, int], blocks: tuple[int, int], into: list[int], count: int
    ) -> None:
        """Some blocks folded, in as many threads as are given.

        Args:
            piece: the pass.
            at: where the arrays begin.
            blocks: the first block, and how many there are.
            into: where what blocks leave begins, for each reduction.
            count: how many threads.
        """
        kernel, given, scalars = kernels.get(piece.source), self._given(piece, at), self._taken(piece)
        chunks = thread_pool.split(blocks[1], count, 1)
        terms = fold_source.terms(piece.sweep.over == EACH_COLUMN)
        buffers = [np.empty(len(into) * terms, self.dtype) for _ in chunks]
        ends = [(blocks[0] + i, blocks[0] + i + n) for i, n in chunks]
        packed = [
            kernel.pack(*end, self.size, self.shape[1], *given, kernels.address(buffer), *into, *scalars)
            for end, buffer in zip(ends, buffers, strict=True)
        ]
        thread_pool.run(kernel, packed, (self, self.left, buffers))

    def _given(self, piece: PassSource, at: Mapping[str, int]) -> list[int]:
        """Where the arrays of a pass begin, and the few numbers that its elements read."""
        return [*map(at.__getitem__, piece.arrays), *(self.places[node.index] for node in piece.sweep.small)]

    def _taken(self, piece: PassSource) -> list[float]:
        return [self.scalars[i] for i in piece.scalars]


def _blocks(over: Axes, rows: int, row_length: int) -> tuple[int, int]:
    """How many blocks a pass folds, and how many numbers they leave of each reduction."""
    if over == EACH_COLUMN:
        strips, row_blocks = -(-row_length // fold_source.STRIP), -(-rows // folding.BLOCK)
        return strips * row_blocks, row_blocks * row_length
    each, length = (rows, row_length) if over == EACH_ROW else (1, rows * row_length)
    blocks = each * -(-length // folding.BLOCK)
    return blocks, blocks
