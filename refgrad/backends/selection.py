"""Running graphs that end in a selection, short row after short row, in as many threads as are given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.top_k import TopK
from refgrad.axes import ELEMENT
from refgrad.backends import group_source, kernels, runner, thread_pool, worth_compiling
from refgrad.backends import selection_source as sources
from refgrad.derived import derived
from refgrad.tracing import Plan

#: the selection among the outputs of a graph
MASK = "mask"


def wanted(backend: str, size: int) -> bool:
    """True if a kernel is asked for, or worth its while; `ArgumentError` for an unknown backend."""
    runner(backend)
    return backend == "numba" or (backend == "auto" and worth_compiling(size))


def selecting(plan: Plan, record: TopK) -> Graph:
    """The graph of a selection among the scores of a plan.

    Args:
        plan: that of a mask, which gives ``scores``.
        record: what is selected of each row.
    """
    known = _selecting(plan)
    if record not in known:
        known[record] = _selected(plan.graph, plan.graph.outputs["scores"], record)
    return known[record]


@derived
def _selecting(plan: Plan) -> dict[TopK, Graph]:
    """The graphs that were asked for so far."""
    return {}


def _selected(graph: Graph, scores: Node, record: TopK) -> Graph:
    node = Node(max(n.index for n in graph.nodes) + 1, "top_k", (scores,), record, ELEMENT)
    return replace(graph, nodes=(*graph.nodes, node), outputs={MASK: node}, small={})


def of_scores(record: TopK) -> Graph:
    """The graph of a selection among numbers that are handed in as ``w``.

    Args:
        record: what is selected of each row.
    """
    scores = Node(0, "input", (), "w", ELEMENT)
    return _selected(Graph((scores,), {}, {}, ()), scores, record)


def of_groups(
    graph: Graph, width: int, arrays: Mapping[str, np.ndarray], scalars: Sequence[float] = (), count: int | None = None
) -> np.ndarray | None:
    """The selection among numbers that are neighbours in memory; None if no kernel does it.

    Args:
        graph: what `selecting` or `of_scores` gives.
        width: the size of a group, which divides that of the arrays.
        arrays: what the graph reads, of one shape and dtype, by name.
        scalars: the values of its scalars, in order.
        count: how many threads; by default as many as are worth it.
    """
    given = [arrays[name] for name in graph.inputs()]
    w = given[0]
    plain = all(a.flags.c_contiguous and a.flags.aligned and a.dtype == w.dtype and a.shape == w.shape for a in given)
    if not plain or w.size % width or not group_source.supports(graph, MASK, w.dtype, width):
        return None
    source = group_source.group_source(graph, MASK, w.dtype, width, "the largest of each group")
    kernel, mask = kernels.get(source), np.empty(w.shape, bool)
    if not w.size:
        return mask
    count = thread_pool.worth(w.size) if count is None else count
    at, stride = [kernels.address(arrays[name]) for name in source.arrays[:-1]], width * w.itemsize
    to = kernels.address(mask)
    chunks = [
        kernel.pack(size, *(a + start * stride for a in at), to + start * width, *scalars)
        for start, size in thread_pool.split(w.size // width, count)
    ]
    thread_pool.run(kernel, chunks, (given, mask))
    return mask


def compress(w: np.ndarray, ties: str, nan: str, count: int | None = None) -> tuple[np.ndarray, np.ndarray] | None:
    """The values and the row-major metadata of the 2:4 mask of a matrix of 16-bit floats; None if no kernel does it.

    Args:
        w: contiguous, of a dtype that kernels know.
        ties: a tie rule.
        nan: where NaN ranks.
        count: how many threads; by default as many as are worth it.
    """
    fits = w.ndim == 2 and w.shape[1] % 16 == 0 and w.flags.c_contiguous and w.flags.aligned
    if not fits or str(w.dtype) not in ("float16", "bfloat16") or ties not in ("low", "high"):
        return None
    kernel = kernels.get(sources.compress_source(w.dtype, ties, nan))
    values = np.empty((w.shape[0], w.shape[1] // 2), w.dtype)
    metadata = np.empty((w.shape[0], w.shape[1] // 16), np.int16)
    if w.size:
        count = thread_pool.worth(w.size) if count is None else count
        at = (w.ctypes.data, values.ctypes.data, metadata.ctypes.data)
        parts = thread_pool.split(metadata.size, count)
        chunks = [kernel.pack(n, at[0] + 32 * i, at[1] + 16 * i, at[2] + 2 * i) for i, n in parts]
        thread_pool.run(kernel, chunks, (w, values, metadata))
    return values, metadata
