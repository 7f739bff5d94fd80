"""A few rules in whose graphs everything occurs that occurs in the graphs of many."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, TypeVar

from refgrad.arithmetic.graph import Graph
from refgrad.rule import Rule

Item = TypeVar("Item")


def cover(items: Sequence[Item], features: Callable[[Item], set[Hashable]]) -> list[Item]:
    """Some of the items, in their order, with every feature that any item has: the richest first, until none is missing."""
    found = [features(item) for item in items]
    missing: set[Hashable] = set().union(*found)
    chosen = set()
    while missing:
        best = max(range(len(items)), key=lambda i: len(found[i] & missing))
        chosen.add(best)
        missing -= found[best]
    return [items[i] for i in sorted(chosen)]


def graphs(rule: Rule) -> list[Graph]:
    """The graphs of the first two steps on a matrix."""
    return [rule.plan((7, 3), t).graph for t in (1, 2)]


def operations(rules: Iterable[Rule]) -> set[Hashable]:
    """Every operation of the rules' graphs."""
    return {(n.op, n.axes) for rule in rules for graph in graphs(rule) for n in graph.nodes}


def operations_within(rules: Iterable[Rule]) -> set[Hashable]:
    """Every operation with what each of its operands is: a kernel's text is made of these."""
    found: set[Hashable] = set()
    for graph in (graph for rule in rules for graph in graphs(rule)):
        for node in graph.nodes:
            found |= {(node.op, node.axes, at, a.op, a.axes, _kind(a.attribute)) for at, a in enumerate(node.args)}
    return found


def _kind(attribute: Any) -> str:
    return "" if attribute is None or isinstance(attribute, str) else type(attribute).__name__
