"""Running a plan on a device: one launch, in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.backends.cuda import storage
from refgrad.backends.cuda.device import Device, grid
from refgrad.backends.cuda.source import kernel_source
from refgrad.backends.source import KernelSource
from refgrad.derived import derived
from refgrad.tracing import Plan


def run(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, Any], device: Device) -> None:
    """Overwrite the plan's outputs: for an optimizer ``p`` and the array slots with their values after the step.

    Narrow arrays are widened where a kernel reads them and rounded once where it stores, so that nothing is copied.

    Args:
        plan: the plan.
        free: the values of its free names, in order.
        arrays: what it reads and writes, by name: arrays of the device, contiguous, of one shape, and of any dtype that kernels
            store.
        device: where they lie.

    Raises:
        ArgumentError: the plan's graph has no CUDA kernel (see `refgrad.backends.cuda.source.why_not`), or a dtype is not one
            that kernels store.
    """
    p = arrays[plan.rule.primary]
    source = source_of(plan, {name: np.dtype(array.dtype) for name, array in arrays.items()})
    if not p.size:
        return
    at = [device.address(arrays[name]) for name in source.arrays]
    blocks, threads = grid(p.size)
    device.launch(source, blocks, threads, [p.size, *at, *plan.scalars(*free)], device.stream())


def source_of(plan: Plan, types: Mapping[str, np.dtype]) -> KernelSource:
    """The kernel of a plan for arrays of some dtypes, made once.

    Args:
        plan: the plan.
        types: the dtypes by array; the primary array's says which dtype is worked in.

    Raises:
        ArgumentError: as `run` says.
    """
    stored = storage.names(types)
    known, key = _sources(plan), tuple(stored.items())
    if key not in known:
        working = dtypes.working(types[plan.rule.primary])
        known[key] = kernel_source(plan.graph, working, f"{type(plan.rule).__name__}, {working}", stored)
    return known[key]


@derived
def _sources(plan: Plan) -> dict[tuple[tuple[str, str], ...], KernelSource]:
    """The kernels that were made of a plan so far."""
    return {}
