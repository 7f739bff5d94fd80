"""A graph with reductions as a sequence of passes over the elements, with small computations between them.

A pass reads the arrays and reduces them, block by block as `tree_sum` does, or writes the outputs (the last one). What a
pass needs of the elements it computes again from the arrays; what is one number a row or a tensor is computed once,
between the passes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.operations import REDUCTIONS
from refgrad.axes import COLUMN, EACH_COLUMN, EACH_ROW, ELEMENT, NUMBER, ROW, TABLE, TENSOR, Axes

#: the axes that one pass folds, in the order of such passes: those of each row, of each column, and all
FOLDS: tuple[Axes, ...] = (EACH_ROW, EACH_COLUMN, ELEMENT)


@dataclass(frozen=True, eq=False)
class Pass:
    """One sweep: it folds the operands of ``reductions``, all over the same axes, or it stores the outputs.

    ``before`` are the nodes of one number a row or a tensor that are computed ahead of it, in order; ``small`` those
    that its elements read.
    """

    before: tuple[Node, ...]
    nodes: tuple[Node, ...]
    small: tuple[Node, ...]
    reductions: tuple[Node, ...]

    @property
    def over(self) -> Axes:
        """The names of the axes that its reductions fold; none for the pass that stores."""
        return self.reductions[0].attribute if self.reductions else ()

    @property
    def tables(self) -> list[str]:
        """The tables that it reads at places, by the names of their arrays."""
        return [a.attribute for n in self.nodes for a in n.args if a.axes == TABLE]


def is_element(node: Node) -> bool:
    """True if a node has a value for every element."""
    return node.axes == ELEMENT


def is_small(node: Node) -> bool:
    """True if a node is one number a row, a column or a tensor."""
    return node.axes in (ROW, COLUMN, TENSOR) or (node.axes == NUMBER and bool(node.args))


def sweeps(node: Node) -> bool:
    """True if a node reduces elements, so that it takes a pass."""
    return node.op in REDUCTIONS and is_element(node.args[0])


def passes(graph: Graph) -> tuple[Pass, ...]:
    """The passes of a graph, in order; the last one stores the outputs."""
    stage = _stages(graph)
    result: list[Pass] = []
    done: set[int] = set()
    for number in range(max(stage.values()) + 1):
        for over in FOLDS:
            reductions = [n for n in graph.nodes if sweeps(n) and n.attribute == over and stage[n.index] == number]
            if reductions:
                result.append(_pass([n.args[0] for n in reductions], tuple(reductions), done))
    stored = [node for name, node in graph.outputs.items() if name not in graph.small]
    small = [node for name, node in graph.outputs.items() if name in graph.small]
    result.append(_pass(stored, (), done, small))
    return tuple(result)


def _stages(graph: Graph) -> dict[int, int]:
    """After how many rounds of sweeps each node's operands are known."""
    stage: dict[int, int] = {}
    for node in graph.nodes:
        stage[node.index] = max((stage[a.index] + sweeps(a) for a in node.args), default=0)
    return stage


def _pass(roots: Iterable[Node], reductions: tuple[Node, ...], done: set[int], besides: Iterable[Node] = ()) -> Pass:
    """The pass that computes the roots for every element; marks what is computed ahead of it as done.

    ``besides`` are small nodes that are wanted for themselves.
    """
    elements = _needed(roots, is_element)
    operands = {a.index: a for n in elements for a in n.args if not is_element(a)}
    operands |= {n.index: n for n in roots if not is_element(n)}
    small = tuple(n for n in operands.values() if is_small(n))
    before = [n for n in _needed([*small, *besides], lambda n: is_small(n) and not sweeps(n)) if n.index not in done]
    done.update(n.index for n in before)
    return Pass(tuple(before), tuple(elements), small, reductions)


def _needed(roots: Iterable[Node], follow: Callable[[Node], bool]) -> list[Node]:
    """The nodes that roots are computed from, roots included, as far as ``follow`` holds; operands first."""
    found: dict[int, Node] = {}
    stack = [n for n in roots if follow(n)]
    while stack:
        node = stack.pop()
        if node.index not in found:
            found[node.index] = node
            stack.extend(a for a in node.args if follow(a))
    return [found[i] for i in sorted(found)]
