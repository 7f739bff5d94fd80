"""One kernel for all passes of a graph that folds rows alone: it folds a row, computes its few numbers, and stores its elements.

A row is read from memory once, where each pass by itself would read it again. The kernel is called as
``kernel(first, last, n, row_length, *arrays, buffer, *scalars)`` and covers rows from ``first`` up to ``last``. The
last row ends with the ``n`` elements; it may be short where nothing but magnitudes is folded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.graph import Graph, Node
from refgrad.axes import EACH_ROW, NUMBER, ROW, TENSOR
from refgrad.backends.between_source import folds_few
from refgrad.backends.dialect import NUMBA, Array, Dialect
from refgrad.backends.fold_source import halves
from refgrad.backends.passes import Pass, passes
from refgrad.backends.source import KernelSource, elements, functions, outputs, prologue, variable, written
from refgrad.backends.staged_source import Stored, store
from refgrad.backends.writer import Writer


@dataclass(frozen=True, eq=False)
class RowSource:
    """A kernel of rows.

    Args:
        source: its source.
        arrays: the names of the rule's arrays that it takes.
        reductions: how many folds of a row the buffer has room for.
        takes_short: True if the last row may be short: a row that is filled up with zeros has the same largest magnitudes.
    """

    source: KernelSource
    arrays: tuple[str, ...]
    reductions: int
    takes_short: bool = False

    def buffer(self, row_length: int) -> int:
        """How many numbers a thread's buffer holds: a block of each fold, and what blocks of a row leave."""
        return self.reductions * (BLOCK + -(-row_length // BLOCK))


def row_source(
    graph: Graph, dtype: np.dtype, title: str, kept: Mapping[str, Stored], dialect: Dialect = NUMBA
) -> RowSource | None:
    """The kernel of a graph; None where it folds other axes than those of rows, or nothing.

    Args:
        graph: the graph.
        dtype: the working dtype.
        title: what the kernel's first line says.
        kept: how arrays are stored that are kept in another type, by name.
        dialect: the language.
    """
    swept = passes(graph)
    if len(swept) == 1 or not _is_of_rows(graph, swept):
        return None
    w, stored = Writer(dtype, dialect), outputs(graph)
    inputs = [n for n in graph.nodes if n.op == "input"]
    names = tuple(dict.fromkeys([*(n.attribute for n in inputs), *stored, *graph.small]))
    folds = max(len(sweep.reductions) for sweep in swept)
    scalars = [n for n in graph.nodes if n.op == "scalar"]
    held = [Array(variable(a), kept[a].kind if a in kept else w.kind, ("n",)) for a in names]
    held.append(Array("buffer", w.kind, ("n",)))
    w.loads = {n: kept[n].load for n in names if n in kept}
    w.line(w.dialect.comment(f"{title}: row by row"))
    functions(w, graph.nodes)
    with w.kernel(["first", "last", "n", "row_length"], held, [f"scalar{i}" for i in range(len(scalars))]):
        prologue(w, scalars)
        _read(w, [n for n in inputs if n.axes == TENSOR], "0")
        w.set("row_blocks", w.dialect.quotient(f"(row_length + {BLOCK - 1})", str(BLOCK)), "int64")
        with w.loop("row", "first", "last"):
            _row(w, graph, swept, stored, kept, folds)
    text, taken = written(w, held, len(scalars), 4), (*names, "buffer")
    source = KernelSource(text, taken, len(scalars), np.dtype(w.kind), 4, tuple(a.kind for a in held))
    takes_short = all(_largest_magnitude(n) for sweep in swept for n in sweep.reductions)
    return RowSource(source, names, folds, takes_short)


def _is_of_rows(graph: Graph, swept: Sequence[Pass]) -> bool:
    """True if whatever is folded is a row, and no value has another axis or is written once for all rows."""
    return (
        all(sweep.over == EACH_ROW for sweep in swept[:-1])
        and not any(folds_few(n) for n in graph.nodes)
        and all(n.axes in (ROW, TENSOR, NUMBER) for sweep in swept for n in (*sweep.before, *sweep.small))
        and all(axes == ROW for axes in graph.small.values())
    )


def _read(w: Writer, nodes: Sequence[Node], at: str) -> None:
    """Numbers of a row, or of the tensor."""
    for node in nodes:
        w.set(f"x{node.index}", f"{variable(node.attribute)}[{at}]")


def _row(
    w: Writer, graph: Graph, swept: Sequence[Pass], stored: Mapping[str, Node], kept: Mapping[str, Stored], folds: int
) -> None:
    """What is done for one row."""
    at = w.dialect.index("row")
    w.set("begin", "row * row_length", "int64")
    w.set("end", w.dialect.least("begin + row_length", "n"), "int64")
    _read(w, [n for n in graph.nodes if n.op == "input" and n.axes == ROW], at)
    for sweep in swept:
        elements(w, [n for n in sweep.before if n.op != "input"])
        if sweep.reductions:
            _fold(w, sweep, folds)
            continue
        with w.places("begin", "end"):
            elements(w, sweep.nodes)
            store(w, stored, kept)
    for name in graph.small:
        w.do(f"{variable(name)}[{at}] = x{graph.outputs[name].index}")


def _fold(w: Writer, sweep: Pass, folds: int) -> None:
    """The reductions of a pass, of one row."""
    if all(_largest_magnitude(n) for n in sweep.reductions):
        _fold_magnitudes(w, sweep)
        return
    left = f"{folds * BLOCK} + {{}} * row_blocks".format
    with w.loop("block", "0", "row_blocks"):
        w.set("from_", f"begin + block * {BLOCK}", "int64")
        w.set("to_", w.dialect.least(f"from_ + {BLOCK}", "end"), "int64")
        with w.places("from_", "to_"):
            elements(w, sweep.nodes)
            for k, node in enumerate(sweep.reductions):
                w.do(f"buffer[{w.dialect.index(f'{k * BLOCK} + at - from_')}] = x{node.args[0].index}")
        for k, node in enumerate(sweep.reductions):
            halves(w, node.op, "buffer", str(k * BLOCK), "to_ - from_")
            w.do(f"buffer[{w.dialect.index(f'{left(k)} + block')}] = buffer[{k * BLOCK}]")
    for k, node in enumerate(sweep.reductions):
        halves(w, node.op, "buffer", left(k), "row_blocks")
        w.set(f"x{node.index}", f"buffer[{w.dialect.index(left(k))}]")


def _largest_magnitude(node: Node) -> bool:
    """True of the largest of magnitudes, whose bits are ordered as they are: NaN above all, and one zero alone."""
    return node.op == "max" and node.args[0].op == "abs"


def _fold_magnitudes(w: Writer, sweep: Pass) -> None:
    """The largest of the bits of magnitudes: of whole numbers the order does not matter, so that compilers choose it."""
    integer = {"float32": "int32", "float64": "int64"}[w.kind]
    for node in sweep.reductions:
        w.set(f"k{node.index}", w.number(0, integer), integer)
    with w.places("begin", "end"):
        elements(w, sweep.nodes)
        for node in sweep.reductions:
            k, bits = f"k{node.index}", f"b{node.index}"
            w.set(bits, w.bits(w.kind, f"x{node.args[0].index}", integer), integer)
            w.set(k, w.select(f"{bits} > {k}", bits, k), integer)
    for node in sweep.reductions:
        w.set(f"x{node.index}", w.bits(integer, f"k{node.index}", w.kind))
