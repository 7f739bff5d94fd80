"""The source of the kernel that makes and applies 2:4 masks of 16-bit numbers: by the selection of the table of operations."""

from __future__ import annotations

import numpy as np

from refgrad.arithmetic.operations import OPERATIONS
from refgrad.arithmetic.operations.selections import key
from refgrad.arithmetic.top_k import TopK
from refgrad.backends.dialect import NUMBA, Array, Dialect
from refgrad.backends.source import KernelSource, written
from refgrad.backends.writer import Writer


def compress_source(dtype: np.dtype, ties: str, nan: str, dialect: Dialect = NUMBA) -> KernelSource:
    """``kernel(words, w, values, metadata)``: 2:4 masks of 16-bit numbers by magnitude, made and applied in one pass.

    Four groups make a word of metadata; of each group the two kept values are stored, and their indices as four bits.
    """
    arrays = [
        Array("w", "int16", ("groups", "16")),
        Array("values", "int16", ("groups", "8")),
        Array("metadata", "int16", ("groups",)),
    ]
    record, write = TopK(2, ties, nan), OPERATIONS["top_k"].write
    assert write is not None
    w = Writer(np.dtype(np.int16), dialect)
    w.line(dialect.comment(f"2 of every 4 by magnitude, compressed, ties {ties}, NaN {nan}, {dtype}"))
    with w.kernel(["groups"], arrays, ()), w.loop("group", "0", "groups"):
        w.set("word", w.number(0, "int64"), "int64")
        for part in range(4):
            for i in range(4):
                key(w, f"x{i}", w.dialect.at("w", ["group", f"{4 * part} + {i}"], 16), str(dtype), record, True)
            write(w, *(f"x{i}" for i in range(4)), "int16", record)
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
