"""From a graph with reductions to the sources of its CUDA kernels: a pass, what runs ahead of it, and what folds columns.

Passes, and the tree that terms are folded along, are those of the CPU's kernels (`refgrad.backends.passes`,
`refgrad.arithmetic.folding`), and so are the bits. The threads of a block compute the 1024 terms of a block of the tree into
shared memory and fold them there; what is one number a row, a column or a tensor is computed by one block, between two passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.graph import Graph, Node
from refgrad.axes import COLUMN, EACH_COLUMN, EACH_ROW, ROW, names
from refgrad.backends.between_source import Between, OneThread, between
from refgrad.backends.cuda import storage
from refgrad.backends.cuda.dialect import DIALECT
from refgrad.backends.dialect import Array
from refgrad.backends.fold_source import joined
from refgrad.backends.passes import Pass, passes
from refgrad.backends.source import KernelSource, elements, functions, outputs, prologue, variable, written
from refgrad.backends.staged_source import read_later, read_small, store
from refgrad.backends.writer import Writer

#: bytes of shared memory that a block has on every card
SHARED = 48 << 10


@dataclass(frozen=True, eq=False)
class Stage:
    """A pass with its kernels.

    Args:
        sweep: the pass.
        source: its kernel, called with the numbers of elements and of what a row has, arrays and scalars.
        arrays: the rule's arrays that it takes, which come first.
        scalars: the places of its scalars among the graph's.
        ahead: what runs before it, in one block, if anything does.
        fold: what folds the terms that it left of columns, where it folds these.
    """

    sweep: Pass
    source: KernelSource
    arrays: tuple[str, ...]
    scalars: tuple[int, ...]
    ahead: Between | None = None
    fold: KernelSource | None = None


class BlockThreads(OneThread):
    """A kernel of one block, whose threads share what is one number a row or a column, and wait for each other.

    What is one number a tensor is computed by each of them, which takes no longer than by one.
    """

    def places(self, w: Writer, stop: str) -> AbstractContextManager[Any]:
        """A loop over the places ``i`` from 0, each in one thread."""
        return self._shared(w, "i", "0", stop)

    def wait(self, w: Writer) -> None:
        """From here on all threads see what any has written."""
        w.do(DIALECT.barrier)

    def once(self, w: Writer) -> AbstractContextManager[Any]:
        """What one thread does alone, where all are."""
        return w.block(w.dialect.when("threadIdx.x == 0"))

    def halves(self, w: Writer, op: str, array: str, at: str, count: str, width: str = "") -> None:
        """As `fold_source.halves`; all threads see the result."""
        times = f" * {width}" if width else ""

        def join() -> None:
            w.set("apart", f"half{times}", "int64")
            with self._shared(w, "place", at, f"{at} + (size - half){times}"):
                self._joined(w, op, f"{array}[place]", f"{array}[place + apart]")
            self.wait(w)

        _halves(w, count, join)

    def rows(self, w: Writer, op: str, array: str, blocks: str) -> None:
        """What blocks left of each row, several of it, folded, of all rows side by side; the values come to the front.

        Where a value comes to lie terms of rows before are, and what is left of later ones: as many rows as there are threads
        are read before any of them is written.
        """

        def join() -> None:
            w.set("upper", "size - half", "int64")
            with self._shared(w, "pair", "0", "rows * upper"):
                w.set("place", f"pair / upper * {blocks} + pair % upper", "int64")
                self._joined(w, op, f"{array}[place]", f"{array}[place + half]")
            self.wait(w)

        _halves(w, blocks, join)
        with w.block(w.dialect.loop("first", "0", "rows", "blockDim.x")):
            w.set("row", "first + threadIdx.x", "int64")
            w.set("value", f"row < rows ? {array}[row * {blocks}] : zero")
            self.wait(w)
            with w.block(w.dialect.when("row < rows")):
                w.do(f"{array}[row] = value")
        self.wait(w)

    def _shared(self, w: Writer, name: str, start: str, stop: str) -> AbstractContextManager[Any]:
        w.line("#pragma unroll 1")
        return w.block(DIALECT.by_threads(name, start, stop))

    def _joined(self, w: Writer, op: str, lower: str, upper: str) -> None:
        w.declare(["low", "high"], [lower, upper])
        w.do(f"{lower} = {joined(w, op, 'low', 'high')}")


BLOCK_THREADS = BlockThreads()


def most_reductions(dtype: np.dtype) -> int:
    """How many reductions a pass may have whose terms share the memory of a block."""
    return SHARED // (BLOCK * dtype.itemsize)


def stages(graph: Graph, dtype: np.dtype, title: str, stored: storage.Forms) -> tuple[Stage, ...]:
    """The kernels of a graph, in the order in which they run.

    Args:
        graph: the graph.
        dtype: the working dtype.
        title: what first lines say.
        stored: how arrays like the primary one are stored, by name; those that are not named in the working dtype.
    """
    swept, made = passes(graph), []
    folded: tuple[Node, ...] = ()
    for i, sweep in enumerate(swept):
        ends = f"{i + 1} of {len(swept)}"
        ahead = between(
            graph,
            sweep.before,
            folded,
            read_later(graph, swept[i:]),
            Writer(dtype, DIALECT),
            f"{title}: before pass {ends}",
            BLOCK_THREADS,
        )
        for part in _parts(sweep, most_reductions(dtype)):
            made.append(_stage(graph, part, Writer(dtype, DIALECT), f"{title}: pass {ends}", stored, ahead))
            ahead = None
        folded = sweep.reductions
    return tuple(made)


def _parts(sweep: Pass, most: int) -> list[Pass]:
    """A pass as passes of few enough reductions."""
    cut = range(0, max(len(sweep.reductions), 1), most)
    return [replace(sweep, reductions=sweep.reductions[i : i + most], before=() if i else sweep.before) for i in cut]


def _stage(graph: Graph, sweep: Pass, w: Writer, title: str, stored: storage.Forms, ahead: Between | None) -> Stage:
    results = {} if sweep.reductions else outputs(graph)
    inputs = [n.attribute for n in sweep.nodes if n.op == "input"]
    arrays = tuple(dict.fromkeys([*inputs, *sweep.tables, *results]))
    kept = {name: stored.get(name, storage.Number(w.kind)) for name in arrays}
    scalars = _scalars(graph, sweep, results)
    small, folded = [f"s{n.index}" for n in sweep.small], [f"r{n.index}" for n in sweep.reductions]
    held = [Array(variable(a), kept[a].kind, ("n",)) for a in arrays]
    held += [Array(name, w.kind, ("n",)) for name in (*small, *folded)]
    w.loads = {a: kept[a].load for a in inputs if kept[a] != storage.Number(w.kind)}
    w.line(DIALECT.comment(title))
    for line in storage.functions(kept.values(), w.kind):
        w.line(line)
    functions(w, sweep.nodes)
    with w.kernel(["n", "row_length"], held, [f"scalar{i}" for i in range(len(scalars))]):
        prologue(w, scalars)
        read_small(w, [n for n in sweep.small if not names(n.axes)], "0")
        if sweep.reductions and sweep.over != EACH_COLUMN:
            _blocks(w, sweep)
        else:
            with _strided(w, "i", "n"):
                _element(w, sweep)
                for node in sweep.reductions:
                    w.do(f"r{node.index}[i] = x{node.args[0].index}")
                store(w, results, kept)
    order = [n for n in graph.nodes if n.op == "scalar"]
    text, named = written(w, held, len(scalars), 2), (*arrays, *small, *folded)
    source = KernelSource(text, named, len(scalars), np.dtype(w.kind), 2, tuple(a.kind for a in held))
    fold = columns_source(np.dtype(w.kind), sweep.reductions) if sweep.over == EACH_COLUMN else None
    return Stage(sweep, source, arrays, tuple(order.index(n) for n in scalars), ahead, fold)


def _scalars(graph: Graph, sweep: Pass, results: Mapping[str, Node]) -> list[Node]:
    """The scalars that a pass reads."""
    used = {a.index for n in sweep.nodes for a in n.args} | {n.index for n in results.values()}
    used |= {n.args[0].index for n in sweep.reductions}
    return [n for n in graph.nodes if n.op == "scalar" and n.index in used]


@contextmanager
def _strided(w: Writer, name: str, stop: str) -> Iterator[None]:
    before, head = DIALECT.strided(name, stop)
    for line in before:
        w.line(line)
    with w.block(head):
        yield


def _element(w: Writer, sweep: Pass) -> None:
    """What computes element ``i``, with the numbers of its row and its column."""
    rows, columns = ([n for n in sweep.small if n.axes == axes] for axes in (ROW, COLUMN))
    if rows or columns:
        w.set("row_of_i", "i / row_length", "int64")
        read_small(w, rows, "row_of_i")
        read_small(w, columns, "i - row_of_i * row_length")
    elements(w, sweep.nodes)


def _blocks(w: Writer, sweep: Pass) -> None:
    """Blocks of the tree, each by a block of threads: terms into shared memory, folded there, one number a block stored."""
    by_rows = sweep.over == EACH_ROW
    length = "row_length" if by_rows else "n"
    w.line(DIALECT.shared("buffer", w.kind, BLOCK * len(sweep.reductions)))
    w.set("row_blocks", f"({length} + {BLOCK - 1}) / {BLOCK}", "int64")
    w.set("blocks", f"n / {length} * row_blocks", "int64")
    with w.block(DIALECT.by_blocks("block", "blocks")):
        w.set("of", "block / row_blocks", "int64")
        w.set("begin", f"of * {length} + (block - of * row_blocks) * {BLOCK}", "int64")
        w.set("end", w.dialect.least(f"begin + {BLOCK}", f"(of + 1) * {length}"), "int64")
        w.line("#pragma unroll 1")
        with w.block(DIALECT.by_threads("i", "begin", "end")):
            _element(w, sweep)
            for k, node in enumerate(sweep.reductions):
                w.do(f"buffer[{k * BLOCK} + i - begin] = x{node.args[0].index}")
        w.do(DIALECT.barrier)
        _halves(w, "end - begin", _in_shared_memory(w, sweep.reductions))
        with w.block(w.dialect.when("threadIdx.x == 0")):
            for k, node in enumerate(sweep.reductions):
                w.do(f"r{node.index}[block] = buffer[{k * BLOCK}]")
        w.do(DIALECT.barrier)


def _halves(w: Writer, count: str, join: Callable[[], None]) -> None:
    """The upper half onto the lower half, of ``size`` terms those from ``half`` on, until one is left."""
    w.set("size", count, "int64")
    w.set("half", "1", "int64")
    with w.block(w.dialect.repeat("2 * half < size")):
        w.do("half *= 2")
    w.line("#pragma unroll 1")
    with w.block(w.dialect.repeat("size > 1")):
        join()
        w.set("size", "half", "int64")
        w.set("half", "half >> 1", "int64")


def _in_shared_memory(w: Writer, reductions: Sequence[Node]) -> Callable[[], None]:
    def join() -> None:
        w.line("#pragma unroll 1")
        with w.block(DIALECT.by_threads("place", "0", "size - half")):
            for k, node in enumerate(reductions):
                lower, upper = f"buffer[{k * BLOCK} + place]", f"buffer[{k * BLOCK} + place + half]"
                w.set(f"low{k}", lower)
                w.set(f"high{k}", upper)
                w.do(f"{lower} = {joined(w, node.op, f'low{k}', f'high{k}')}")
        w.do(DIALECT.barrier)

    return join


def columns_source(dtype: np.dtype, reductions: Sequence[Node]) -> KernelSource:
    """The kernel that folds what a pass left of columns, a thread for 1024 terms of a column; the terms are overwritten.

    What blocks leave comes to the front, row after row of it, so that it is where the next kernel reads it.

    Args:
        dtype: the working dtype.
        reductions: what is folded; of each, the kernel takes terms and room for what blocks leave.
    """
    w = Writer(dtype, DIALECT)
    arrays = [Array(f"{letter}{n.index}", w.kind, ("n",)) for n in reductions for letter in "tr"]
    w.line(DIALECT.comment(f"columns folded: {', '.join(n.op for n in reductions)}, {dtype}"))
    with w.kernel(["n", "row_length"], arrays, []):
        prologue(w, [])
        w.set("rows", "n / row_length", "int64")
        w.set("row_blocks", f"(rows + {BLOCK - 1}) / {BLOCK}", "int64")
        with _strided(w, "i", "row_blocks * row_length"):
            w.set("row_block", "i / row_length", "int64")
            w.set("first", f"row_block * {BLOCK} * row_length + i - row_block * row_length", "int64")
            count = w.dialect.least(str(BLOCK), f"rows - row_block * {BLOCK}")
            _halves(w, count, _in_a_column(w, reductions))
            for node in reductions:
                w.do(f"r{node.index}[i] = t{node.index}[first]")
    named = tuple(a.name for a in arrays)
    return KernelSource(written(w, arrays, 0, 2), named, 0, dtype, 2)


def _in_a_column(w: Writer, reductions: Sequence[Node]) -> Callable[[], None]:
    def join() -> None:
        w.line("#pragma unroll 1")
        with w.loop("place", "0", "size - half"):
            for k, node in enumerate(reductions):
                lower, upper = (f"t{node.index}[first + {at} * row_length]" for at in ("place", "(place + half)"))
                w.set(f"low{k}", lower)
                w.set(f"high{k}", upper)
                w.do(f"{lower} = {joined(w, node.op, f'low{k}', f'high{k}')}")

    return join


def copy_source(of: str, to: str) -> KernelSource:
    """The kernel that copies floats of one stored type into another: exactly, or rounded once.

    Args:
        of: the dtype that is read.
        to: the dtype that is stored.
    """
    return conversion_source(storage.Number(of), storage.Number(to), "float64" if "float64" in (of, to) else "float32")


@cache
def conversion_source(
    of: storage.Number | storage.Codes, to: storage.Number | storage.Codes, kind: str
) -> KernelSource:
    """The kernel that copies what is stored in one way into what is stored in another.

    Args:
        of: how it is read.
        to: how it is stored.
        kind: the dtype in between.
    """
    w = Writer(np.dtype(kind), DIALECT)
    arrays = [Array(n, form.kind, ("n",)) for n, form in (("from_", of), ("to_", to))]
    w.line(DIALECT.comment(f"{of.kind} to {to.kind}"))
    for line in storage.functions([form for form in (of, to) if isinstance(form, storage.Number)], kind):
        w.line(line)
    with w.kernel(["n"], arrays, []), _strided(w, "i", "n"):
        w.set("x", of.load(w, "from_[i]"))
        to.store(w, "to_[i]", "x")
    return KernelSource(written(w, arrays, 0, 1), ("from", "to"), 0, np.dtype(kind), 1, tuple(a.kind for a in arrays))
