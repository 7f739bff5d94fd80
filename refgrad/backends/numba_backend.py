"""Fused kernels: a plan's graph as one compiled loop, or as one a pass where it has reductions."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from refgrad.backends import kernels, numpy_backend, staged_backend, thread_pool
from refgrad.backends import source as sources
from refgrad.backends.compiler import Kernel
from refgrad.backends.source import KernelSource
from refgrad.derived import derived
from refgrad.tracing import Plan, Scalars


def run(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, np.ndarray], count: int | None) -> None:
    """Overwrite the plan's outputs: for an optimizer ``p`` and the array slots with their values after the step."""
    p = arrays[plan.rule.primary]
    ready = _ready(plan).get(p.dtype)
    if ready is None:
        if _matrix(plan):  # no kernel does better than NumPy at a product that adds in a fixed order
            numpy_backend.run(plan, free, arrays)
            return
        if _staged(plan):
            staged_backend.run(plan, free, arrays, count)
            return
        ready = _made_ready(plan, p.dtype)
    kernel, names, scalars_of = ready
    size, width = p.size, p.itemsize
    if not size:
        return
    addresses = [_address(arrays[name]) for name in names]
    scalars = scalars_of(*free)
    count = thread_pool.worth(size) if count is None else count
    if count == 1:
        kernel.entry(kernel.pack(size, *addresses, *scalars))
        return
    chunks = [
        kernel.pack(n, *(a + start * width for a in addresses), *scalars) for start, n in thread_pool.split(size, count)
    ]
    thread_pool.run(kernel, chunks, arrays)


def at_hand(plan: Plan, dtype: np.dtype) -> bool:
    """Whether a plan's kernels are in memory or on disk, so that nobody waits for the compiler."""
    if dtype in _ready(plan):
        return True
    return all(kernels.at_hand(source) for source in kernel_sources(plan, dtype))


def kernel_sources(plan: Plan, dtype: np.dtype) -> tuple[KernelSource, ...]:
    """The sources of a plan's kernels, with what they are called with, in the order in which they run."""
    known = _kernel_sources(plan)
    if dtype not in known:
        known[dtype] = _sources(plan, dtype)
    return known[dtype]


@derived
def _kernel_sources(plan: Plan) -> dict[np.dtype, tuple[KernelSource, ...]]:
    """The sources that were made so far, by working dtype."""
    return {}


def kernel_source(plan: Plan, dtype: Any) -> str:
    """The source of a plan's kernels, for people to read."""
    return "\n".join(source.text for source in kernel_sources(plan, np.dtype(dtype)))


def _sources(plan: Plan, dtype: np.dtype) -> tuple[KernelSource, ...]:
    if _matrix(plan):
        return ()
    if _staged(plan):
        return tuple(piece.source for piece in staged_backend.sources(plan, dtype))
    return (sources.kernel_source(plan.graph, dtype, f"{type(plan.rule).__name__}, {dtype}"),)


@derived
def _matrix(plan: Plan) -> bool:
    """Whether a plan has an operation on matrices."""
    return plan.graph.matrix()


@derived
def _staged(plan: Plan) -> bool:
    """Whether a plan takes several passes, or has values that are one number a row, a column or a tensor."""
    graph = plan.graph
    small = any(n.op == "input" and n.level != "element" for n in graph.nodes)
    return small or bool(graph.small or graph.reductions())


class Ready(NamedTuple):
    """A kernel in memory, with the names of the arrays that it takes, and what computes its scalars."""

    kernel: Kernel
    arrays: tuple[str, ...]
    scalars: Callable[..., Scalars]


@derived
def _ready(plan: Plan) -> dict[np.dtype, Ready]:
    """The kernels in memory of a plan of one pass, by working dtype."""
    return {}


def _made_ready(plan: Plan, dtype: np.dtype) -> Ready:
    (source,) = kernel_sources(plan, dtype)
    return _ready(plan).setdefault(dtype, Ready(kernels.get(source), source.arrays, plan.scalars))


def _address(array: Any, view: Any = ctypes.c_char.from_buffer, of: Any = ctypes.addressof) -> int:
    """Where an array's data begin; the fast way needs a writeable buffer."""
    try:
        return of(view(array))
    except (TypeError, ValueError):
        return array.ctypes.data
