"""Running a plan on a device, in place: one launch, or one a pass and one ahead of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.backends.cuda import literal_run, staged_run, storage
from refgrad.backends.cuda.device import MOST_BLOCKS, THREADS, Device, grid
from refgrad.backends.cuda.source import CHUNK, is_one_loop, kernel_source, many_source, why_not
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

    What has no kernel of its graph is run as its body stands (`refgrad.backends.cuda.literal_run`). Narrow arrays are widened
    where a kernel reads them and rounded once where it stores, so that nothing is copied.

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
        NoKernel: the plan's graph has no CUDA kernel (see `refgrad.backends.cuda.source.why_not`), and its body calls what no
            kernel does; or there are no elements and a rule sets numbers of rows, columns or the tensor from them.
    """
    types = {name: np.dtype(array.dtype) for name, array in arrays.items()}
    p = arrays[plan.rule.primary]
    if why_not(plan.graph) is not None and not codes:
        literal_run.run(plan, free, arrays, device, working)
        return
    made = program_of(plan, types, codes, working)
    if not p.size and not plan.graph.small:
        return
    if not p.size:
        what = ", ".join(plan.graph.small)
        raise NoKernel(f"there are no elements, of which it sets {what}", type(plan.rule).__name__)
    if made.stages:
        staged_run.run(made.stages, plan, free, arrays, made.forms, device)
        return
    assert made.loop is not None
    at = [device.address(arrays[name]) for name in made.loop.arrays]
    device.launch(made.loop, *grid(p.size), [p.size, *at, *plan.scalars(*free)], device.stream())


def run_many(plan: Plan, free: tuple[float, ...], tensors: Sequence[Mapping[str, Any]], device: Device) -> None:
    """As `run`, for several tensors in one launch.

    Args:
        plan: the plan, which one loop over the elements computes.
        free: the values of its free names, in order, of which the scalars of all tensors are made.
        tensors: the arrays of each tensor, by name, of the same dtypes.
        device: where they lie.
    """
    types = {name: np.dtype(array.dtype) for name, array in tensors[0].items()}
    made, own = program_of(plan, types), dtypes.working(types[plan.rule.primary])
    assert made.loop is not None
    source = _many(plan, own, made)
    rows, chunks = [], 0
    for arrays in tensors:
        size = arrays[plan.rule.primary].size
        rows.append((chunks, size, *(device.address(arrays[name]) for name in made.loop.arrays)))
        chunks += -(-size // CHUNK)
    table = _table(tuple(rows), device)
    given = [len(rows), chunks, device.address(table), *plan.scalars(*free)]
    device.launch(source, min(chunks, MOST_BLOCKS), THREADS, given, device.stream())


#: tables of addresses on devices, by what they hold, those that were used last at the end
_TABLES: dict[tuple[Any, ...], Any] = {}
_MOST_TABLES = 64


def _table(rows: tuple[tuple[int, ...], ...], device: Device) -> Any:
    """A table of addresses on the device: the same ones are not copied there at each step."""
    key = (device.name, device.card(), rows)
    found = _TABLES.pop(key, None)
    if found is None:
        found = device.put(np.asarray(rows, np.int64))
        while len(_TABLES) >= _MOST_TABLES:
            del _TABLES[next(iter(_TABLES))]
    _TABLES[key] = found
    return found


def _many(plan: Plan, own: np.dtype, made: Program) -> KernelSource:
    known, key = _sources(plan), (own.name, *made.forms.items())
    if key not in known:
        known[key] = many_source(plan.graph, own, f"{type(plan.rule).__name__}, {own}", made.forms)
    return known[key]


@derived
def _sources(plan: Plan) -> dict[tuple[Any, ...], KernelSource]:
    """The kernels for several tensors that were made of a plan so far."""
    return {}


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
