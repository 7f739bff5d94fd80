"""Fused kernels: a plan's graph as one compiled loop, or as one a pass where it has reductions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.backends import kernels, matrix_kernel, staged_backend, thread_pool, tree_backend
from refgrad.backends.dialect import NUMBA, Dialect
from refgrad.backends.kernels import address_of, view
from refgrad.backends.program import NOTHING, Ready, program_of, programs
from refgrad.backends.source import KernelSource
from refgrad.backends.staged_source import Stored
from refgrad.tracing import Plan, Step


def run(
    plan: Plan,
    free: tuple[float, ...],
    arrays: Mapping[str, np.ndarray],
    count: int | None,
    stored: Mapping[str, Stored] = NOTHING,
    dialect: Dialect = NUMBA,
    working: np.dtype | None = None,
) -> None:
    """Overwrite the plan's outputs: for an optimizer ``p`` and the array slots with their values after the step.

    Args:
        plan: the plan.
        free: the values of its free names, in order.
        arrays: what it reads and writes, C-contiguous, by name; all of one working dtype but those that are stored otherwise.
        count: how many threads; None for as many as are worth it.
        stored: how outputs are stored that are kept in another type, by name.
        dialect: the language of the kernels.
        working: the working dtype; by default that of the primary array.
    """
    p = arrays[plan.rule.primary]
    program = program_of(plan, working or p.dtype, stored, dialect)
    if program.loop is not None:
        ready = program.ready or program.load(program.loop)
        _over_elements(ready, p, ready[2](*free), arrays, count)
    elif program.passes:
        staged_backend.run(program, free, arrays, count)
    else:
        matrix_kernel.run(plan, free, arrays, count)


def run_ready(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, np.ndarray], count: int | None) -> bool:
    """As `run`, by a kernel of one loop that is in memory; False where there is none, and nothing was done.

    Args:
        plan: the plan.
        free: the values of its free names, in order.
        arrays: what it reads and writes, C-contiguous and of one working dtype, by name.
        count: how many threads; None for as many as are worth it.
    """
    p = arrays[plan.rule.primary]
    program = programs(plan).get(p.dtype)
    if program is None or program.ready is None:
        return False
    _over_elements(program.ready, p, program.ready[2](*free), arrays, count)
    return True


def run_in_turn(steps: Sequence[Step], count: int | None, otherwise: Callable[..., None]) -> None:
    """As `run_ready`, of several leaves: what they have in common is looked up once.

    Args:
        steps: of each leaf a plan, the values of its free names, and its arrays.
        count: how many threads; None for as many as are worth it.
        otherwise: what runs a leaf of which no kernel is in memory, as a backend does.
    """
    known: Plan | None = None
    dtype: np.dtype | None = None
    last: tuple[float, ...] = ()
    ready: Ready | None = None
    scalars: Sequence[float] = ()
    for plan, free, arrays in steps:
        p = arrays[plan.rule.primary]
        if plan is not known or p.dtype is not dtype:
            program = programs(plan).get(p.dtype)
            known, dtype, last = plan, p.dtype, ()
            ready = None if program is None else program.ready
        if ready is None:
            otherwise(plan, free, arrays, count)
            known = None  # there may be a kernel now
            continue
        if free != last:
            scalars, last = ready[2](*free), free
        _over_elements(ready, p, scalars, arrays, count)


def _over_elements(
    ready: Ready, p: np.ndarray, scalars: Sequence[float], arrays: Mapping[str, np.ndarray], count: int | None
) -> None:
    """One loop over the elements of all arrays, in as many threads as are given."""
    kernel, names, _ = ready
    size, width = p.size, p.itemsize
    if not size:
        return
    try:
        addresses = [address_of(view(arrays[name])) for name in names]
    except (TypeError, ValueError):
        addresses = [kernels.address(arrays[name]) for name in names]
    count = thread_pool.worth(size) if count is None else count
    if count == 1:
        kernel.entry(kernel.pack(size, *addresses, *scalars))
        return
    chunks = [
        kernel.pack(n, *(a + start * width for a in addresses), *scalars) for start, n in thread_pool.split(size, count)
    ]
    thread_pool.run(kernel, chunks, arrays)


def run_leaves(
    plan: Plan, free: tuple[float, ...], leaves: Sequence[Mapping[str, np.ndarray]], count: int | None
) -> None:
    """Overwrite the plan's outputs in each leaf of a tree, all of them together being the plan's vector.

    Args:
        plan: a plan for vectors, which `takes_leaves` is true of.
        free: the values of its free names, in order.
        leaves: what each leaf reads and writes, C-contiguous and of one working dtype, by name.
        count: how many threads; None for as many as are worth it.
    """
    tree_backend.run(program_of(plan, leaves[0][plan.rule.primary].dtype), free, leaves, count)


def takes_leaves(plan: Plan, dtype: np.dtype) -> bool:
    """True if a plan for vectors runs over the leaves of a tree where they are."""
    return tree_backend.supports(program_of(plan, dtype))


def at_hand(plan: Plan, dtype: np.dtype, shape: tuple[int, ...]) -> bool:
    """True if the kernels of a plan are in memory or on disk, so that nobody waits for the compiler.

    Args:
        plan: the plan.
        dtype: the working dtype.
        shape: that of its primary array.
    """
    return all(kernels.at_hand(source) for source in program_of(plan, dtype).sources_for(shape))


def kernel_sources(plan: Plan, dtype: np.dtype, dialect: Dialect = NUMBA) -> tuple[KernelSource, ...]:
    """The sources of a plan's kernels, with what they are called with, in the order in which they run."""
    return program_of(plan, dtype, dialect=dialect).sources


def kernel_source(plan: Plan, dtype: Any, dialect: Dialect = NUMBA) -> str:
    """The source of a plan's kernels, for people to read."""
    return "\n".join(source.text for source in kernel_sources(plan, np.dtype(dtype), dialect))
