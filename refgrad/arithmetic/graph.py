"""The expression graph of a rule: operations on arrays in SSA form, with scalars at its leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refgrad.arithmetic.carrier import Carrier
from refgrad.arithmetic.operations import BOOLEAN, MATRIX, OPERATIONS, REDUCTIONS
from refgrad.arithmetic.scalar_math import Expr, Scalar, Scope, name
from refgrad.errors import TraceError

#: how an operation's value is shaped: one number a tensor, one a column, one a row; a square matrix of the rows, or of the
#: columns; a basis of a subspace of either, and what is seen in it; or one number an element
LEVELS = ("scalar", "tensor", "column", "row", "left", "right", "thin", "low", "element")
#: levels whose arrays do not broadcast against the parameter
SQUARE = frozenset({"left", "right", "thin", "low"})


@dataclass(frozen=True, eq=False)
class Node:
    """One operation.

    ``attribute`` is an input's name, a scalar's scalar expression, what a reduction runs over, or a step function.
    """

    index: int
    op: str
    args: tuple[Node, ...]
    attribute: Any
    level: str

    @property
    def is_boolean(self) -> bool:
        """Whether its value is true or false."""
        return self.op in BOOLEAN

    def __repr__(self) -> str:
        inner = ", ".join(f"%{a.index}" for a in self.args) if self.args else repr(self.attribute)
        return f"%{self.index} = {self.op}({inner}) [{self.level}]"


@dataclass(frozen=True, eq=False)
class Graph:
    """A rule's update, traced.

    ``outputs`` maps ``p`` and each array slot to the node of its new value, ``scalar_outputs`` each scalar slot to its
    new value's expression; ``guards`` are the branches on scalars under which the graph is valid. ``small`` names
    the outputs that are one number a row or a tensor, with which of the two.
    """

    nodes: tuple[Node, ...]
    outputs: Mapping[str, Node]
    scalar_outputs: Mapping[str, Expr]
    guards: tuple[tuple[Expr, bool], ...]
    small: Mapping[str, str] = field(default_factory=dict)

    def inputs(self) -> list[str]:
        """The arrays that the graph reads, in order of first use."""
        return [n.attribute for n in self.nodes if n.op == "input"]

    def scalars(self) -> list[Expr]:
        """The scalars that meet an array, in order of first use."""
        return [n.attribute for n in self.nodes if n.op == "scalar"]

    def reductions(self) -> list[Node]:
        """The reductions, in order of dependence."""
        return [n for n in self.nodes if n.op in REDUCTIONS]

    def couples(self) -> bool:
        """Whether elements see each other: by a reduction, or by an operation on matrices."""
        return self.matrix() or any(n.op in REDUCTIONS for n in self.nodes)

    def matrix(self) -> bool:
        """Whether some operation is one on matrices, or some value a square matrix."""
        return bool(SQUARE & set(self.small.values())) or any(n.op in MATRIX or n.level in SQUARE for n in self.nodes)

    def cut(self, outputs: Mapping[str, Node], cuts: Mapping[int, str]) -> Graph:
        """The graph of some outputs in which the nodes of some indices are inputs, under names."""
        new: dict[int, Node] = {}
        for node in self.nodes:
            if node.index in cuts:
                new[node.index] = Node(node.index, "input", (), cuts[node.index], node.level)
            else:
                args = tuple(new[a.index] for a in node.args)
                new[node.index] = Node(node.index, node.op, args, node.attribute, node.level)
        roots = {name: new[node.index] for name, node in outputs.items()}
        needed = {n.index for root in roots.values() for n in walk(root)}
        kept = tuple(new[n.index] for n in self.nodes if n.index in needed)
        small = {n: level for n, level in self.small.items() if n in roots}
        return Graph(kept, roots, {}, self.guards, small)

    def counts(self) -> dict[str, int]:
        """How often each array operation occurs."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            if node.args:
                counts[node.op] = counts.get(node.op, 0) + 1
        return counts


def joint_level(levels: Sequence[str]) -> str:
    """The level of what is computed from values of these levels: of rows and columns, one number an element."""
    present = set(levels)
    if present & SQUARE and len(present - {"scalar", "tensor"}) > 1:
        raise TraceError(f"values that are one a {' and a '.join(sorted(present))} meet; legal: products by `matmul`")
    return "element" if {"row", "column"} <= present else max(levels, key=LEVELS.index)


def matrix_level(op: str, levels: Sequence[str], attribute: Any, ndim: int) -> str:
    """The level of an operation on matrices."""
    level = OPERATIONS[op].level
    assert level is not None
    return level(levels, attribute) if ndim else "element"


@dataclass
class Builder:
    """Collects nodes; equal operations on equal operands become one node."""

    scope: Scope
    ndim: int
    nodes: list[Node] = field(default_factory=list)
    _known: dict[Any, Node] = field(default_factory=dict)

    def node(self, op: str, args: tuple[Node, ...] = (), attribute: Any = None, level: str | None = None) -> Node:
        """The node of an operation, new or already there."""
        key = (op, tuple(a.index for a in args), attribute)
        if key not in self._known:
            widest = level or joint_level([a.level for a in args])
            self._known[key] = Node(len(self.nodes), op, args, attribute, widest)
            self.nodes.append(self._known[key])
        return self._known[key]

    def input(self, text: str, level: str = "element") -> Tracer:
        """An array that the rule is handed."""
        return Tracer(self.node("input", (), text, level), self)

    def lift(self, value: Any) -> Node:
        """An operand as a node: a tracer, a scalar, or a number."""
        if isinstance(value, Tracer):
            return value.node
        scalar = self.scope.lift(value)
        if scalar is None:
            raise TraceError(f"an operand is {value!r} of type {type(value).__name__}; legal: arrays and numbers")
        return self.node("scalar", (), scalar.expr, "scalar")

    def live(self, roots: Mapping[str, Node]) -> tuple[Node, ...]:
        """The nodes that the outputs need, in order."""
        needed: set[int] = set()
        stack = list(roots.values())
        while stack:
            node = stack.pop()
            if node.index not in needed:
                needed.add(node.index)
                stack.extend(node.args)
        return tuple(n for n in self.nodes if n.index in needed)


class Tracer(Carrier):
    """An array that only remembers what is done to it."""

    __slots__ = ("builder", "node")

    def __init__(self, node: Node, builder: Builder) -> None:
        self.node, self.builder = node, builder

    @property
    def ndim(self) -> int:
        """The number of axes of the parameter; a rule may branch on it."""
        return self.builder.ndim

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        over = attributes.get("over")
        if op == "length":
            return Scalar(name(f"{over}_length"), 1.0, self.builder.scope)
        nodes = tuple(self.builder.lift(a) for a in args)
        if op == "square":
            return Tracer(self.builder.node("mul", (nodes[0], nodes[0])), self.builder)
        if over in ("row", "column") and nodes[0].level in ({"row", "column"} - {over}):
            raise TraceError(f"a reduction over each {over} is of one number a {nodes[0].level}; legal: of elements")
        rule = attributes.get("rule", over)
        level = matrix_level(op, [n.level for n in nodes], rule, self.ndim) if op in MATRIX else over
        return Tracer(self.builder.node(op, nodes, rule, level), self.builder)


def walk(node: Node) -> Iterator[Node]:
    """The node and all that it is computed from, each once, operands first."""
    seen: set[int] = set()

    def visit(current: Node) -> Iterator[Node]:
        if current.index in seen:
            return
        seen.add(current.index)
        for arg in current.args:
            yield from visit(arg)
        yield current

    yield from visit(node)
