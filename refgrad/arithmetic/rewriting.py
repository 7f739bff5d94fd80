"""Rewriting graphs: nodes replaced, scalar expressions replaced, and one output's own part of a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from refgrad.arithmetic.graph import Builder, Graph, Node
from refgrad.arithmetic.operations import MATRIX
from refgrad.arithmetic.scalar_math import Expr, Scope, const
from refgrad.axes import ELEMENT, NUMBER, Axes

#: what stands in a node's place, from its rebuilt operands
Make = Callable[["Edit", tuple[Node, ...]], Node]
#: what an output becomes, from its rebuilt node
Out = Callable[["Edit", Node], Node]

ONE = const(1.0)


def negated(expr: Expr) -> Expr:
    """Minus a scalar expression."""
    return Expr("neg", (expr,))


def times(*factors: Expr) -> Expr:
    """A product of scalar expressions."""
    product = factors[0]
    for factor in factors[1:]:
        product = Expr("mul", (product, factor))
    return product


def complement(expr: Expr) -> Expr:
    """One minus a scalar expression."""
    return Expr("sub", (ONE, expr))


class Edit:
    """The nodes of a graph that is being written, and of the old one as they have become."""

    def __init__(self) -> None:
        self.builder = Builder(Scope(), 0)
        self.new: dict[int, Node] = {}

    def op(self, op: str, *args: Node, attribute: Any = None) -> Node:
        """An operation; a product or quotient by one is its other operand."""
        if op in ("mul", "div") and is_number(args[1], 1.0):
            return args[0]
        if op == "mul" and is_number(args[0], 1.0):
            return args[1]
        return self.builder.node(op, args, attribute)

    def scalar(self, expr: Expr) -> Node:
        """A scalar  where it meets an array."""
        return self.builder.node("scalar", (), expr, NUMBER)

    def number(self, value: float) -> Node:
        """A literal number."""
        return self.scalar(const(value))

    def input(self, name: str, axes: Axes = ELEMENT) -> Node:
        """An array that the rule is handed."""
        return self.builder.node("input", (), name, axes)

    def copy(self, node: Node, args: tuple[Node, ...]) -> Node:
        """A node with other operands."""
        if node.op in MATRIX:
            return self.builder.node(node.op, args, node.attribute, node.axes)
        if node.args:
            return self.op(node.op, *args, attribute=node.attribute)
        return self.builder.node(node.op, (), node.attribute, node.axes)


def is_number(node: Node, value: float) -> bool:
    """True if a node is this literal number."""
    return node.op == "scalar" and node.attribute == const(value)


def rebuilt(
    graph: Graph,
    at: Mapping[int, Make] | None = None,
    outputs: Mapping[str, Out] | None = None,
    scalar: Callable[[Expr], Expr] | None = None,
) -> Graph:
    """A graph with some nodes made anew (what uses them uses the new ones), outputs replaced, and scalar expressions mapped."""
    edit = Edit()
    at, outputs = at or {}, outputs or {}
    for node in graph.nodes:
        args = tuple(edit.new[a.index] for a in node.args)
        if node.index in at:
            edit.new[node.index] = at[node.index](edit, args)
        elif scalar is not None and node.op == "scalar":
            edit.new[node.index] = edit.scalar(scalar(node.attribute))
        else:
            edit.new[node.index] = edit.copy(node, args)
    results = {n: edit.new[node.index] for n, node in graph.outputs.items()}
    results |= {n: make(edit, results[n]) for n, make in outputs.items()}
    scalar_outputs, guards = graph.scalar_outputs, graph.guards
    if scalar is not None:
        scalar_outputs = {n: scalar(e) for n, e in scalar_outputs.items()}
        guards = tuple((scalar(e), taken) for e, taken in guards)
    return Graph(edit.builder.live(results), results, scalar_outputs, guards, graph.small)


def with_output(graph: Graph, other: Graph, output: str) -> Graph:
    """A graph with one output as another graph of the same inputs has it."""
    edit, made = Edit(), []
    for each in (graph, other):
        edit.new = {}
        for node in each.nodes:
            edit.new[node.index] = edit.copy(node, tuple(edit.new[a.index] for a in node.args))
        made.append({n: edit.new[node.index] for n, node in each.outputs.items()})
    results = {**made[0], output: made[1][output]}
    return Graph(edit.builder.live(results), results, graph.scalar_outputs, graph.guards, graph.small)


def replaced(expr: Expr, old: Expr, new: Expr) -> Expr:
    """A scalar expression with each occurrence of a subexpression replaced."""
    if expr == old:
        return new
    if expr.op in ("const", "name"):
        return expr
    return Expr(expr.op, tuple(replaced(a, old, new) for a in expr.args))


def subexpressions(expr: Expr) -> Iterator[Expr]:
    """A scalar expression and all that it is made of."""
    yield expr
    if expr.op not in ("const", "name"):
        for arg in expr.args:
            yield from subexpressions(arg)


#: shallow descriptions of nodes -> numbers: equal numbers mean equal expressions
_NUMBERS: dict[Any, int] = {}


def _number(description: Any) -> int:
    return _NUMBERS.setdefault(description, len(_NUMBERS))


def keys(graph: Graph) -> dict[int, int]:
    """A number for each node's expression, in which the outputs that it is computed from are atoms.

    Equal expressions have equal numbers within a process, whatever graph they stand in.
    """
    atoms = _atoms(graph)
    found: dict[int, int] = {}
    for node in graph.nodes:
        args = tuple(_number(("output", atoms[a.index])) if a.index in atoms else found[a.index] for a in node.args)
        found[node.index] = _number((node.op, node.attribute, args))
    return found


def _atoms(graph: Graph) -> dict[int, str]:
    """Outputs that are operations, by index."""
    return {node.index: name for name, node in reversed(list(graph.outputs.items())) if node.op != "input"}


def observed_name(output: str) -> str:
    """What a new value is called where it is read."""
    return f"{output}'"


def cone(graph: Graph, output: str) -> Graph:
    """One output's own part of a graph: the other outputs, where it reads them, are inputs named ``m'``."""
    root = graph.outputs[output]
    atoms = {index: name for index, name in _atoms(graph).items() if index != root.index}
    edit = Edit()

    def build(node: Node) -> Node:
        if node.index not in edit.new:
            if node.index in atoms:
                edit.new[node.index] = edit.input(observed_name(atoms[node.index]), node.axes)
            else:
                edit.new[node.index] = edit.copy(node, tuple(build(a) for a in node.args))
        return edit.new[node.index]

    roots = {output: build(root)}
    small = {n: axes for n, axes in graph.small.items() if n == output}
    return Graph(edit.builder.live(roots), roots, {}, (), small)


def cone_nodes(graph: Graph, output: str) -> list[Node]:
    """The nodes of one output's own part, in order; where it reads other outputs, these are left out."""
    root = graph.outputs[output]
    atoms = set(_atoms(graph)) - {root.index}
    found: dict[int, Node] = {}
    stack = [root]
    while stack:
        node = stack.pop()
        if node.index not in found and node.index not in atoms:
            found[node.index] = node
            stack.extend(node.args)
    return [found[i] for i in sorted(found)]
