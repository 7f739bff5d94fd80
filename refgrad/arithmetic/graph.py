"""The expression graph of a rule: operations on arrays in SSA form, with scalars at its leaves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from refgrad.arithmetic.carrier import REDUCED, Carrier
from refgrad.arithmetic.operations import BOOLEAN, MATRIX, OPERATIONS, REDUCTIONS, SELECTIONS
from refgrad.arithmetic.scalar_math import Expr, Scalar, Scope, name
from refgrad.axes import ELEMENT, NUMBER, TABLE, Axes, after, broadcasts, joint, left_by
from refgrad.errors import TraceError


@dataclass(frozen=True, eq=False)
class Node:
    """One operation.

    ``attribute`` is an input's name, a scalar's scalar expression, the axes that a reduction folds, or a step function;
    ``axes`` are the names of its value's axes (see `refgrad.axes`).
    """

    index: int
    op: str
    args: tuple[Node, ...]
    attribute: Any
    axes: Axes

    @property
    def is_boolean(self) -> bool:
        """True if its value is true or false."""
        return self.op in BOOLEAN

    def __repr__(self) -> str:
        inner = ", ".join(f"%{a.index}" for a in self.args) if self.args else repr(self.attribute)
        return f"%{self.index} = {self.op}({inner}) [{' '.join(self.axes)}]"


@dataclass(frozen=True, eq=False)
class Graph:
    """A rule's update, traced.

    ``outputs`` maps ``p`` and each array slot to the node of its new value, ``scalar_outputs`` each scalar slot to its
    new value's expression; ``guards`` are the branches on scalars under which the graph is valid. ``small`` names
    the outputs that are not shaped like the primary array, with their axes.
    """

    nodes: tuple[Node, ...]
    outputs: Mapping[str, Node]
    scalar_outputs: Mapping[str, Expr]
    guards: tuple[tuple[Expr, bool], ...]
    small: Mapping[str, Axes] = field(default_factory=dict)

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
        """True if elements see each other: by a reduction, a selection, or an operation on matrices."""
        return self.matrix() or any(n.op in REDUCTIONS | SELECTIONS for n in self.nodes)

    def matrix(self) -> bool:
        """True if some operation is one on matrices, or some value a square matrix."""
        return any(n.op in MATRIX for n in self.nodes) or not all(broadcasts(a) or a == TABLE for a in self._axes())

    def not_unique(self) -> frozenset[str]:
        """The outputs that have no truth of their own, others being given: some operation that they need has none."""
        given = {node.index for node in self.outputs.values()}
        return frozenset(name for name, node in self.outputs.items() if _loose(node, given))

    def computed_from(self) -> dict[str, frozenset[str]]:
        """Of each output the others that it is computed from."""
        found = {}
        for output, root in self.outputs.items():
            needed = {node.index for node in walk(root)}
            found[output] = frozenset(n for n, node in self.outputs.items() if n != output and node.index in needed)
        return found

    def _axes(self) -> Iterator[Axes]:
        yield from self.small.values()
        yield from (n.axes for n in self.nodes)

    def cut(self, outputs: Mapping[str, Node], cuts: Mapping[int, str]) -> Graph:
        """The graph of some outputs in which the nodes of some indices are inputs, under names."""
        new: dict[int, Node] = {}
        for node in self.nodes:
            if node.index in cuts:
                new[node.index] = Node(node.index, "input", (), cuts[node.index], node.axes)
            else:
                args = tuple(new[a.index] for a in node.args)
                new[node.index] = Node(node.index, node.op, args, node.attribute, node.axes)
        roots = {name: new[node.index] for name, node in outputs.items()}
        needed = {n.index for root in roots.values() for n in walk(root)}
        kept = tuple(new[n.index] for n in self.nodes if n.index in needed)
        small = {n: axes for n, axes in self.small.items() if n in roots}
        return Graph(kept, roots, {}, self.guards, small)

    def counts(self) -> dict[str, int]:
        """How often each array operation occurs."""
        counts: dict[str, int] = {}
        for node in self.nodes:
            if node.args:
                counts[node.op] = counts.get(node.op, 0) + 1
        return counts


def _loose(root: Node, given: set[int]) -> bool:
    """True if a node needs an operation whose result is not unique, other nodes being given."""
    seen, stack = set(given), [root]
    while stack:
        node = stack.pop()
        if node.args and not OPERATIONS[node.op].unique:
            return True
        stack += [a for a in node.args if a.index not in seen]
        seen.update(a.index for a in node.args)
    return False


def axes_of(op: str, operands: Sequence[Axes], attribute: Any, ndim: int) -> Axes:
    """The axes of an operation's value.

    Args:
        op: the operation.
        operands: the axes of its operands.
        attribute: its attribute.
        ndim: the number of axes of the parameter; one without axes has no matrices.

    Raises:
        TraceError: the axes of its operands do not fit.
    """
    if op in REDUCTIONS:
        return after(operands[0], attribute)
    own = OPERATIONS[op].axes if op in OPERATIONS else None
    if own is None:
        return joint(operands)
    return own(operands, attribute) if ndim else ELEMENT


@dataclass
class Builder:
    """Collects nodes; equal operations on equal operands become one node."""

    scope: Scope
    ndim: int
    nodes: list[Node] = field(default_factory=list)
    _known: dict[Any, Node] = field(default_factory=dict)

    def node(self, op: str, args: tuple[Node, ...] = (), attribute: Any = None, axes: Axes | None = None) -> Node:
        """The node of an operation, new or already there; its axes follow from those of its operands, where it has any."""
        key = (op, tuple(a.index for a in args), attribute)
        if key not in self._known:
            own = axes_of(op, [a.axes for a in args], attribute, self.ndim) if axes is None else axes
            self._known[key] = Node(len(self.nodes), op, args, attribute, own)
            self.nodes.append(self._known[key])
        return self._known[key]

    def input(self, text: str, axes: Axes = ELEMENT) -> Tracer:
        """An array that the rule is handed."""
        return Tracer(self.node("input", (), text, axes), self)

    def lift(self, value: Any) -> Node:
        """An operand as a node: a tracer, a scalar, or a number."""
        if isinstance(value, Tracer):
            return value.node
        scalar = self.scope.lift(value)
        if scalar is None:
            raise TraceError(f"an operand is {value!r} of type {type(value).__name__}; legal: arrays and numbers")
        return self.node("scalar", (), scalar.expr, NUMBER)

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


class LackingError(TraceError, AttributeError):
    """A name that arrays have and tracers have not: what asks whether there is one is answered."""


class Tracer(Carrier):
    """An array that only remembers what is done to it."""

    __slots__ = ("builder", "node")

    def __init__(self, node: Node, builder: Builder) -> None:
        self.node, self.builder = node, builder

    @property
    def ndim(self) -> int:
        """The number of axes of the parameter; a rule may branch on it."""
        return self.builder.ndim

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # Python and NumPy ask for these
            raise AttributeError(name)
        raise LackingError(f"an array of a rule's body has no {name!r}{REDUCED.get(name, '')}")

    def _apply(self, op: str, *args: Any, **attributes: Any) -> Any:
        if op == "length":
            return Scalar(name(f"{left_by(attributes['over'])}_length"), 1.0, self.builder.scope)
        nodes = tuple(self.builder.lift(a) for a in args)
        if op == "square":
            return Tracer(self.builder.node("mul", (nodes[0], nodes[0])), self.builder)
        return Tracer(self.builder.node(op, nodes, attributes.get("rule", attributes.get("over"))), self.builder)


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
