"""How kernels fold: the terms of a block lie in a buffer, and the upper half is joined to the lower until one is left.

That is the tree of `refgrad.arithmetic.folding`. Terms of many columns are folded side by side: what is joined is then a row of
the buffer, a term of each column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.backends.writer import Writer

#: columns that a kernel folds side by side; what a block of them holds fits in the cache of a core
STRIP = 64

#: writes the loop over elements from one place to another, with what ends it
Elements = Callable[[Callable[[], None], str, str], None]


def terms(columns: bool) -> int:
    """How many terms of one reduction a buffer holds: those of a block, of one number or of a strip of columns."""
    return BLOCK * STRIP if columns else BLOCK


def blocks(w: Writer, reductions: Sequence[Node], by_rows: bool, elements: Elements) -> None:
    """Blocks from ``first`` to ``last``: each operand into the buffer, folded there, one number a block stored."""
    if by_rows:
        w.set("row_blocks", w.dialect.quotient(f"(row_length + {BLOCK - 1})", str(BLOCK)), "int64")
    with w.loop("block", "first", "last"):
        begin, end = f"block * {BLOCK}", "n"
        if by_rows:
            w.set("row_of", w.dialect.quotient("block", "row_blocks"), "int64")
            begin = f"row_of * row_length + (block - row_of * row_blocks) * {BLOCK}"
            end = "(row_of + 1) * row_length"
        w.set("begin", begin, "int64")
        w.set("end", w.dialect.least(f"begin + {BLOCK}", end), "int64")
        elements(lambda: _into_buffer(w, reductions, BLOCK, "at - begin"), "begin", "end")
        for k, node in enumerate(reductions):
            halves(w, node.op, "buffer", str(k * BLOCK), "end - begin")
            w.do(f"r{node.index}[block] = buffer[{k * BLOCK}]")


def columns(w: Writer, reductions: Sequence[Node], elements: Elements) -> None:
    """Blocks of `BLOCK` rows by `STRIP` columns, from ``first`` to ``last``: one number a block and column stored.

    Where a strip is as wide as a row, the elements of a block follow each other, and one loop runs over them.
    """
    size = BLOCK * STRIP
    w.set("strips", w.dialect.quotient(f"(row_length + {STRIP - 1})", str(STRIP)), "int64")
    w.set("rows", w.dialect.quotient("n", "row_length"), "int64")
    with w.loop("block", "first", "last"):
        w.set("row_block", w.dialect.quotient("block", "strips"), "int64")
        w.set("column", f"(block - row_block * strips) * {STRIP}", "int64")
        w.set("width", w.dialect.least(str(STRIP), "row_length - column"), "int64")
        w.set("count", w.dialect.least(str(BLOCK), f"rows - row_block * {BLOCK}"), "int64")
        w.set("pieces", w.select("strips == 1", "1", "count"), "int64")
        w.set("piece_length", w.select("strips == 1", "count * width", "width"), "int64")
        with w.loop("piece", "0", "pieces"):
            w.set("begin", f"(row_block * {BLOCK} + piece) * row_length + column", "int64")
            w.set("end", "begin + piece_length", "int64")
            elements(lambda: _into_buffer(w, reductions, size, "piece * width + at - begin"), "begin", "end")
        for k, node in enumerate(reductions):
            halves(w, node.op, "buffer", str(k * size), "count", "width")
            with w.loop("at", "0", "width"):
                into, left = (
                    w.dialect.index("row_block * row_length + column + at"),
                    w.dialect.index(f"{k * size} + at"),
                )
                w.do(f"r{node.index}[{into}] = buffer[{left}]")


def _into_buffer(w: Writer, reductions: Sequence[Node], size: int, place: str) -> None:
    for k, node in enumerate(reductions):
        w.do(f"buffer[{w.dialect.index(f'{k * size} + {place}')}] = x{node.args[0].index}")


def halves(w: Writer, op: str, array: str, at: str, count: str, width: str = "") -> None:
    """The upper half onto the lower half until one is left.

    Args:
        w: where it is written.
        op: the reduction.
        array: where the terms are.
        at: the place of the first.
        count: how many there are.
        width: how many numbers a term has, which follow each other; none says one.
    """
    times = f" * {width}" if width else ""
    w.set("size", count, "int64")
    w.set("half", "1", "int64")
    with w.block(w.dialect.repeat("2 * half < size")):
        w.do("half *= 2")
    with w.block(w.dialect.repeat("size > 1")):
        w.set("stop_at", f"{at} + (size - half){times}", "int64")
        w.set("apart", f"half{times}", "int64")
        with w.loop("place", at, "stop_at"):
            lower, upper = (f"{array}[{w.dialect.index(place)}]" for place in ("place", "place + apart"))
            w.declare(["low", "high"], [lower, upper])
            w.do(f"{lower} = {joined(w, op, 'low', 'high')}")
        w.set("size", "half", "int64")
        w.set("half", "half >> 1", "int64")


def joined(w: Writer, op: str, a: str, b: str) -> str:
    """The expression that joins two terms of a reduction."""
    fold = OPERATIONS[op].fold
    assert fold is not None, f"{op} folds nothing"
    write = OPERATIONS[fold.op].write
    assert write is not None, f"no kernel has {fold.op}"
    return write(w, a, b)
