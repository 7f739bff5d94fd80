"""From a graph that ends in a selection to the source of its kernel: short rows, each written out.

The numbers of a row that follow each other in memory are computed, become integers of the same order, and are compared; a byte an
entry is stored. Numbers that are arrays as they are handed in, or magnitudes of these, are compared by the bits that they are
stored in, of 16 bits too.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from refgrad.arithmetic.graph import Graph, Node, walk
from refgrad.arithmetic.operations import ELEMENTWISE, OPERATIONS
from refgrad.arithmetic.operations.selections import INFINITY, integer, key
from refgrad.axes import ELEMENT, NUMBER
from refgrad.backends import step_source
from refgrad.backends.dialect import NUMBA, Array, Dialect
from refgrad.backends.source import KernelSource, elements, functions, prologue, variable, written
from refgrad.backends.writer import Writer

#: longer rows are not written out
LONGEST = 16


def as_stored(graph: Graph, output: str) -> str:
    """The name of the array whose numbers, or their magnitudes, a selection compares; empty where it computes them.

    Args:
        graph: the graph.
        output: the name of its output that is a selection.
    """
    (operand,) = graph.outputs[output].args
    operand = operand.args[0] if operand.op == "abs" else operand
    return operand.attribute if operand.op == "input" else ""


@lru_cache(maxsize=256)
def supports(graph: Graph, output: str, dtype: np.dtype, width: int) -> bool:
    """True if there is a kernel for rows of a width.

    Args:
        graph: the graph.
        output: the name of its output.
        dtype: that of the array whose bits are compared, or the working dtype.
        width: how many numbers a row has.
    """
    if str(dtype) not in INFINITY or width > LONGEST or not step_source.supports(graph):
        return False
    if as_stored(graph, output):
        return True
    nodes = list(walk(graph.outputs[output].args[0]))
    return dtype.itemsize >= 4 and all(_is_of_elements(n) for n in nodes)


def _is_of_elements(node: Node) -> bool:
    axes = (ELEMENT,) if node.op == "input" else (ELEMENT, NUMBER)
    return node.axes in axes and (not node.args or node.op in ELEMENTWISE)


@lru_cache(maxsize=256)
def group_source(
    graph: Graph, output: str, dtype: np.dtype, width: int, title: str, dialect: Dialect = NUMBA
) -> KernelSource:
    """``kernel(groups, *arrays, mask, *scalars)``: the mask is one byte an entry.

    Where a row has a multiple of four entries, four of them are stored as one word.

    Args:
        graph: the graph, which `supports` is true of.
        output: the name of its output that is a selection.
        dtype: that of the array whose bits are compared, or the working dtype.
        width: how many numbers a row has.
        title: what the first line says.
        dialect: the language.
    """
    node, name = graph.outputs[output], as_stored(graph, output)
    kind = integer(str(dtype))
    words, stored = (width // 4, "uint32") if width % 4 == 0 else (width, "uint8")
    mask = Array("mask", stored, ("groups", str(words)))
    w = Writer(np.dtype(kind) if name else dtype, dialect)
    w.line(dialect.comment(f"{title}: {node.attribute.k} of every {width}, ties {node.attribute.ties}, {dtype}"))
    operand = node.args[0]
    nodes = [] if name else list(walk(operand))
    names = (name,) if name else tuple(n.attribute for n in nodes if n.op == "input")
    shape = ("groups", str(width)) if name else (f"groups * {width}",)
    arrays = [*(Array(variable(n), kind if name else str(dtype), shape) for n in names), mask]
    scalars = [n for n in nodes if n.op == "scalar"]
    functions(w, nodes)
    with w.kernel(["groups"], arrays, [f"scalar{i}" for i in range(len(scalars))]):
        if not name:
            prologue(w, scalars)
        with w.loop("group", "0", "groups"):
            keys = _compared(w, node, name, dtype, width) if name else _computed(w, node, nodes, dtype, width)
            write = OPERATIONS[node.op].write
            assert write is not None
            _store(w, write(w, *keys, kind, node.attribute), words)
    types = tuple(a.kind for a in arrays)
    return KernelSource(written(w, arrays, len(scalars), 1), (*names, "mask"), len(scalars), np.dtype(w.kind), 1, types)


def _compared(w: Writer, node: Node, name: str, dtype: np.dtype, width: int) -> list[str]:
    """The keys of a row, from the bits of an array."""
    for i in range(width):
        bits = w.dialect.at(variable(name), ["group", str(i)], width)
        key(w, f"x{i}", bits, str(dtype), node.attribute, node.args[0].op == "abs")
    return [f"x{i}" for i in range(width)]


def _computed(w: Writer, node: Node, nodes: Sequence[Node], dtype: np.dtype, width: int) -> list[str]:
    """The keys of a row, whose numbers are computed one after the other."""
    for i in range(width):
        w.set("i", w.dialect.index(f"group * {width} + {i}"), "int64")
        elements(w, [n for n in nodes if n.op != "scalar"])
        bits = w.bits(w.kind, f"x{node.args[0].index}", integer(str(dtype)))
        key(w, f"key{i}", bits, str(dtype), node.attribute, node.args[0].op == "abs")
    return [f"key{i}" for i in range(width)]


def _store(w: Writer, kept: Sequence[str], words: int) -> None:
    if words == len(kept):
        values = list(kept)
    else:
        parts = [[_byte(w, kept[start + i], 8 * i) for i in range(4)] for start in range(0, len(kept), 4)]
        values = [w.cast("uint32", " | ".join(each)) for each in parts]
    for i, value in enumerate(values):
        w.do(f"{w.dialect.at('mask', ['group', str(i)], words)} = {value}")


def _byte(w: Writer, kept: str, shift: int) -> str:
    """One entry of a mask in its place in a word."""
    return f"({w.cast('uint32', kept)} << {w.number(shift, 'uint32')})"
