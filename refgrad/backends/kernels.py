"""Kernels by their source: found in memory, on disk, or compiled now."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

from refgrad.backends.source import KernelSource

if TYPE_CHECKING:
    from refgrad.backends.compiler import Kernel

_LOADED: dict[str, Kernel] = {}
_MISSED: set[str] = set()

#: the fast way to where a writeable array's data begin, in two steps
view: Any = ctypes.c_char.from_buffer
address_of = ctypes.addressof


def get(source: KernelSource) -> Kernel:
    """The kernel; compiled and kept if there is none yet."""
    if source.text not in _LOADED:
        _LOADED[source.text] = _load(source)
    return _LOADED[source.text]


def at_hand(source: KernelSource) -> bool:
    """True if a kernel is in memory or on disk, so that nobody waits for the compiler; the disk is asked once."""
    if source.text in _LOADED:
        return True
    if source.text in _MISSED:
        return False
    from refgrad.backends import kernel_cache

    found = kernel_cache.read(source) is not None
    if not found:
        _MISSED.add(source.text)
    return found


def address(array: Any) -> int:
    """Where an array's data begin."""
    try:
        return address_of(view(array))
    except (TypeError, ValueError):
        return array.ctypes.data


def _load(source: KernelSource) -> Kernel:
    from refgrad.backends import compiler, kernel_cache

    code = kernel_cache.read(source)
    if code is None:
        code = compiler.compile_object(source)
        kernel_cache.write(source, code)
    return compiler.load(code, source)
