"""A blocked kernel for products of matrices, which adds the terms of each element along the tree of `arithmetic.matrices`.

A block of 1024 terms is folded upper half onto lower half until one is left. So terms that lie an eighth of the block apart are
one subtree of eight: it is added in registers, for a strip of columns and two rows at a time; what is left, an eighth as many
sums, is folded in the cache. Terms are packed so that those eight stand side by side. A block that is no power of two is filled
up with products of -0 and 1, which change no sum. See docs/matrix-products.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

import numpy as np

from refgrad.arithmetic import matrices
from refgrad.arithmetic.folding import BLOCK
from refgrad.backends import kernels, numpy_backend, thread_pool
from refgrad.backends.source import KernelSource
from refgrad.tracing import Plan

#: rows, and columns, that are computed at a time, and terms that are added in registers
ROWS, WIDTH, LEAF = 2, 128, 8
#: multiplications from which on a kernel that is at hand is worth its call, and from which on one is worth compiling
WORTH_CALLING, WORTH_COMPILING = 1 << 12, 1 << 24

_TEXT = """# product of matrices, {dtype}
def kernel(first, last, inner, columns, padded, a_at, b_at, out_at, right_at, left_at, sums_at, blocks_at):
    a, b, out = carray(a_at, (1,)), carray(b_at, (1,)), carray(out_at, (1,))
    right, left = carray(right_at, (1,)), carray(left_at, (1,))
    sums, blocks = carray(sums_at, (1,)), carray(blocks_at, (1,))
    count, width, held = (padded + {block} - 1) // {block}, {width}, {rows} * {width}
    for strip in range(0, columns, width):
        wide = min(width, columns - strip)
        for to in range(padded):
            begin = to // {block} * {block}
            stride = min({block}, padded - begin) // {leaf}
            k = begin + (to - begin) % {leaf} * stride + (to - begin) // {leaf}
            for j in range(wide):
                right[np.uint64(to * width + j)] = b[np.uint64(k * columns + strip + j)] if k < inner else {dtype}(1)
            for j in range(wide, width):
                right[np.uint64(to * width + j)] = {dtype}(1)
        for row in range(first, last, {rows}):
            for to in range(padded):
                begin = to // {block} * {block}
                stride = min({block}, padded - begin) // {leaf}
                k = begin + (to - begin) % {leaf} * stride + (to - begin) // {leaf}
                for i in range({rows}):
                    place = np.uint64(min(row + i, last - 1) * inner + k)
                    left[np.uint64(to * {rows} + i)] = a[place] if k < inner else {dtype}(-0.0)
            for block in range(count):
                stride = min({block}, padded - block * {block}) // {leaf}
                for r in range(stride):
                    at = block * {block} + r * {leaf}
{factors}
                    for j in range(width):
{terms}
                while stride > 1:
                    stride //= 2
                    for j in range(stride * held):
                        sums[np.uint64(j)] = sums[np.uint64(j)] + sums[np.uint64(j + stride * held)]
                for j in range(held):
                    blocks[np.uint64(block * held + j)] = sums[np.uint64(j)]
            size = count
            while size > 1:
                half = 1
                while 2 * half < size:
                    half *= 2
                for j in range((size - half) * held):
                    blocks[np.uint64(j)] = blocks[np.uint64(j)] + blocks[np.uint64(j + half * held)]
                size = half
            for i in range(min({rows}, last - row)):
                for j in range(wide):
                    out[np.uint64((row + i) * columns + strip + j)] = blocks[np.uint64(i * width + j)]
"""


@cache
def source(dtype: str) -> KernelSource:
    """The kernel of a working dtype."""
    every = range(LEAF)
    factors = [f"a{i}_{m} = left[np.uint64((at + {m}) * {ROWS} + {i})]" for i in range(ROWS) for m in every]
    terms = [f"b{m} = right[np.uint64((at + {m}) * width + j)]" for m in every]
    terms += [f"sums[np.uint64(r * held + {i} * width + j)] = {_added(i)}" for i in range(ROWS)]
    text = _TEXT.format(
        dtype=dtype,
        block=BLOCK,
        rows=ROWS,
        width=WIDTH,
        leaf=LEAF,
        factors="\n".join(" " * 20 + line for line in factors),
        terms="\n".join(" " * 24 + line for line in terms),
    )
    arrays = ("a", "b", "out", "right", "left", "sums", "blocks")
    return KernelSource(text, arrays, 0, np.dtype(dtype), 5)


def _added(row: int) -> str:
    """The sum of the products of a leaf, upper half onto lower half."""
    terms = [f"a{row}_{m} * b{m}" for m in range(LEAF)]
    while len(terms) > 1:
        half = len(terms) // 2
        terms = [f"({low} + {high})" for low, high in zip(terms[:half], terms[half:], strict=True)]
    return terms[0]


def run(plan: Plan, free: tuple[float, ...], arrays: Mapping[str, np.ndarray], count: int | None) -> None:
    """A plan by NumPy, but for its products of matrices.

    Args:
        plan: the plan.
        free: the values of its free names, in order.
        arrays: what it reads and writes, by name.
        count: how many threads; None for as many as are worth it.
    """
    with matrices.multiplied_by(partial(product, count=count)):
        numpy_backend.run(plan, free, arrays)


def product(a: np.ndarray, b: np.ndarray, count: int | None = None) -> np.ndarray:
    """The product of two matrices, by a kernel where that is worth it; the bits are those of `matrices.tree_product`.

    Args:
        a: a matrix of float32 or float64; matrices that are stacked are multiplied by NumPy.
        b: another one, of the same dtype.
        count: how many threads; by default as many as are worth it.
    """
    work = a.shape[-2] * a.shape[-1] * b.shape[-1]
    fits = a.ndim == b.ndim == 2 and a.dtype == b.dtype and a.dtype in (np.float32, np.float64)
    if not fits or work < WORTH_CALLING or a.shape[1] > BLOCK * BLOCK:
        return matrices.tree_product(a, b)
    if work < WORTH_COMPILING and not kernels.at_hand(source(str(a.dtype))):
        return matrices.tree_product(a, b)
    return by_kernel(a, b, thread_pool.worth(work // 64) if count is None else count)


def by_kernel(a: np.ndarray, b: np.ndarray, count: int = 1) -> np.ndarray:
    """The product of two matrices by the kernel.

    Args:
        a: a matrix of float32 or float64, of at least one element.
        b: another one, of the same dtype.
        count: how many threads.
    """
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    (rows, inner), columns, dtype = a.shape, b.shape[1], a.dtype
    kernel, out = kernels.get(source(str(dtype))), np.empty((rows, columns), dtype)
    whole = (inner - 1) // BLOCK
    padded = whole * BLOCK + max(LEAF, 1 << (inner - whole * BLOCK - 1).bit_length())
    sizes = (padded * WIDTH, padded * ROWS, BLOCK // LEAF * ROWS * WIDTH, (whole + 1) * ROWS * WIDTH)
    chunks, held = [], []
    for start, size in thread_pool.split(rows, count, ROWS):
        arrays = [a, b, out, *(np.empty(n, dtype) for n in sizes)]
        held.append(arrays)
        chunks.append(kernel.pack(start, start + size, inner, columns, padded, *(x.ctypes.data for x in arrays)))
    thread_pool.run(kernel, chunks, held)
    return out
