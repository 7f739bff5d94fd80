"""Whether all numbers of an array on a device lie in a range: a kernel that leaves a mark, which the host reads."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from refgrad.backends.cuda import storage
from refgrad.backends.cuda.device import THREADS, Device
from refgrad.backends.cuda.dialect import DIALECT
from refgrad.backends.dialect import Array
from refgrad.backends.source import KernelSource, written
from refgrad.backends.writer import Writer

#: the blocks of the grid: each of its threads has a mark of its own, and all marks are read
_BLOCKS = 16


def within(
    array: Any, low: float, high: float, device: Device, open_low: bool = False, open_high: bool = False
) -> bool:
    """True if every number lies between two; the host waits for that.

    Args:
        array: a contiguous array of the device, of floats that kernels store, or of integers of up to 32 bits.
        low: the least legal number.
        high: the largest legal number.
        device: the device.
        open_low: True if the least number itself is not legal.
        open_high: True if the largest number itself is not legal.
    """
    if not array.size:
        return True
    marks = device.put(np.zeros(_BLOCKS * THREADS, np.int32))
    source = range_source(array.dtype.name, open_low, open_high)
    given = [array.size, device.address(array), device.address(marks), low, high]
    device.launch(source, _BLOCKS, THREADS, given, device.stream())
    return not device.get(marks).any()


@cache
def range_source(dtype: str, open_low: bool, open_high: bool) -> KernelSource:
    """The kernel: a thread that finds a number outside, or NaN, sets its mark to one.

    Args:
        dtype: that of the array.
        open_low: True if the least number itself is not legal.
        open_high: True if the largest number itself is not legal.
    """
    w = Writer(np.dtype(np.float64), DIALECT)
    whole = np.dtype(dtype).kind in "iu" if dtype not in storage.FORMATS else False
    kind = dtype if whole else storage.kind_of(dtype)
    arrays = [Array("x_", kind, ("n",)), Array("marks_", "int32", ("n",))]
    w.line(DIALECT.comment(f"numbers within a range, {dtype}"))
    for line in [] if whole else storage.functions([storage.Number(dtype)], "float64"):
        w.line(line)
    with w.kernel(["n"], arrays, ["low", "high"]):
        before, head = DIALECT.strided("i", "n")
        for line in before:
            w.line(line)
        with w.block(head):
            w.set("x", w.cast("float64", "x_[i]") if whole else storage.read(dtype, "float64", "x_[i]"))
            inside = w.both(f"x {'>' if open_low else '>='} low", f"x {'<' if open_high else '<='} high")
            with w.block(DIALECT.when(w.negation(f"({inside})"))):
                w.do(f"marks_[{DIALECT.thread}] = 1")
    return KernelSource(written(w, arrays, 2, 1), ("x", "marks"), 2, np.dtype(np.float64), 1, (kind, "int32"))
