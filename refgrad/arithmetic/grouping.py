"""Maximal sums and products of a graph: what an error bound must see whole to cover every order of evaluation.

``a - b + c`` becomes one sum of three terms and ``a * b / c`` one product of three factors, so that a bound charged to
all terms, or to all partial products, holds for any association, for fused multiply-add and for reciprocals.
"""

from __future__ import annotations

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
