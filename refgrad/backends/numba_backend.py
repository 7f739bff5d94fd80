"""Fused kernels: a plan's graph as one compiled loop, found in memory, on disk, or compiled now."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refgrad.backends import numpy_backend, threads
from refgrad.backends import source as sources
from refgrad.backends.source import KernelSource
from refgrad.tracing import Plan

Kernel = Callable[..., None]

_LOADED: dict[str, Kernel] = {}


def run(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, np.ndarray], count: int | None) -> None:
    """Overwrite ``p`` and the array slots with their values after the step.

    Graphs with reductions or transcendentals run as NumPy: the same bits, at NumPy's speed.
    """
    p = arrays["p"]
    found = _memory(plan).get(p.dtype)
    if found is None and not _supported(plan):
        numpy_backend.run(plan, free, arrays)
        return
    source, kernel = found or _kernel(plan, p.dtype)
    size, width = p.size, p.itemsize
    if not size:
        return
    addresses = [_address(arrays[name]) for name in source.arrays]
    scalars = plan.scalars(*free)
    if count == 1 or (count is None and size < threads.WORTH_SPLITTING):
        kernel(size, *addresses, *scalars)
        return
    threads.run(lambda start, n: kernel(n, *(a + start * width for a in addresses), *scalars), size, count)


def at_hand(plan: Plan, dtype: np.dtype) -> bool:
    """Whether a kernel is in memory or on disk, so that nobody waits for the compiler."""
    if dtype in _memory(plan):
        return True
    if not _supported(plan):
        return False
    from refgrad.backends import kernel_cache

    source = kernel_source_record(plan, dtype)
    if source.text in _LOADED:
        return True
    if plan.__dict__.get("_missed") == (dtype, "disk"):
        return False
    found = kernel_cache.read(source) is not None
    if not found:
        plan.__dict__["_missed"] = (dtype, "disk")
    return found


def kernel_source(plan: Plan, dtype: Any) -> str:
    """The source of a plan's kernel, for people to read."""
    if not _supported(plan):
        return f"# {type(plan.rule).__name__} has reductions or transcendentals: def update runs as NumPy\n"
    return kernel_source_record(plan, np.dtype(dtype)).text


def kernel_source_record(plan: Plan, dtype: np.dtype) -> KernelSource:
    """The source with what it is called with."""
    return sources.kernel_source(plan.graph, dtype, f"{type(plan.rule).__name__}, one step in place, {dtype}")


def _supported(plan: Plan) -> bool:
    if "_fused" not in plan.__dict__:
        plan.__dict__["_fused"] = sources.supported(plan.graph)
    return bool(plan.__dict__["_fused"])


def _memory(plan: Plan) -> dict[np.dtype, tuple[KernelSource, Kernel]]:
    return plan.__dict__.setdefault("_kernels", {})


def _kernel(plan: Plan, dtype: np.dtype) -> tuple[KernelSource, Kernel]:
    source = kernel_source_record(plan, dtype)
    if source.text not in _LOADED:
        _LOADED[source.text] = _load(source)
    _memory(plan)[dtype] = (source, _LOADED[source.text])
    return source, _LOADED[source.text]


def _load(source: KernelSource) -> Kernel:
    from refgrad.backends import compiler, kernel_cache

    code = kernel_cache.read(source)
    if code is None:
        code = compiler.compile_object(source)
        kernel_cache.write(source, code)
    return compiler.load(code, source)


def _address(array: np.ndarray) -> int:
    """Where an array's data begin; the fast way needs a writeable buffer."""
    if array.flags.writeable and array.size:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type]
    return array.ctypes.data
