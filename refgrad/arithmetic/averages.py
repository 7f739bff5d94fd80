"""Which terms of a sum are the two parts of an average, (1 - w) a + w b, for the scalars of a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from refgrad.arithmetic.bounded import Bounded
from refgrad.arithmetic.enclosed import coefficient
from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.grouping import Product, Sum, group

#: two terms of a sum, by their places, of which one is (1 - w) a and the other w b
Pair = tuple[int, int]

#: by the index of a sum those of its pairs whose coefficients add up to one
Pairs = Mapping[int, tuple[Pair, ...]]


def complementary(graph: Graph, scalars: Sequence[Bounded]) -> Pairs:
    """The terms of sums that are the two parts of an average, for some scalars.

    Args:
        graph: the rule's graph.
        scalars: its scalars, in its order.

    Returns:
        By the index of a sum its pairs; sums without any are not there.
    """
    found = {}
    for index, pairs in _candidates(graph).items():
        chosen = tuple(
            pair for pair, (a, b) in pairs.items() if _add_up(coefficient(a, scalars), coefficient(b, scalars))
        )
        if chosen:
            found[index] = chosen
    return found


def _add_up(a: float, b: float) -> bool:
    return abs(a + b - 1.0) < 1e-12 and a > 0 and b > 0


def _candidates(graph: Graph) -> dict[int, dict[Pair, tuple[tuple[int, ...], tuple[int, ...]]]]:
    """By sum the pairs of its terms that have a coefficient each, with the numbers of the scalars that these are made of."""
    groups, outputs = group(graph), {node.index for node in graph.outputs.values()}
    found = {}
    for index, grouped in groups.items():
        if isinstance(grouped, Sum):
            known = [_coefficient(term, groups, outputs, graph) for _, term in grouped.terms]
            found[index] = {
                (i, j): (a, b)
                for i, a in enumerate(known)
                for j, b in enumerate(known)
                if i < j and a is not None and b is not None
            }
    return found


def _coefficient(
    term: Node, groups: Mapping[int, Sum | Product], outputs: set[int], graph: Graph
) -> tuple[int, ...] | None:
    """The numbers of the scalars that a term is a product of with something; None if it is no such product."""
    grouped = groups.get(term.index)
    if not isinstance(grouped, Product) or term.index in outputs or grouped.denominators:
        return None
    numbers = {n.index: i for i, n in enumerate(n for n in graph.nodes if n.op == "scalar")}
    found = tuple(numbers[n.index] for n in grouped.numerators if n.op == "scalar")
    return found if 0 < len(found) < len(grouped.numerators) else None
