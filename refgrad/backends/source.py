"""From a graph to the Python source of a Numba kernel: one loop over the elements, in place, one line an operation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refgrad.arithmetic.graph import Graph, Node

INFIX = {
    "add": "+",
    "sub": "-",
    "mul": "*",
    "div": "/",
    "lt": "<",
    "le": "<=",
    "gt": ">",
    "ge": ">=",
    "eq": "==",
    "ne": "!=",
}
CALLS = {
    "sqrt": "np.sqrt({0})",
    "abs": "abs({0})",
    "neg": "-{0}",
    "not": "not {0}",
    "and": "{0} and {1}",
    "or": "{0} or {1}",
}
#: NaN from either side goes on, as with NumPy
SELECTIONS = {
    "maximum": "{0} if ({0} >= {1} or {0} != {0}) else {1}",
    "minimum": "{0} if ({0} <= {1} or {0} != {0}) else {1}",
    "where": "{1} if {0} else {2}",
    "sign": "one if {0} > zero else (-one if {0} < zero else (zero if {0} == zero else {0}))",
}
TEMPLATES = {**CALLS, **SELECTIONS, **{op: "{0} " + sign + " {1}" for op, sign in INFIX.items()}}


@dataclass(frozen=True)
class KernelSource:
    """A kernel's text and what it is called with: ``kernel(n, *array pointers, *scalars)``."""

    text: str
    arrays: tuple[str, ...]
    scalars: int
    dtype: np.dtype


def supported(graph: Graph) -> bool:
    """Whether one loop over the elements computes the graph: it has no reduction and no transcendental."""
    return all(node.op in TEMPLATES for node in graph.nodes if node.args)


def kernel_source(graph: Graph, dtype: np.dtype, title: str) -> KernelSource:
    """The source of the kernel that overwrites the graph's outputs."""
    outputs = {name: node for name, node in graph.outputs.items() if node.op != "input" or node.attribute != name}
    arrays = tuple(dict.fromkeys([*graph.inputs(), *outputs]))
    count = len(graph.scalars())
    real = str(dtype)
    scalars = [f"scalar{i}" for i in range(count)]
    lines = [f"# {title}", f"def kernel({', '.join(['n', *(a + '_at' for a in arrays), *scalars])}):"]
    lines += [f"    {name} = carray({name}_at, (n,))" for name in arrays]
    lines += [f"    zero, one = {real}(0), {real}(1)"]
    numbered = iter(range(count))
    body = []
    for node in graph.nodes:
        if node.op == "scalar":
            i = next(numbered)
            lines.append(f"    x{node.index} = {real}(scalar{i})")
        else:
            body.append(f"        x{node.index} = {_expression(node)}")
    stores = [f"        {name}[i] = x{node.index}" for name, node in outputs.items()]
    text = "\n".join([*lines, "    for i in range(n):", *body, *stores, ""])
    return KernelSource(text, arrays, count, dtype)


def _expression(node: Node) -> str:
    if node.op == "input":
        return f"{node.attribute}[i]"
    return TEMPLATES[node.op].format(*(f"x{a.index}" for a in node.args))
