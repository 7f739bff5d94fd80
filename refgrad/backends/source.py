"""From a graph to the Python source of a Numba kernel: one loop over the elements, in place, one line an operation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refgrad.arithmetic import elementary
from refgrad.arithmetic.graph import Graph, Node, walk
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.backends import elementary_source, step_source


class _Writer:
    """How Numba is told what an operation is; its lines come before the expression that it gives."""

    def __init__(self, result: str, dtype: np.dtype) -> None:
        self.result, self.dtype, self.lines = result, dtype, list[str]()

    def both(self, a: str, b: str) -> str:
        return f"{a} and {b}"

    def either(self, a: str, b: str) -> str:
        return f"{a} or {b}"

    def negation(self, a: str) -> str:
        return f"not {a}"

    def select(self, condition: str, yes: str, no: str) -> str:
        return f"{yes} if {condition} else {no}"

    def call(self, function: str, x: str) -> str:
        return f"{'np.' if function == 'sqrt' else ''}{function}({x})"

    def whole(self, op: str, x: str) -> str:
        *lines, last = elementary_source.rounding(op, self.result, x, self.dtype)
        self.lines += lines
        return last.partition(" = ")[2]


def joined(op: str, a: str, b: str) -> str:
    """The expression that joins two terms of a reduction."""
    fold = OPERATIONS[op].fold
    assert fold is not None
    write = OPERATIONS[fold.op].write
    assert write is not None
    return write(_Writer("", np.dtype(np.float32)), a, b)


@dataclass(frozen=True)
class KernelSource:
    """A kernel's text and what it is called with: ``kernel(*integers, *array pointers, *scalars)``.

    ``types`` are the element types of the arrays where they are not all of ``dtype``.
    """

    text: str
    arrays: tuple[str, ...]
    scalars: int
    dtype: np.dtype
    integers: int = 1
    types: tuple[str, ...] = ()

    def element_types(self) -> tuple[str, ...]:
        """The element type of each array."""
        return self.types or (str(self.dtype),) * len(self.arrays)


def variable(name: str) -> str:
    """What a kernel calls a rule's array: no name of a kernel's own, and no keyword, ends in an underscore."""
    return f"{name}_"


def pointer(name: str) -> str:
    """What a kernel calls the address of what it calls ``name``."""
    return f"{name}_at"


def kernel_source(graph: Graph, dtype: np.dtype, title: str) -> KernelSource:
    """The source of the kernel that overwrites the outputs of a graph without reductions."""
    stored = outputs(graph)
    arrays = tuple(dict.fromkeys([*graph.inputs(), *stored]))
    scalars = [node for node in graph.nodes if node.op == "scalar"]
    names = [*(pointer(variable(a)) for a in arrays), *(f"scalar{i}" for i in range(len(scalars)))]
    lines = [f"# {title}", *functions(graph.nodes, dtype), f"def kernel({', '.join(['n', *names])}):"]
    lines += [f"    {variable(name)} = carray({pointer(variable(name))}, (n,))" for name in arrays]
    lines += indented(prologue(scalars, dtype), 1)
    lines += indented(_loops(graph, stored, dtype), 1)
    return KernelSource("\n".join([*lines, ""]), arrays, len(scalars), dtype)


#: elements that are looked through for large arguments before they are computed
LOOKED_THROUGH = 1024


def _loops(graph: Graph, stored: dict[str, Node], dtype: np.dtype) -> list[str]:
    """One loop over the elements; in blocks, of which those without a large argument get a loop without branches."""
    ending = [f"{variable(name)}[i] = x{node.index}" for name, node in stored.items()]
    body = [line for node in graph.nodes if node.op != "scalar" for line in element(node, dtype)] + ending
    branching = [n for n in graph.nodes if n.op in elementary_source.BRANCHING] if dtype == np.float32 else []
    ahead = list({a.index: a for n in branching for arg in n.args for a in walk(arg) if a.op != "scalar"}.values())
    if not branching or any(n.op in elementary_source.BRANCHING for n in ahead):
        return ["for i in range(n):", *indented(body, 1)]
    arguments = dict.fromkeys(n.args[0].index for n in branching)
    look = [line for node in ahead for line in element(node, dtype)]
    look += [f"far += 0 if abs(x{i}) < {dtype}({elementary.FAR!r}) else 1" for i in arguments]
    near = [line for node in graph.nodes if node.op != "scalar" for line in element(node, dtype, near=True)] + ending
    return [
        f"for start in range(0, n, {LOOKED_THROUGH}):",
        *indented([f"stop, far = min(start + {LOOKED_THROUGH}, n), 0", "for i in range(start, stop):"], 1),
        *indented(look, 2),
        *indented(["if far == 0:", "    for i in range(start, stop):"], 1),
        *indented(near, 3),
        *indented(["else:", "    for i in range(start, stop):"], 1),
        *indented(body, 3),
    ]


def functions(nodes: Sequence[Node], dtype: np.dtype) -> list[str]:
    """The elementary functions that nodes call: in float64 they are long, and stand once for all calls.

    In float32 they are short, and written out where they are called, so that loops are vectorized.
    """
    called = dict.fromkeys(n.op for n in nodes if is_function(n)) if dtype == np.float64 else {}
    return [line for op in called for line in elementary_source.definition(op, dtype)]


def outputs(graph: Graph) -> dict[str, Node]:
    """The arrays with an element for each of the primary one's that a kernel writes, with their new values."""
    return {
        name: node
        for name, node in graph.outputs.items()
        if name not in graph.small and (node.op != "input" or node.attribute != name)
    }


def prologue(scalars: Sequence[Node], dtype: np.dtype) -> list[str]:
    """Scalar scalars, and the constants that templates use, in the working dtype."""
    lines = [f"zero, one = {dtype}(0), {dtype}(1)"]
    return lines + [f"x{node.index} = {dtype}(scalar{i})" for i, node in enumerate(scalars)]


def element(node: Node, dtype: np.dtype, near: bool = False) -> list[str]:
    """The lines that compute a node for element ``i``; ``near`` as in `elementary_source.lines`."""
    if node.op == "input":
        return [f"x{node.index} = {variable(node.attribute)}[i]"]
    names = [f"x{a.index}" for a in node.args]
    if is_function(node):
        if dtype == np.float64:
            return [f"x{node.index} = {elementary_source.function_name(node.op)}({', '.join(names)})"]
        return elementary_source.lines(node.op, f"x{node.index}", names, dtype, near)
    if node.op == "round":
        return node.attribute.kernel(f"x{node.index}", names[0], (*names, None)[1], dtype)
    if node.op == "step":
        return step_source.lines(node.attribute, f"x{node.index}", names[0], dtype)
    write, writer = OPERATIONS[node.op].write, _Writer(f"x{node.index}", dtype)
    assert write is not None, f"no kernel has {node.op}"
    value = write(writer, *names)
    return [*writer.lines, f"x{node.index} = {value}"]


def is_function(node: Node) -> bool:
    """True of an elementary function."""
    return node.op in OPERATIONS and OPERATIONS[node.op].function is not None


def indented(lines: Sequence[str], depth: int) -> list[str]:
    """Lines moved right."""
    return ["    " * depth + line for line in lines]
