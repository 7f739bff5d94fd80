"""Maximal sums and products of a graph: what an error bound must see whole to cover every order of evaluation.

``a - b + c`` becomes one sum of three terms and ``a * b / c`` one product of three factors, so that a bound charged to
all terms, or to all partial products, holds for any association, for fused multiply-add and for reciprocals.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from refgrad.arithmetic.graph import Graph, Node


@dataclass(frozen=True, eq=False)
class Sum:
    """A sum of terms, each with its sign."""

    terms: tuple[tuple[int, Node], ...]


@dataclass(frozen=True, eq=False)
class Product:
    """A quotient of products, with a sign."""

    sign: int
    numerators: tuple[Node, ...]
    denominators: tuple[Node, ...]


Group = Sum | Product


def group(graph: Graph) -> dict[int, Group]:
    """The sums and products of a graph, by the index of the node whose value they are.

    Outputs are not dissolved into what uses them: there the observed value goes on, not an intermediate one.
    """
    outputs = {node.index for node in graph.outputs.values()}
    groups: dict[int, Group] = {}
    for node in graph.nodes:
        if node.op in ("add", "sub"):
            groups[node.index] = Sum(tuple(_terms(node, 1, outputs, root=True)))
        elif node.op in ("mul", "div"):
            numerators: list[Node] = []
            denominators: list[Node] = []
            sign = _factors(node, numerators, denominators, outputs, root=True)
            groups[node.index] = Product(sign, tuple(numerators), tuple(denominators))
    return groups


def operands(node: Node, groups: Mapping[int, Sum | Product]) -> tuple[Node, ...]:
    """What a node is computed of where sums and products are seen whole.

    Args:
        node: the node.
        groups: the sums and products of its graph, as `group` gives them.
    """
    grouped = groups.get(node.index)
    if isinstance(grouped, Sum):
        return tuple(term for _, term in grouped.terms)
    if isinstance(grouped, Product):
        return grouped.numerators + grouped.denominators
    return node.args


def needed(graph: Graph, groups: Mapping[int, Sum | Product]) -> set[int]:
    """The nodes whose values are used, by index: those that are dissolved into a larger sum or product are not.

    Args:
        graph: the graph.
        groups: its sums and products, as `group` gives them.
    """
    found: set[int] = set()
    stack = list(graph.outputs.values())
    while stack:
        node = stack.pop()
        if node.index not in found:
            found.add(node.index)
            stack.extend(operands(node, groups))
    return found


def _terms(node: Node, sign: int, outputs: set[int], root: bool = False) -> list[tuple[int, Node]]:
    if node.index in outputs and not root:
        return [(sign, node)]
    if node.op == "neg":
        return _terms(node.args[0], -sign, outputs)
    if node.op in ("add", "sub"):
        left, right = node.args
        other = -sign if node.op == "sub" else sign
        return _terms(left, sign, outputs) + _terms(right, other, outputs)
    return [(sign, node)]


def _factors(node: Node, above: list[Node], below: list[Node], outputs: set[int], root: bool = False) -> int:
    if node.index in outputs and not root:
        above.append(node)
        return 1
    if node.op == "neg":
        return -_factors(node.args[0], above, below, outputs)
    if node.op == "mul":
        return _factors(node.args[0], above, below, outputs) * _factors(node.args[1], above, below, outputs)
    if node.op == "div":
        return _factors(node.args[0], above, below, outputs) * _factors(node.args[1], below, above, outputs)
    above.append(node)
    return 1
