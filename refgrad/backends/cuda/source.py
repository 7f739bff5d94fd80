"""From a graph to the source of a CUDA kernel: one loop over the elements, which the threads of the grid share, in place."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np

from refgrad.arithmetic.graph import Graph
from refgrad.axes import ELEMENT
from refgrad.backends import step_source
from refgrad.backends.cuda import storage
from refgrad.backends.cuda.dialect import DIALECT
from refgrad.backends.dialect import Array
from refgrad.backends.source import KernelSource, elements, functions, outputs, prologue, variable, written
from refgrad.backends.staged_source import store
from refgrad.backends.writer import Writer

AS_THEY_ARE: storage.Forms = MappingProxyType({})


def why_not(graph: Graph) -> str | None:
    """Why no CUDA kernel is printed of a graph yet, in words; None if one is.

    >>> from refgrad.optimizers import LAMB, Muon
    >>> why_not(LAMB().plan((4,), 1).graph)
    >>> why_not(Muon().plan((4, 4), 1).graph)
    'it has operations on matrices'
    """
    if graph.matrix():
        return "it has operations on matrices"
    if not step_source.supports(graph):
        return "it has a step function that kernels do not have"
    if any(graph.outputs[name].op == "scalar" for name in graph.small):
        return "it sets a number of a row, a column or a tensor to a constant"
    return None


def is_one_loop(graph: Graph) -> bool:
    """True if one loop over the elements computes a graph: nothing is one number a row, a column or a tensor.

    >>> from refgrad.optimizers import LAMB, AdamW
    >>> [is_one_loop(rule.plan((4,), 1).graph) for rule in (AdamW(), LAMB())]
    [True, False]
    """
    small = any(n.op == "input" and n.axes != ELEMENT for n in graph.nodes)
    return not (graph.reductions() or graph.small or small or graph.matrix())


def kernel_source(graph: Graph, dtype: np.dtype, title: str, stored: storage.Forms = AS_THEY_ARE) -> KernelSource:
    """The source of the kernel that overwrites the outputs of an elementwise graph.

    It is called with the number of elements, the addresses of its arrays and its scalars in float64; any grid is right.

    Args:
        graph: the graph.
        dtype: the working dtype, float32 or float64.
        title: what its first line says.
        stored: how arrays are stored, by name; those that are not named in the working dtype.

    Raises:
        ArgumentError: a dtype is not one that kernels store.

    >>> from refgrad.optimizers import SGD
    >>> source = kernel_source(SGD().plan((4,), 1).graph, np.dtype(np.float32), "SGD")
    >>> [line.strip() for line in source.text.splitlines() if "_[i]" in line]
    ['float x0 = p_[i];', 'float x1 = g_[i];', 'p_[i] = x4;']
    """
    loop = _Loop(graph, dtype, stored)
    w, scalars = loop.begun(title), loop.scalars
    with w.kernel(["n"], loop.arrays, [f"scalar{i}" for i in range(len(scalars))]):
        prologue(w, scalars)
        before, head = DIALECT.strided("i", "n")
        for line in before:
            w.line(line)
        with w.block(head):
            loop.element(w)
    text = written(w, loop.arrays, len(scalars), 1)
    return KernelSource(text, loop.names, len(scalars), dtype, types=tuple(a.kind for a in loop.arrays))


#: how many elements of a tensor a block of threads takes at a time, where a launch is for several tensors
CHUNK = 4096


def many_source(graph: Graph, dtype: np.dtype, title: str, stored: storage.Forms = AS_THEY_ARE) -> KernelSource:
    """The same for several tensors in one launch, called with how many there are, how many chunks, and a table.

    A row of the table is a tensor: the number of its first chunk, that of its elements, and the addresses of its arrays in the
    order of those of `kernel_source`. The last block of a tensor may have less to do.

    Args:
        graph: the graph.
        dtype: the working dtype.
        title: what its first line says.
        stored: how arrays are stored, by name; the same for all tensors.
    """
    loop = _Loop(graph, dtype, stored)
    w, scalars, width = loop.begun(f"{title}, several tensors"), loop.scalars, 2 + len(loop.arrays)
    table = Array("table_", "int64", ("tensors", str(width)))
    with w.kernel(["tensors", "chunks"], [table], [f"scalar{i}" for i in range(len(scalars))]):
        prologue(w, scalars)
        with w.block(DIALECT.by_blocks("chunk", "chunks")):
            _found(w, width)
            for place, array in enumerate(loop.arrays):
                w.line(DIALECT.pointer(array, f"table_[row + {2 + place}]"))
            w.set("start", f"(chunk - table_[row]) * {CHUNK}", "int64")
            w.set("stop", DIALECT.least(f"start + {CHUNK}", "table_[row + 1]"), "int64")
            w.line("#pragma unroll 1")
            with w.block(DIALECT.by_threads("i", "start", "stop")):
                loop.element(w)
    text = written(w, [table], len(scalars), 2)
    return KernelSource(text, ("table",), len(scalars), dtype, 2, ("int64",))


def _found(w: Writer, width: int) -> None:
    """Where the row of the chunk's tensor begins: of the last one whose first chunk is not behind it."""
    w.set("low", "0", "int64")
    w.set("high", "tensors", "int64")
    w.line("#pragma unroll 1")
    with w.block(DIALECT.repeat("high - low > 1")):
        w.set("middle", "(low + high) / 2", "int64")
        w.set("behind", f"table_[middle * {width}] > chunk", "bool")
        w.set("high", DIALECT.select("behind", "middle", "high"), "int64")
        w.set("low", DIALECT.select("behind", "low", "middle"), "int64")
    w.set("row", f"low * {width}", "int64")


class _Loop:
    """What a kernel of one loop reads, computes and stores.

    Args:
        graph: the graph.
        dtype: the working dtype.
        stored: how arrays are stored, by name.
    """

    def __init__(self, graph: Graph, dtype: np.dtype, stored: storage.Forms) -> None:
        assert is_one_loop(graph), "what has reductions is staged"
        self.graph, self.dtype, self.results = graph, dtype, outputs(graph)
        self.names = tuple(dict.fromkeys([*graph.inputs(), *self.results]))
        self.held = {name: stored.get(name, storage.Number(str(dtype))) for name in self.names}
        self.arrays = [Array(variable(name), self.held[name].kind, ("n",)) for name in self.names]
        self.scalars = [node for node in graph.nodes if node.op == "scalar"]

    def begun(self, title: str) -> Writer:
        """A writer with what stands ahead of the kernel."""
        w, kind = Writer(self.dtype, DIALECT), str(self.dtype)
        w.loads = {name: form.load for name, form in self.held.items() if form != storage.Number(kind)}
        w.line(DIALECT.comment(title))
        for line in storage.functions(self.held.values(), kind):
            w.line(line)
        functions(w, self.graph.nodes)
        return w

    def element(self, w: Writer) -> None:
        """Element ``i``."""
        elements(w, [node for node in self.graph.nodes if node.op != "scalar"])
        store(w, self.results, self.held)
