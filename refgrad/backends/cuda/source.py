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
    assert is_one_loop(graph), "what has reductions is staged"
    results = outputs(graph)
    names = tuple(dict.fromkeys([*graph.inputs(), *results]))
    kind = str(dtype)
    held = {name: stored.get(name, storage.Number(kind)) for name in names}
    arrays = [Array(variable(name), held[name].kind, ("n",)) for name in names]
    scalars = [node for node in graph.nodes if node.op == "scalar"]
    w = Writer(dtype, DIALECT)
    w.loads = {name: form.load for name, form in held.items() if form != storage.Number(kind)}
    w.line(DIALECT.comment(title))
    for line in storage.functions(held.values(), kind):
        w.line(line)
    functions(w, graph.nodes)
    with w.kernel(["n"], arrays, [f"scalar{i}" for i in range(len(scalars))]):
        prologue(w, scalars)
        before, head = DIALECT.strided("i", "n")
        for line in before:
            w.line(line)
        with w.block(head):
            elements(w, [node for node in graph.nodes if node.op != "scalar"])
            store(w, results, held)
    return KernelSource(
        written(w, arrays, len(scalars), 1), names, len(scalars), dtype, types=tuple(a.kind for a in arrays)
    )
