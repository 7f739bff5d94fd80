"""Running a graph with reductions: a compiled kernel a pass, and NumPy on the few numbers between the passes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from refgrad.arithmetic import folding
from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.operations import OPERATIONS, REDUCTIONS
from refgrad.axes import EACH_COLUMN, EACH_ROW, ELEMENT, Axes, names
from refgrad.backends import fold_source, kernels, numpy_backend, thread_pool
from refgrad.backends.program import Program
from refgrad.backends.staged_source import PassSource
from refgrad.tracing import Plan

Values = dict[int, np.ndarray]


def run(program: Program, free: tuple[float, ...], arrays: Mapping[str, np.ndarray], count: int | None) -> None:
    """Overwrite the plan's outputs: for an optimizer ``p`` and the array slots with their values after the step."""
    plan = program.plan
    p = arrays[plan.rule.primary]
    if not p.size:
        numpy_backend.run(plan, free, arrays)
        return
    scalars = plan.scalars(*free)
    values = {n.index: np.full(1, x, p.dtype) for n, x in zip(_scalars(plan), scalars, strict=True)}
    count = thread_pool.worth(p.size) if count is None else count
    for piece in program.passes:
        with np.errstate(all="ignore"):
            _small(piece.sweep.before, arrays, values)
            if piece.sweep.reductions or piece.arrays:
                _sweep(piece, p, arrays, values, scalars, count)
    # copied first: what is given as one slot may be the result of another one
    small = {name: values[plan.graph.outputs[name].index].copy() for name in plan.graph.small}
    for name, value in small.items():
        arrays[name].reshape(-1)[...] = value


def _scalars(plan: Plan) -> list[Node]:
    return [n for n in plan.graph.nodes if n.op == "scalar"]


def _small(nodes: tuple[Node, ...], arrays: Mapping[str, np.ndarray], values: Values) -> None:
    """Compute what is one number a row, a column or a tensor: the first two as vectors, the tensor's as vectors of one."""
    for node in nodes:
        operands = [values[a.index] for a in node.args]
        if node.op == "input":
            values[node.index] = arrays[node.attribute].reshape(-1)
        elif node.op in REDUCTIONS:
            whole = set(names(node.args[0].axes)) & set(node.attribute)  # one number an element of the one axis it has
            values[node.index] = OPERATIONS[node.op].on(operands, ELEMENT) if whole else operands[0]
        else:
            values[node.index] = OPERATIONS[node.op].on(operands, node.attribute)


def _sweep(
    piece: PassSource,
    p: np.ndarray,
    arrays: Mapping[str, np.ndarray],
    values: Values,
    scalars: tuple[float, ...],
    count: int,
) -> None:
    """One pass over the elements of ``p``, in as many threads as are given."""
    sweep, kernel = piece.sweep, kernels.get(piece.source)
    n, row_length = p.size, math.prod(p.shape[1:]) if p.ndim else 1
    small = [np.ascontiguousarray(values[node.index], dtype=p.dtype) for node in sweep.small]
    given = [*(arrays[name] for name in piece.arrays), *small]
    taken = [scalars[i] for i in piece.scalars]
    at = [a.ctypes.data for a in given]
    if not sweep.reductions:
        chunks = thread_pool.split(n, count)
        thread_pool.run(kernel, [kernel.pack(i, i + size, n, row_length, *at, *taken) for i, size in chunks], given)
        return
    units, shape = _units(sweep.over, n, row_length)
    partial = [np.empty(math.prod(shape), p.dtype) for _ in sweep.reductions]
    into = [a.ctypes.data for a in partial]
    chunks = thread_pool.split(units, count, 1)
    terms = fold_source.terms(sweep.over == EACH_COLUMN)
    buffers = [np.empty(len(partial) * terms, p.dtype) for _ in chunks]
    packed = [
        kernel.pack(i, i + size, n, row_length, *at, buffer.ctypes.data, *into, *taken)
        for (i, size), buffer in zip(chunks, buffers, strict=True)
    ]
    thread_pool.run(kernel, packed, (given, partial, buffers))
    for node, sums in zip(sweep.reductions, partial, strict=True):
        how = OPERATIONS[node.op].fold
        assert how is not None
        rows = sums.reshape(shape)
        values[node.index] = folding.fold(rows.T if sweep.over == EACH_COLUMN else rows, how)


def _units(over: Axes, n: int, row_length: int) -> tuple[int, tuple[int, int]]:
    """How many blocks a pass folds, and the shape of what it leaves: a row for each number, but a column for each column's."""
    if over == EACH_COLUMN:
        strips, row_blocks = -(-row_length // fold_source.STRIP), -(-(n // row_length) // folding.BLOCK)
        return strips * row_blocks, (row_blocks, row_length)
    rows, length = (n // row_length, row_length) if over == EACH_ROW else (1, n)
    each = -(-length // folding.BLOCK)
    return rows * each, (rows, each)
