"""The sources of the kernels that keep n of every m numbers: comparisons of integers, unrolled over a group.

Magnitudes are compared as the bits of the numbers without their signs, which have the same order; both zeros are equal
then, and so is every NaN, once it is cut down to one pattern above infinity (or below everything).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from refgrad.backends.dialect import NUMBA, Array, Dialect
from refgrad.backends.source import KernelSource, written
from refgrad.backends.writer import Writer

#: the bits of infinity in each format whose groups are compiled
INFINITY = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF0000000000000}
#: larger groups are not unrolled
LARGEST_GROUP = 16
#: tie rules of a kernel, with the comparison by which the first of two entries goes ahead
AHEAD = {"low": ">=", "high": ">"}


def supported(dtype: np.dtype, m: int, ties: str) -> bool:
    """True if there is a kernel for such groups."""
    return str(dtype) in INFINITY and m <= LARGEST_GROUP and ties in AHEAD


def n_of_m_source(dtype: np.dtype, n: int, m: int, ties: str, nan: str, dialect: Dialect = NUMBA) -> KernelSource:
    """``kernel(groups, w, mask)`` on the bits of ``w``.

    The mask is one byte an entry; where m is a multiple of four, four of them are stored as one word. Groups are indexed
    from zero and arithmetic keeps the width of the keys, so that the loop becomes one over vectors.
    """
    width, stored = (m // 4, "uint32") if m % 4 == 0 else (m, "uint8")
    bits = f"int{8 * dtype.itemsize}"
    arrays = [Array("w", bits, ("groups", str(m))), Array("mask", stored, ("groups", str(width)))]
    w = Writer(np.dtype(bits), dialect)
    w.line(dialect.comment(f"{n} of every {m} by magnitude, ties {ties}, NaN {nan}, {dtype}"))
    with w.kernel(["groups"], arrays, ()), w.loop("group", "0", "groups"):
        keys(w, dtype, m, nan, m)
        kept(w, n, m, ties)
        _store(w, m, width)
    return KernelSource(written(w, arrays, 0, 1), ("w", "mask"), 0, np.dtype(bits), types=(bits, stored))


def keys(w: Writer, dtype: np.dtype, m: int, nan: str, width: int, first: str = "") -> None:
    """A group's keys, read into ``x0``, ``x1``, ...

    Args:
        w: where it is written.
        dtype: that of the numbers.
        m: the size of a group.
        nan: where NaN ranks.
        width: how many numbers a row of the array has.
        first: what is added to the place in a row, such as ``"4 + "``.
    """
    top, size = INFINITY[str(dtype)], 2 ** (8 * dtype.itemsize - 1) - 1
    replaced = top + 1 if nan == "largest" else -1
    for i in range(m):
        read = w.dialect.at("w", ["group", f"{first}{i}"], width)
        w.set(f"x{i}", f"{read} & {w.number(size)}")
        w.set(f"x{i}", w.select(f"x{i} > {w.number(top)}", w.number(replaced), f"x{i}"))


def kept(w: Writer, n: int, m: int, ties: str) -> None:
    """Sets ``k0``, ``k1``, ... to whether an entry is kept: it goes ahead of at least m - n others."""
    for i, j in combinations(range(m), 2):
        w.set(f"a{i}_{j}", w.cast(w.kind, f"x{i} {AHEAD[ties]} x{j}"))
    for i in range(m):
        # of an earlier entry it is ahead where that one is not ahead of it
        ahead = [f"+ a{i}_{j}" for j in range(i + 1, m)] + [f"- a{j}_{i}" for j in range(i)]
        count = w.cast(w.kind, f"{w.number(0)} {' '.join(ahead)}")
        w.set(f"k{i}", f"{count} >= {w.number(m - n - i)}", "bool")


def _store(w: Writer, m: int, width: int) -> None:
    if width == m:
        values = [f"k{i}" for i in range(m)]
    else:
        words = [[_byte(w, start + i, 8 * i) for i in range(4)] for start in range(0, m, 4)]
        values = [w.cast("uint32", " | ".join(parts)) for parts in words]
    for i, value in enumerate(values):
        w.do(f"{w.dialect.at('mask', ['group', str(i)], width)} = {value}")


def _byte(w: Writer, index: int, shift: int) -> str:
    """One entry of a mask in its place in a word."""
    return f"({w.cast('uint32', f'k{index}')} << {w.number(shift, 'uint32')})"


def compress_source(dtype: np.dtype, ties: str, nan: str, dialect: Dialect = NUMBA) -> KernelSource:
    """``kernel(words, w, values, metadata)``: 2:4 masks of 16-bit numbers by magnitude, made and applied in one pass.

    Four groups make a word of metadata; of each group the two kept values are stored, and their indices as four bits.
    """
    arrays = [
        Array("w", "int16", ("groups", "16")),
        Array("values", "int16", ("groups", "8")),
        Array("metadata", "int16", ("groups",)),
    ]
    w = Writer(np.dtype(np.int16), dialect)
    w.line(dialect.comment(f"2 of every 4 by magnitude, compressed, ties {ties}, NaN {nan}, {dtype}"))
    with w.kernel(["groups"], arrays, ()), w.loop("group", "0", "groups"):
        w.set("word", w.number(0, "int64"), "int64")
        for part in range(4):
            keys(w, dtype, 4, nan, 16, f"{4 * part} + ")
            kept(w, 2, 4, ties)
            _compressed(w, part)
        w.do(f"metadata[group] = {w.cast('int16', 'word')}")
    return KernelSource(
        written(w, arrays, 0, 1), tuple(a.name for a in arrays), 0, np.dtype("int16"), types=("int16",) * 3
    )


def _compressed(w: Writer, part: int) -> None:
    """The two values of a group that are kept, and their places in the word."""
    places = [w.number(i, "int64") for i in range(4)]
    w.set("first", w.select("k0", places[0], f"({w.select('k1', places[1], places[2])})"), "int64")
    w.set("second", w.select("k3", places[3], f"({w.select('k2', places[2], places[1])})"), "int64")
    for i, name in enumerate(("first", "second")):
        read = w.dialect.at("w", ["group", f"{4 * part} + {name}"], 16)
        w.do(f"{w.dialect.at('values', ['group', str(2 * part + i)], 8)} = {read}")
    w.do(f"word |= (first | (second << 2)) << {4 * part}")
