"""The kernel that runs between two passes: it folds what the blocks of the first left, and computes what the second reads of it.

That is one number a row, a column or the tensor: a norm's root, a ratio. It is called once, as
``kernel(n, row_length, *arrays, *scalars)``.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.operations import REDUCTIONS
from refgrad.axes import COLUMN, ROW, TENSOR, Axes, names
from refgrad.backends.dialect import Array
from refgrad.backends.fold_source import halves
from refgrad.backends.passes import sweeps
from refgrad.backends.source import KernelSource, elements, functions, prologue, written
from refgrad.backends.writer import Writer

#: how many numbers there are of what has these axes, to a kernel
COUNTS = {ROW: "rows", COLUMN: "row_length", TENSOR: "1"}


class Arrays(NamedTuple):
    """The nodes whose values are in the arrays of such a kernel, in the order of these.

    Args:
        given: those that it reads.
        folded: the reductions of the pass before, of which it is given what blocks left; their values come to the front.
        vectors: reductions of one number a row or a column; it is given room for what they fold, and their value comes first.
        kept: the others whose values it writes.
    """

    given: tuple[Node, ...]
    folded: tuple[Node, ...]
    vectors: tuple[Node, ...]
    kept: tuple[Node, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """All of them."""
        return (*self.given, *self.folded, *self.vectors, *self.kept)

    def name(self, node: Node) -> str:
        """What the kernel calls an array."""
        return f"{'r' if node in self.folded or node in self.vectors else 's'}{node.index}"


@dataclass(frozen=True, eq=False)
class Between:
    """What is computed between two passes: the kernel, its arrays, and the places of its scalars among the graph's."""

    source: KernelSource
    arrays: Arrays
    scalars: tuple[int, ...]


class OneThread:
    """How a kernel of a single thread goes over numbers and folds them; one of several threads shares this out among them."""

    def places(self, w: Writer, stop: str) -> AbstractContextManager[Any]:
        """A loop over the places ``i`` from 0, each in one thread."""
        return w.places("0", stop)

    def wait(self, w: Writer) -> None:
        """From here on all threads see what any has written."""

    def once(self, w: Writer) -> AbstractContextManager[Any]:
        """What one thread does alone, where all are."""
        return nullcontext()

    def halves(self, w: Writer, op: str, array: str, at: str, count: str, width: str = "") -> None:
        """As `fold_source.halves`; all threads see the result."""
        halves(w, op, array, at, count, width)

    def rows(self, w: Writer, op: str, array: str, blocks: str) -> None:
        """What blocks left of each row, several of it, folded; the values come to the front."""
        with w.loop("row", "0", "rows"):
            halves(w, op, array, f"row * {blocks}", blocks)
            w.do(f"{array}[{w.dialect.index('row')}] = {array}[{w.dialect.index(f'row * {blocks}')}]")


ONE_THREAD = OneThread()


def own_axes(node: Node) -> Axes:
    """The axes of a node of few numbers; a number that is no array counts as one of the tensor."""
    return node.axes or TENSOR


def folds_few(node: Node) -> bool:
    """True of a reduction that folds what is one number a row or a column; False of one that has nothing to fold."""
    if node.op not in REDUCTIONS or sweeps(node):
        return False
    return bool(set(names(node.args[0].axes)) & set(node.attribute))


def between(
    graph: Graph,
    before: Sequence[Node],
    folded: tuple[Node, ...],
    later: Collection[int],
    w: Writer,
    title: str,
    threads: OneThread = ONE_THREAD,
) -> Between | None:
    """The kernel of some nodes of few numbers; None where there is nothing to compute.

    Args:
        graph: the graph.
        before: the nodes, operands first.
        folded: the reductions of the pass that ran last.
        later: the indices of nodes whose values are read afterwards.
        w: what the kernel is written with.
        title: what its first line says.
        threads: how its threads share the work.
    """
    nodes = [n for n in before if n.op != "input"]
    if not (nodes or folded):
        return None
    groups = list(_groups(nodes))
    own = {n.index for n in (*nodes, *folded)}
    operands = {a.index: a for n in nodes for a in n.args}
    given = tuple(a for a in operands.values() if a.index not in own and a.op != "scalar")
    vectors = tuple(n for n in nodes if folds_few(n))
    apart = {*later, *(a.index for group in groups for n in group for a in n.args if a not in group)}
    kept = tuple(n for n in nodes if n.index in apart and n not in vectors and _is_kept(n, later))
    scalars = [n for n in graph.nodes if n.index in operands and n.op == "scalar"]
    arrays = Arrays(given, folded, vectors, kept)
    held = [Array(arrays.name(n), w.kind, ("n",)) for n in arrays.nodes]
    w.line(w.dialect.comment(title))
    functions(w, nodes)
    with w.kernel(["n", "row_length"], held, [f"scalar{i}" for i in range(len(scalars))]):
        prologue(w, scalars)
        _body(w, groups, arrays, threads)
    order = [n for n in graph.nodes if n.op == "scalar"]
    text, named = written(w, held, len(scalars), 2), tuple(a.name for a in held)
    source = KernelSource(text, named, len(scalars), np.dtype(w.kind), integers=2)
    return Between(source, arrays, tuple(order.index(n) for n in scalars))


def _body(w: Writer, groups: Sequence[list[Node]], arrays: Arrays, threads: OneThread) -> None:
    """What the kernel does: what blocks left is folded, then one group after the other computed."""
    w.set("rows", w.dialect.quotient("n", "row_length"), "int64")
    for node in arrays.folded:
        _fold_blocks(w, node, threads)
    _read(w, [n for n in (*arrays.given, *arrays.folded) if own_axes(n) == TENSOR], arrays, "0")
    for group in groups:
        _group(w, group, arrays, threads)


def _is_kept(node: Node, later: Collection[int]) -> bool:
    """A number of the tensor is a variable of the kernel, and stored for others alone."""
    return own_axes(node) != TENSOR or node.index in later


def _groups(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """The nodes in groups, each of the same axes, so that one loop computes it from the groups before."""
    left = list(nodes)
    while left:
        for axes in (TENSOR, ROW, COLUMN):
            waiting = {n.index for n in left}
            group = []
            for node in left:
                if own_axes(node) == axes and not any(a.index in waiting for a in node.args):
                    group.append(node)
                    waiting.discard(node.index)
            left = [n for n in left if n not in group]
            if group:
                yield group


def _read(w: Writer, nodes: Sequence[Node], arrays: Arrays, at: str) -> None:
    """Reading values; truth values travel as zero and one."""
    for node in nodes:
        value = f"{arrays.name(node)}[{at}]"
        w.set(f"x{node.index}", f"{value} != zero" if node.is_boolean else value, "bool" if node.is_boolean else None)


def _fold_blocks(w: Writer, node: Node, threads: OneThread) -> None:
    """What blocks left of a reduction, folded in its place; the values come to the front."""
    array, blocks = f"r{node.index}", f"blocks{node.index}"
    length = {TENSOR: "n", ROW: "row_length", COLUMN: "rows"}[node.axes]
    w.set(blocks, w.dialect.quotient(f"({length} + {BLOCK - 1})", str(BLOCK)), "int64")
    if node.axes != ROW:
        threads.halves(w, node.op, array, "0", blocks, "row_length" if node.axes == COLUMN else "")
        return
    with w.block(w.dialect.when(f"{blocks} > 1")):
        threads.rows(w, node.op, array, blocks)


def _fold_vector(w: Writer, node: Node, threads: OneThread) -> None:
    """Numbers of rows or columns folded where they are: blocks first, and then what these leave."""
    array, count = f"r{node.index}", COUNTS[node.args[0].axes]
    blocks = f"blocks{node.index}"
    w.set(blocks, w.dialect.quotient(f"({count} + {BLOCK - 1})", str(BLOCK)), "int64")
    with w.loop("block", "0", blocks):
        w.set("begin", f"block * {BLOCK}", "int64")
        w.set("length", w.dialect.least(str(BLOCK), f"{count} - begin"), "int64")
        threads.halves(w, node.op, array, "begin", "length")
        with threads.once(w):  # in the terms of a block that has been folded
            w.do(f"{array}[{w.dialect.index('block')}] = {array}[{w.dialect.index('begin')}]")
    threads.wait(w)
    threads.halves(w, node.op, array, "0", blocks)
    w.set(f"x{node.index}", f"{array}[0]")


def _group(w: Writer, group: list[Node], arrays: Arrays, threads: OneThread) -> None:
    """What computes a group: one number after the other, or in a loop over rows or columns."""
    axes = own_axes(group[0])
    if axes == TENSOR:
        for node in group:
            if node in arrays.vectors:
                _gather(w, node, arrays, threads)
                _fold_vector(w, node, threads)
            else:
                _compute(w, node)
            if node in arrays.kept:
                with threads.once(w):
                    _store(w, node, "0")
        return
    with threads.places(w, COUNTS[axes]):
        own = {n.index for n in group}
        operands = {a.index: a for n in group for a in n.args if a.axes == axes and a.index not in own}
        _read(w, list(operands.values()), arrays, "i")
        for node in group:
            _compute(w, node)
            if node in arrays.kept:
                _store(w, node, "i")
    threads.wait(w)


def _gather(w: Writer, node: Node, arrays: Arrays, threads: OneThread) -> None:
    """What a reduction of rows or columns folds, in room of its own."""
    operand = node.args[0]
    with threads.places(w, COUNTS[operand.axes]):
        w.do(f"r{node.index}[i] = {arrays.name(operand)}[i]")
    threads.wait(w)


def _compute(w: Writer, node: Node) -> None:
    if node.op in REDUCTIONS:  # with nothing to fold
        w.set(f"x{node.index}", f"x{node.args[0].index}")
    else:
        elements(w, [node])


def _store(w: Writer, node: Node, at: str) -> None:
    x = f"x{node.index}"
    w.do(f"s{node.index}[{at}] = {w.select(x, 'one', 'zero') if node.is_boolean else x}")
