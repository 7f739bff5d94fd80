"""Running a plan on a device, in place: one launch, or one a pass and one ahead of it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.backends.cuda import staged_run, storage
from refgrad.backends.cuda.device import Device, grid
from refgrad.backends.cuda.source import is_one_loop, kernel_source, why_not
from refgrad.backends.cuda.staged_source import Stage, stages
from refgrad.backends.cuda.storage import Codes, Forms
from refgrad.backends.source import KernelSource
from refgrad.derived import derived
from refgrad.errors import NoKernel
from refgrad.tracing import Plan

NOTHING: Mapping[str, Codes] = MappingProxyType({})


def run(
    plan: Plan,
    free: tuple[float, ...],
    arrays: Mapping[str, Any],
    device: Device,
    codes: Mapping[str, Codes] = NOTHING,
    working: np.dtype | None = None,
) -> None:
    """Overwrite the plan's outputs: for an optimizer ``p`` and the array slots with their values after the step.

    Narrow arrays are widened where a kernel reads them and rounded once where it stores, so that nothing is copied.

    Args:
        plan: the plan.
        free: the values of its free names, in order.
        arrays: what it reads and writes, by name: arrays of the device, contiguous, shaped as their axes say, of dtypes that
            kernels store.
        device: where they lie.
        codes: how arrays are stored that hold codes, by name.
        working: the dtype that is worked in; by default that of the primary array, or float32 if it is narrower.

    Raises:
        ArgumentError: a dtype is not one that kernels store.
        NoKernel: the plan's graph has no CUDA kernel (see `refgrad.backends.cuda.source.why_not`), or there are no elements and a
            rule sets numbers of rows, columns or the tensor from them.
    """
    types = {name: np.dtype(array.dtype) for name, array in arrays.items()}
    made = program_of(plan, types, codes, working)
    p = arrays[plan.rule.primary]
    if not p.size and not plan.graph.small:
        return
    if not p.size:
        raise NoKernel(f"there are no elements, of which it sets {', '.join(plan.graph.small)}")
    if made.stages:
        staged_run.run(made.stages, plan, free, arrays, made.forms, device)
        return
    assert made.loop is not None
    at = [device.address(arrays[name]) for name in made.loop.arrays]
    device.launch(made.loop, *grid(p.size), [p.size, *at, *plan.scalars(*free)], device.stream())


class Program(NamedTuple):
    """The kernels of a plan: of one loop over the elements, or of passes; and how the arrays are stored."""

    loop: KernelSource | None
    stages: tuple[Stage, ...]
    forms: Forms

    @property
    def sources(self) -> tuple[KernelSource, ...]:
        """The kernels, in the order in which they run."""
        if self.loop is not None:
            return (self.loop,)
        ahead = {id(s): (s.ahead.source,) if s.ahead else () for s in self.stages}
        return tuple(
            source for s in self.stages for source in (*ahead[id(s)], s.source, *((s.fold,) if s.fold else ()))
        )


def program_of(
    plan: Plan, types: Mapping[str, np.dtype], codes: Mapping[str, Codes] = NOTHING, working: np.dtype | None = None
) -> Program:
    """The kernels of a plan for arrays of some dtypes, made once.

    Args:
        plan: the plan.
        types: the dtypes by array.
        codes: how arrays are stored that hold codes, by name.
        working: the dtype that is worked in; by default as the primary array says.

    Raises:
        ArgumentError: as `run` says.
        NoKernel: as there.
    """
    stored, own = storage.forms(types, codes), working or dtypes.working(types[plan.rule.primary])
    known, key = _programs(plan), (own.name, *stored.items())
    if key not in known:
        known[key] = _made(plan, own, f"{type(plan.rule).__name__}, {own}", stored)
    return known[key]


def _made(plan: Plan, working: np.dtype, title: str, stored: Forms) -> Program:
    graph = plan.graph
    reason = why_not(graph)
    if reason is not None:
        raise NoKernel(reason, title)
    if is_one_loop(graph):
        return Program(kernel_source(graph, working, title, stored), (), stored)
    return Program(None, stages(graph, working, title, stored), stored)


@derived
def _programs(plan: Plan) -> dict[tuple[Any, ...], Program]:
    """The kernels that were made of a plan so far."""
    return {}
