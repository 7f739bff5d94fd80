"""Kernels for float32 arrays that are quantized by blocks to the nearest of a table.

A code is looked up by the highest 16 bits of the scaled number, and settled by comparing with the few thresholds that numbers
with these bits can lie on either side of. The codes are those of `refgrad.arithmetic.steps.Nearest`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

from refgrad.arithmetic.steps import Nearest
from refgrad.backends import kernels, thread_pool
from refgrad.backends.source import KernelSource

_ENCODE = """# block-wise codes, {normalize}
def kernel(blocks, size, width, count, most, x_at, absmax_at, codes_at, first_at, thresholds_at, numbers_at):
    x, codes = carray(x_at, (size,)), carray(codes_at, (size,))
    bits = x.view(np.int32)
    absmax = carray(absmax_at, (blocks,))
    first, numbers = carray(first_at, (65536,)), carray(numbers_at, (count,))
    thresholds = carray(thresholds_at, (count,))
    zero, everything, one = np.int32(0), np.int32(0x7FFFFFFF), np.float32(1)
    for block in range(blocks):
        start = block * width
        stop = min(start + width, size)
        largest = zero
        for i in range(start, stop):  # the bits of magnitudes are ordered as these are, and NaN above all
            magnitude = np.int32(bits[i] & everything)
            largest = magnitude if magnitude > largest else largest
        scale = np.int32(largest).view(np.float32)
        absmax[block] = scale
        {prepare}
        for i in range(start, stop):
            scaled = np.float32({scaled})
            rank = np.int64(first[(np.float32(scaled).view(np.int32) >> 16) & 0xFFFF])
            for _ in range(most):
                rank += np.int64(scaled > thresholds[rank])
            codes[i] = numbers[rank]
"""

_SCALED = {
    "divide": ("", "x[i] / scale"),
    "reciprocal": ("inverse = np.float32(one / scale)", "x[i] * inverse"),
}


@cache
def encoder(normalize: str) -> KernelSource:
    """The kernel from numbers to codes."""
    prepare, scaled = _SCALED[normalize]
    text = _ENCODE.format(normalize=normalize, prepare=prepare, scaled=scaled)
    arrays = ("x", "absmax", "codes", "first", "thresholds", "numbers")
    types = ("float32", "float32", "uint8", "uint8", "float32", "uint8")
    return KernelSource(text, arrays, 0, np.dtype(np.float32), 5, types)


@dataclass(frozen=True, eq=False)
class Lookup:
    """What a code is found by: the rank below which a number of these 16 bits cannot be, and the thresholds above."""

    first: np.ndarray
    thresholds: np.ndarray
    numbers: np.ndarray
    #: thresholds that the numbers of one 16-bit prefix can lie between, at most
    most: int

    @classmethod
    def of(cls, nearest: Nearest, numbers: np.ndarray) -> Lookup:
        """For a table of at most 256 values with code numbers."""
        prefix = np.arange(65536, dtype=np.uint32) << np.uint32(16)
        ends = prefix.view(np.float32), (prefix | np.uint32(0xFFFF)).view(np.float32)
        with np.errstate(invalid="ignore"):
            ranks = [
                nearest.rank(np.where(np.isnan(end) & (prefix & 0x7FFFFFFF == 0x7F800000), ends[0], end))
                for end in ends
            ]
        low, high = np.minimum(*ranks), np.maximum(*ranks)
        thresholds = np.append(nearest.thresholds(np.float32), np.float32(np.inf))
        return cls(low.astype(np.uint8), thresholds, np.ascontiguousarray(numbers), int((high - low).max()))


def encode(
    x: np.ndarray, width: int, lookup: Lookup, normalize: str, count: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Absmax of each block of a float32 array in C order, and codes in its shape."""
    x = np.ascontiguousarray(x)
    blocks = -(-x.size // width)
    absmax, codes = np.empty(blocks, np.float32), np.empty(x.shape, np.uint8)
    kernel = kernels.get(encoder(normalize))
    tables = (lookup.first, lookup.thresholds, lookup.numbers)

    held = (x, absmax, codes, tables)
    chunks = [
        kernel.pack(
            *(n, min(n * width, x.size - start * width), width, lookup.numbers.size, lookup.most),
            *(x.ctypes.data + 4 * start * width, absmax.ctypes.data + 4 * start, codes.ctypes.data + start * width),
            *(t.ctypes.data for t in tables),
        )
        for start, n in thread_pool.split(blocks, _threads(count, x.size))
    ]
    if chunks:
        thread_pool.run(kernel, chunks, held)
    return absmax, codes


def _threads(count: int | None, size: int) -> int:
    """How many threads: those that are asked for, or by the number of elements."""
    return thread_pool.worth(size) if count is None else count
