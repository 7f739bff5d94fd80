"""From a graph to the source of a kernel: one loop over the elements, in place, one line an operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from refgrad.arithmetic import elementary
from refgrad.arithmetic.graph import Graph, Node, walk
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.axes import TABLE
from refgrad.backends.dialect import NUMBA, Array, Dialect
from refgrad.backends.writer import Writer

#: the functions whose reduction of a large argument is a branch, which keeps a loop from being vectorized
BRANCHING = frozenset({"sin", "cos"})


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


def written(w: Writer, arrays: Sequence[Array], scalars: int, integers: int) -> str:
    """The text of the file that holds a kernel which was written.

    Args:
        w: what it was written with.
        arrays: the arrays that it takes.
        scalars: how many scalars.
        integers: how many integers.
    """
    kinds = [*["integer"] * integers, *(f"address:{a.kind}" for a in arrays), *["scalar"] * scalars]
    return w.dialect.file(w.text(), kinds)


def variable(name: str) -> str:
    """What a kernel calls a rule's array: no name of a kernel's own, and no keyword, ends in an underscore."""
    return f"{name}_"


def kernel_source(graph: Graph, dtype: np.dtype, title: str, dialect: Dialect = NUMBA) -> KernelSource:
    """The source of the kernel that overwrites the outputs of a graph without reductions."""
    stored = outputs(graph)
    names = tuple(dict.fromkeys([*graph.inputs(), *stored]))
    scalars = [node for node in graph.nodes if node.op == "scalar"]
    arrays = [Array(variable(name), str(dtype), ("n",)) for name in names]
    w = Writer(dtype, dialect)
    w.line(dialect.comment(title))
    functions(w, graph.nodes)
    with w.kernel(["n"], arrays, [f"scalar{i}" for i in range(len(scalars))]):
        prologue(w, scalars)
        _loops(w, graph, stored)
    return KernelSource(written(w, arrays, len(scalars), 1), names, len(scalars), dtype)


#: elements that are looked through for large arguments before they are computed
LOOKED_THROUGH = 1024


def _loops(w: Writer, graph: Graph, stored: dict[str, Node]) -> None:
    """One loop over the elements; in blocks, of which those without a large argument get a loop without branches."""
    branching = [n for n in graph.nodes if n.op in BRANCHING] if w.kind == "float32" else []
    ahead = list({a.index: a for n in branching for arg in n.args for a in walk(arg) if a.op != "scalar"}.values())
    nodes = [node for node in graph.nodes if node.op != "scalar"]

    def whole(start: str, stop: str, near: bool = False) -> None:
        with w.loop("i", start, stop) if start == "0" else w.places(start, stop):
            elements(w, nodes, near)
            for name, node in stored.items():
                w.do(f"{variable(name)}[i] = x{node.index}")

    if not branching or any(n.op in BRANCHING for n in ahead):
        whole("0", "n")
        return
    with w.loop("start", "0", "n", LOOKED_THROUGH):
        w.declare(["stop", "far"], [w.dialect.least(f"start + {LOOKED_THROUGH}", "n"), "0"], "int64")
        with w.places("start", "stop"):
            elements(w, ahead)
            for index in dict.fromkeys(n.args[0].index for n in branching):
                small = f"{w.call('abs', f'x{index}')} < {w.number(elementary.FAR)}"
                w.do(f"far += {w.select(small, '0', '1')}")
        with w.block(w.dialect.when("far == 0")):
            whole("start", "stop", near=True)
        with w.block(w.dialect.otherwise()):
            whole("start", "stop")


def functions(w: Writer, nodes: Sequence[Node]) -> None:
    """The elementary functions that nodes call, each once for all calls: a kernel of many copies would compile for long."""
    for op in dict.fromkeys(n.op for n in nodes if is_function(n)):
        if not _is_called(w, op):
            continue
        operands = ["a", "b"][: OPERATIONS[op].arity]
        *before, head = w.dialect.function(function_name(op), operands, w.kind)
        for line in before:
            w.line(line)
        with w.block(head):
            w.begin("value")
            w.set("value", inlined(w, op, operands))
            w.line(w.dialect.gives("value"))


def _is_called(w: Writer, op: str) -> bool:
    """True of an elementary function that is not written out where it is used.

    In float64 all are long. In float32 they are short, and written out, so that loops are vectorized; but not with the branch
    for large arguments, which is long, and keeps a loop from being vectorized anyhow.
    """
    return w.kind == "float64" or (op in BRANCHING and not w.near)


def function_name(op: str) -> str:
    """What a kernel calls a function that it defines."""
    return f"elementary_{op}"


def outputs(graph: Graph) -> dict[str, Node]:
    """The arrays with an element for each of the primary one's that a kernel writes, with their new values."""
    return {
        name: node
        for name, node in graph.outputs.items()
        if name not in graph.small and (node.op != "input" or node.attribute != name)
    }


def prologue(w: Writer, scalars: Sequence[Node]) -> None:
    """Scalars, and the constants that operations use, in the working dtype."""
    w.declare(["zero", "one"], [w.cast(w.kind, "0"), w.cast(w.kind, "1")])
    for i, node in enumerate(scalars):
        w.set(f"x{node.index}", w.cast(w.kind, f"scalar{i}"))


def elements(w: Writer, nodes: Sequence[Node], near: bool = False) -> None:
    """What computes nodes for element ``i``.

    Args:
        w: where it is written.
        nodes: the nodes, operands first.
        near: True where no argument of `BRANCHING` functions is as large as `elementary.FAR`.
    """
    w.near = near
    for node in nodes:
        _element(w, node)
    w.near = False


def _element(w: Writer, node: Node) -> None:
    # of a table no element is read but at its places
    result = f"x{node.index}"
    names = [variable(a.attribute) if a.axes == TABLE else f"x{a.index}" for a in node.args]
    w.begin(result)
    if node.op == "input":
        value, load = f"{variable(node.attribute)}[i]", w.loads.get(node.attribute)
        w.set(result, value if load is None else load(w, value))
        return
    if is_function(node):
        call = f"{function_name(node.op)}({', '.join(names)})"
        w.set(result, call if _is_called(w, node.op) else inlined(w, node.op, names))
        return
    op = OPERATIONS[node.op]
    assert op.write is not None, f"no kernel has {node.op}"
    value = op.write(w, *names, node.attribute) if op.attributed else op.write(w, *names)
    w.set(result, value, "bool" if node.is_boolean else None)


def inlined(w: Writer, op: str, operands: Sequence[str]) -> str:
    """An elementary function where it stands: in float64, rounded to the working dtype."""
    wide = [w.new(w.cast("float64", x)) for x in operands]
    function: Callable[..., object] = OPERATIONS[op].in_float64(w.kind)
    return w.cast(w.kind, str(function(*wide, w)))


def is_function(node: Node) -> bool:
    """True of an elementary function."""
    return node.op in OPERATIONS and OPERATIONS[node.op].function is not None
