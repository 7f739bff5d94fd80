"""The loops over groups compiled: the twins of the functions in `searches` and `layout`, the same bits from scalar code.

They are kept on disk as every kernel of refgrad's is, so that nothing is unpickled; threads share the rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np

from refgrad.arithmetic.arrays import as_it_is
from refgrad.backends import kernels, thread_pool
from refgrad.backends.source import KernelSource
from refgrad.quantizers.gguf.loops import BLOCKS, ELEMENTS, HELPERS, LOOPS, ROWS, SCRATCH

#: the shapes of what each thread has its own rows of
BY_ROWS = frozenset({ELEMENTS, ROWS, BLOCKS})
_DTYPES: Mapping[str, np.dtype] = {kind: np.dtype(kind) for kind in ("float32", "uint8", "int64")}


@cache
def source(name: str) -> KernelSource:
    """The kernel of a loop.

    Args:
        name: a key of `LOOPS`.
    """
    loop = LOOPS[name]
    integers = ("rows", "n", *loop.integers)
    pointers = [f"{array}_at" for array in loop.arrays]
    shapes = {array: "(1, n)" if shape == SCRATCH else shape for array, (_, shape) in loop.arrays.items()}
    lines = [
        f"# GGUF: {name}",
        *("@function" + HELPERS[helper] for helper in loop.helpers),
        f"def kernel({', '.join([*integers, *pointers, *loop.scalars])}):",
        *(f"    {array} = carray({array}_at, {shape})" for array, shape in shapes.items()),
        "    zero, one, half, tiny = np.float32(0), np.float32(1), np.float32(0.5), np.float32(1e-15)",
        "    n = np.uint64(n)",  # an index that may be negative is counted from the end, which takes time
        "    for b in range(np.uint64(rows)):",
        *("        " + line for line in loop.body.strip("\n").split("\n")),
    ]
    types = tuple(kind for kind, _ in loop.arrays.values())
    return KernelSource(
        "\n".join(lines) + "\n", tuple(loop.arrays), len(loop.scalars), np.dtype(np.float32), len(integers), types
    )


def _run(name: str, arrays: Sequence[np.ndarray], integers: Sequence[int] = (), scalars: Sequence[float] = ()) -> None:
    """A loop over the rows, which threads share.

    Args:
        name: a key of `LOOPS`.
        arrays: those of the loop in its order; but for scratch rows, which come last.
        integers: those of the loop.
        scalars: the same.
    """
    kinds = [*LOOPS[name].arrays.values()]
    given = [
        a if as_it_is(a, _DTYPES[kind]) else np.require(a, kind, ["C", "A"])
        for a, (kind, _) in zip(arrays, kinds, strict=False)
    ]
    rows, n = given[-1 if name == "take_bits" else 0].shape
    addresses = [kernels.address(a) for a in given]
    apart = [a.strides[0] if shape in BY_ROWS else 0 for a, (_, shape) in zip(given, kinds, strict=False)]
    kernel, scratch = kernels.get(source(name)), len(kinds) > len(given)
    parts = thread_pool.split(rows, thread_pool.worth(rows * n)) if rows else []
    rooms = np.empty((len(parts), n), np.float32) if scratch else given[0]
    chunks = []
    for number, (start, count) in enumerate(parts):
        at = [address + start * stride for address, stride in zip(addresses, apart, strict=True)]
        room = [rooms.ctypes.data + number * rooms.strides[0]] if scratch else []
        chunks.append(kernel.pack(count, n, *integers, *at, *room, *scalars))
    if chunks:
        thread_pool.run(kernel, chunks, (given, rooms))


def code_signed(x: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """`searches.code_signed`."""
    scale, codes = np.empty(len(x), np.float32), np.empty(x.shape, np.uint8)
    _run("code_signed", (x, scale, codes), (levels,))
    return scale, codes


def code_range(x: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`searches.code_range`."""
    scale, minimum, codes = np.empty(len(x), np.float32), np.empty(len(x), np.float32), np.empty(x.shape, np.uint8)
    _run("code_range", (x, scale, minimum, codes), (levels,))
    return scale, minimum, codes


def code_symmetric(x: np.ndarray, levels: int, zero: int) -> tuple[np.ndarray, np.ndarray]:
    """`searches.code_symmetric`."""
    scale, codes = np.empty(len(x), np.float32), np.empty(x.shape, np.uint8)
    _run("code_symmetric", (x, scale, codes), (levels, zero))
    return scale, codes


def fit_affine(
    x: np.ndarray, w: np.ndarray, levels: int, start: float, tries: int, absolute: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """`searches.fit_affine`."""
    scales, minimums, codes = np.zeros(len(x), np.float32), np.zeros(len(x), np.float32), np.zeros(x.shape, np.float32)
    _run("fit_affine", (x, w, scales, minimums, codes), (levels, tries, absolute), (start,))
    return scales, minimums, codes


def fit_symmetric(x: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """`searches.fit_symmetric`."""
    return _fitted("fit_symmetric", x, levels)


def fit_by_coordinates(x: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    """`searches.fit_by_coordinates`."""
    return _fitted("fit_by_coordinates", x, levels)


def _fitted(name: str, x: np.ndarray, levels: int) -> tuple[np.ndarray, np.ndarray]:
    scales, codes = np.zeros(len(x), np.float32), np.zeros(x.shape, np.float32)
    _run(name, (x, scales, codes), (levels,))
    return scales, codes


def fit_table(x: np.ndarray, table: np.ndarray, tries: int) -> tuple[np.ndarray, np.ndarray]:
    """`searches.fit_table`."""
    scales, codes = np.zeros(len(x), np.float32), np.empty(x.shape, np.uint8)
    _run("fit_table", (x, table, scales, codes), (len(table), tries))
    return scales, codes


def code_again(
    x: np.ndarray, offset: np.ndarray, scale: np.ndarray, first: np.ndarray, low: int, high: int
) -> np.ndarray:
    """`searches.code_again`."""
    codes = np.empty(x.shape, np.uint8)
    _run("code_again", (x, offset, scale, first, codes), (low, high))
    return codes


def put_bits(field: np.ndarray, table: np.ndarray, blocks: np.ndarray) -> None:
    """`layout.put_bits`."""
    _run("put_bits", (field, table, blocks), (len(table), blocks.shape[1]))


def take_bits(blocks: np.ndarray, table: np.ndarray, field: np.ndarray) -> None:
    """`layout.take_bits`."""
    _run("take_bits", (blocks, table, field), (len(table), blocks.shape[1]))
