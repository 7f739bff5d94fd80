"""From a graph with reductions to the sources of its kernels, one a pass.

A kernel is called as ``kernel(first, last, n, row_length, *arrays, *scalars)``: it covers elements, or blocks of the
summation tree, from ``first`` up to ``last``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

import numpy as np

from refgrad.arithmetic.graph import Graph, Node
from refgrad.axes import COLUMN, EACH_COLUMN, EACH_ROW, ROW, names
from refgrad.backends import fold_source
from refgrad.backends.between_source import Between, between
from refgrad.backends.dialect import NUMBA, Array, Dialect
from refgrad.backends.passes import Pass, passes
from refgrad.backends.source import KernelSource, elements, functions, outputs, prologue, variable, written
from refgrad.backends.writer import Writer


@dataclass(frozen=True, eq=False)
class PassSource:
    """A pass with the source of its kernel, and of the one that runs ahead of it, if there is one.

    ``arrays`` are those of the rule, ``scalars`` index the graph's scalars.
    """

    sweep: Pass
    source: KernelSource
    arrays: tuple[str, ...]
    scalars: tuple[int, ...]
    ahead: Between | None = None

    @property
    def sources(self) -> tuple[KernelSource, ...]:
        """The kernels, in the order in which they run."""
        return (self.source,) if self.ahead is None else (self.ahead.source, self.source)


class Stored(Protocol):
    """How an array is stored in another type than the working dtype."""

    @property
    def kind(self) -> str:
        """The type."""

    def store(self, w: Writer, target: str, x: str) -> None:
        """What stores ``x``."""

    def load(self, w: Writer, code: str) -> str:
        """The expression of what was stored as ``code``."""


def pass_sources(
    graph: Graph,
    dtype: np.dtype,
    title: str,
    kept: Mapping[str, Stored] = MappingProxyType({}),
    dialect: Dialect = NUMBA,
) -> tuple[PassSource, ...]:
    """The kernels of a graph, in the order in which they run; ``kept`` are arrays that are stored otherwise."""
    swept = passes(graph)
    pieces: list[PassSource] = []
    folded: tuple[Node, ...] = ()
    for i, sweep in enumerate(swept):
        ends = f"{i + 1} of {len(swept)}"
        piece = _pass_source(graph, sweep, Writer(dtype, dialect), f"{title}: pass {ends}", kept)
        later = read_later(graph, swept[i:])
        ahead = between(graph, sweep.before, folded, later, Writer(dtype, dialect), f"{title}: before pass {ends}")
        pieces.append(replace(piece, ahead=ahead))
        folded = sweep.reductions
    return tuple(pieces)


def read_later(graph: Graph, swept: Sequence[Pass]) -> frozenset[int]:
    """The nodes of few numbers that passes read, or what is computed ahead of those but the first, or that are outputs."""
    read = {n.index for sweep in swept for n in sweep.small} | {graph.outputs[name].index for name in graph.small}
    return frozenset(read | {a.index for sweep in swept[1:] for n in sweep.before for a in n.args})


def _pass_source(graph: Graph, sweep: Pass, w: Writer, title: str, kept: Mapping[str, Stored]) -> PassSource:
    stored = {} if sweep.reductions else outputs(graph)
    inputs = [n.attribute for n in sweep.nodes if n.op == "input"]
    arrays = tuple(dict.fromkeys([*inputs, *sweep.tables, *stored]))
    used = {a.index for n in sweep.nodes for a in n.args} | {n.index for n in stored.values()}
    used |= {n.args[0].index for n in sweep.reductions}
    scalars = [n for n in graph.nodes if n.op == "scalar" and n.index in used]
    small = [f"s{n.index}" for n in sweep.small]
    folded = [f"r{n.index}" for n in sweep.reductions]
    if folded:
        folded.insert(0, "buffer")
    kinds = {variable(a): kept[a].kind for a in arrays if a in kept}
    w.loads = {name: kept[name].load for name in inputs if name in kept}
    held = [Array(n, kinds.get(n, w.kind), ("n",)) for n in (*map(variable, arrays), *small, *folded)]
    w.line(w.dialect.comment(title))
    functions(w, sweep.nodes)
    with w.kernel(["first", "last", "n", "row_length"], held, [f"scalar{i}" for i in range(len(scalars))]):
        prologue(w, scalars)
        read_small(w, [n for n in sweep.small if not names(n.axes)], "0")
        _body(w, sweep, stored, kept)
    order = [n for n in graph.nodes if n.op == "scalar"]
    types = tuple(a.kind for a in held) if kept else ()
    text, named = written(w, held, len(scalars), 4), (*arrays, *small, *folded)
    source = KernelSource(text, named, len(scalars), np.dtype(w.kind), integers=4, types=types)
    return PassSource(sweep, source, arrays, tuple(order.index(n) for n in scalars))


def _body(w: Writer, sweep: Pass, stored: dict[str, Node], kept: Mapping[str, Stored]) -> None:
    def swept(ending: Callable[[], None], start: str, stop: str) -> None:
        _elements(w, sweep, ending, start, stop)

    if sweep.over == EACH_COLUMN:
        fold_source.columns(w, sweep.reductions, swept)
    elif sweep.reductions:
        fold_source.blocks(w, sweep.reductions, sweep.over == EACH_ROW, swept)
    else:
        swept(lambda: store(w, stored, kept), "first", "last")


def read_small(w: Writer, nodes: Sequence[Node], at: str) -> None:
    """Reading numbers of a row, a column or the tensor; truth values travel as zero and one."""
    for node in nodes:
        value = f"s{node.index}[{at}]" + (" != zero" if node.is_boolean else "")
        w.set(f"x{node.index}", value, "bool" if node.is_boolean else None)


def store(w: Writer, stored: Mapping[str, Node], kept: Mapping[str, Stored]) -> None:
    """Each output of element ``i`` stored.

    Args:
        w: where it is written.
        stored: the outputs with an element for each of the primary array's.
        kept: how arrays are stored that are kept in another type, by name.
    """
    for name, node in stored.items():
        target, x = f"{variable(name)}[i]", f"x{node.index}"
        if name in kept:
            kept[name].store(w, target, x)
        else:
            w.do(f"{target} = {x}")


def _elements(w: Writer, sweep: Pass, ending: Callable[[], None], start: str, stop: str) -> None:
    """The loop over elements; by rows where a number of the row is read."""
    columns = [n for n in sweep.small if n.axes == COLUMN]
    rows = [n for n in sweep.small if n.axes == ROW]

    def loop(start: str, stop: str) -> None:
        with w.places(start, stop):
            read_small(w, columns, w.dialect.index("at - row * row_length"))
            elements(w, sweep.nodes)
            ending()

    if not rows and not columns:
        loop(start, stop)
        return
    w.set("start", start, "int64")
    w.set(
        "row", w.dialect.quotient("start", "row_length"), "int64"
    )  # once: a division a row is long where rows are short
    with w.block(w.dialect.repeat(f"start < {stop}")):
        w.set("stop", w.dialect.least(stop, "(row + 1) * row_length"), "int64")
        read_small(w, rows, "row")
        loop("start", "stop")
        w.set("start", "stop", "int64")
        w.set("row", "row + 1", "int64")
