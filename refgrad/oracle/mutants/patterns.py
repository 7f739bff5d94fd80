"""A traced update as rewrites see it: what its nodes are for, who uses them, and where a rewrite can act."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from refgrad.arithmetic import formula, rewriting
from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.rewriting import Edit, Make, rebuilt
from refgrad.arithmetic.scalar_math import Expr, name, names_in
from refgrad.rule import Range, Rule
from refgrad.tracing import Plan


class Found(NamedTuple):
    """One place at which a rewrite acts.

    ``place`` is the same in every plan of a rule that has the place; ``name`` completes "AdamW with ..." and ``sentence``
    "AdamW in which ...".
    """

    place: Hashable
    name: str
    sentence: str
    make: Callable[..., Graph]


@dataclass(frozen=True, eq=False)
class Form:
    """A plan with what its rewrites ask of it."""

    plan: Plan

    @property
    def graph(self) -> Graph:
        """The traced update."""
        return self.plan.graph

    @cached_property
    def keys(self) -> dict[int, int]:
        """A number for each node's expression."""
        return rewriting.keys(self.graph)

    @cached_property
    def users(self) -> dict[int, list[Node]]:
        """The nodes that read each node."""
        found: dict[int, list[Node]] = {node.index: [] for node in self.graph.nodes}
        for node in self.graph.nodes:
            for index in {a.index for a in node.args}:
                found[index].append(node)
        return found

    @cached_property
    def cones(self) -> dict[str, list[Node]]:
        """Each output's own part of the graph."""
        return {name: rewriting.cone_nodes(self.graph, name) for name in self.graph.outputs}

    @cached_property
    def new(self) -> dict[int, str]:
        """The outputs that are operations, by index."""
        return {node.index: name for name, node in self.graph.outputs.items() if node.args}

    @cached_property
    def slots(self) -> list[str]:
        """The array slots, in the rule's order."""
        return [name for name in self.graph.outputs if name != "p"]

    @cached_property
    def decays(self) -> list[str]:
        """Hyperparameters that are fractions of one."""
        legal = {n: self.plan.rule.range_of(n) for n in self.plan.rule.numbers()}
        return [n for n, r in legal.items() if isinstance(r, Range) and r.high == 1.0]

    @cached_property
    def own_names(self) -> dict[str, str]:
        """What each number is called by the rule that has it, which may be one that the rule wraps."""
        return own_names(self.plan.rule)

    def called(self, word: str) -> Expr:
        """The number that is called so, of the innermost rule that has one."""
        every = [n for n, own in self.own_names.items() if own == word]
        return name(every[-1] if every else word)

    @property
    def lr(self) -> Expr:
        """The learning rate."""
        return self.called("lr")

    @property
    def weight_decay(self) -> Expr:
        """Weight decay."""
        return self.called("weight_decay")

    @cached_property
    def eps(self) -> list[str]:
        """Hyperparameters that keep something from zero, whether the graph reads them or not."""
        return [n for n in self.plan.rule.numbers() if self.own_names.get(n, n).startswith("eps")]

    def is_eps(self, node: Node) -> bool:
        """True if a node is a scalar made of an eps alone."""
        if node.op != "scalar":
            return False
        used = names_in(node.attribute)
        return bool(used) and all(self.own_names.get(n, n).startswith("eps") for n in used)

    def has(self, word: str) -> bool:
        """True if some scalar that meets an array reads a name."""
        return any(word in names_in(e) for e in self.graph.scalars())

    @property
    def decays_weights(self) -> bool:
        """True if some scalar that meets an array reads the weight decay."""
        return self.has(str(self.weight_decay.args[0]))

    def knows(self, expr: Expr) -> bool:
        """True if every name that an expression reads is a number of the rule."""
        return names_in(expr) <= set(self.plan.rule.numbers())

    def text(self, node: Node) -> str:
        """A node's expression as a person reads it."""
        return formula.expression(self.graph, node)

    def at(self, node: Node, name: str, sentence: str, make: Callable[..., Node], tag: Hashable = None) -> Found:
        """A node made anew."""
        place = (name, tag, self.keys[node.index])
        return Found(place, name, sentence, lambda: rebuilt(self.graph, {node.index: make}))

    def scalar_inputs(self, nodes: Iterable[Node], change: Callable[[Expr], Expr]) -> dict[int, Make]:
        """Edits that map the scalars which some nodes read."""
        edits: dict[int, Make] = {}
        for node in nodes:
            if any(a.op == "scalar" for a in node.args):
                edits[node.index] = _mapping(node, change)
        return edits

    def arrays(self) -> Iterator[tuple[str, Node | None]]:
        """What a step has at hand: inputs by name, and new values (with their nodes) as ``m'``."""
        yield from ((n, None) for n in ("g", "p", *self.slots))
        yield from ((rewriting.observed_name(n), self.graph.outputs[n]) for n in self.slots if n in self.new.values())


def _mapping(node: Node, change: Callable[[Expr], Expr]) -> Make:
    def make(edit: Edit, args: tuple[Node, ...]) -> Node:
        return edit.copy(node, tuple(edit.scalar(change(a.attribute)) if a.op == "scalar" else a for a in args))

    return make


def substituting(changes: Mapping[str, Expr]) -> Callable[[Expr], Expr]:
    """A map of scalar expressions that replaces names, all at once."""

    def change(expr: Expr) -> Expr:
        if expr.op == "name":
            return changes.get(expr.args[0], expr)
        if expr.op == "const":
            return expr
        return Expr(expr.op, tuple(change(a) for a in expr.args))

    return change


def replacing(old: Expr, new: Expr) -> Callable[[Expr], Expr]:
    """A map of scalar expressions that replaces a subexpression."""
    return lambda expr: rewriting.replaced(expr, old, new)


def simplified(expr: Expr) -> Expr:
    """A scalar expression without factors of one."""
    if expr.op in ("const", "name"):
        return expr
    args = tuple(simplified(a) for a in expr.args)
    if expr.op in ("mul", "div") and args[1] == rewriting.ONE:
        return args[0]
    if (expr.op == "mul" and args[0] == rewriting.ONE) or (expr.op == "sqrt" and args[0] == rewriting.ONE):
        return args[-1]
    return Expr(expr.op, args)


def own_names(rule: Rule) -> dict[str, str]:
    """The numbers of a rule, those of nested ones as ``field_name``: by each what its own rule calls it."""
    found = {n: n for n in rule.numbers() if n in rule.legal()}
    for field, nested in rule.inner_rules().items():
        found |= {f"{field}_{n}": own for n, own in own_names(nested).items()}
    return found


STEP = name("t")
