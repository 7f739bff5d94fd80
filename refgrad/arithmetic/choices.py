"""Every way through the decisions of a graph, each element by itself: an odometer for each element.

Where a decision may go more than one way, an element has a digit for it, which says which of the outcomes it takes. All
elements turn their odometers at the same time: the k-th evaluation of the graph shows each element on its own k-th way, or
on its last one. So there are as many evaluations as the element with the most ways has ways, wherever in the array others
have theirs, and not as many as the decisions of all elements have combinations.

A decision of a row, a column or a tensor has one digit for all that it stands for; it turns when the odometers of what is
finer have been through all of their ways, which then begin again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce

import numpy as np

from refgrad.arithmetic.decisions import Decision
from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.operations import OUTCOMES
from refgrad.arithmetic.running_error import Array
from refgrad.axes import fineness


class Choices:
    """Which of its outcomes each element takes at each decision.

    The centre's outcome has the digit 0 and comes first. An outcome that one evaluation puts out of an element's reach is
    skipped; that another evaluation had it in reach, because bounds also depend on the other elements, does no harm.
    """

    def __init__(self) -> None:
        self.open: dict[Node, Array] = {}
        self._digits: dict[Node, Array] = {}

    def take(self, node: Node, decision: Decision) -> Array:
        """The results of a decision under the choices in force; where it was open is remembered.

        Args:
            node: the operation.
            decision: what it may give.

        Returns:
            An array shaped like the decision's result.
        """
        self.open.pop(node, None)
        if not decision.open.any():
            return decision.result
        self.open[node] = decision.open
        return decision.taken(self._digit(node))

    def digit(self, node: Node) -> int:
        """The choice at a decision that is one for all.

        Args:
            node: the operation.

        Returns:
            0 for the centre's result, 1 for the first of the others, and so on.
        """
        return int(np.max(self._digit(node)))

    def advance(self, decisions: Sequence[Node]) -> set[Node]:
        """Turn to the next way of each element that has one left.

        Args:
            decisions: those that turn, in order of evaluation; the others stay as they are.

        Returns:
            The decisions that may go another way than before; none where every element was on its last way. The choices
            are then the first ones again.
        """
        finer: list[Node] = []
        for nodes in _by_axes(decisions):
            further = {n: self._further(n) for n in nodes}
            if any(f.any() for f in further.values()):
                return self._turn(nodes, further) | self.reset(finer)
            finer += nodes
        self.reset(finer)
        return set()

    def left(self, decisions: Sequence[Node]) -> dict[Node, Array]:
        """By open decision, the elements that have ways left through it and others of its axes.

        Args:
            decisions: those that turn.

        Returns:
            Decision -> booleans shaped like its result; decisions through which no ways are left are not there.
        """
        found = {}
        for nodes in _by_axes(decisions):
            some = _any(self._further(n) for n in nodes)
            if some.any():
                found.update({n: self.open[n] & some for n in nodes if n in self.open})
        return found

    def reset(self, decisions: Iterable[Node]) -> set[Node]:
        """Go back to the first choices at some decisions.

        Args:
            decisions: these.

        Returns:
            Those that had gone on from there.
        """
        return {n for n in decisions if self._digits.pop(n, None) is not None}

    def _turn(self, nodes: Sequence[Node], further: Mapping[Node, Array]) -> set[Node]:
        """The last digit that can go up by one does so, and those after it are zero again."""
        turning, turned = _any(further.values()), set()
        for node in reversed(nodes):
            if not turning.any():
                break
            digit = self._digit(node)
            self._digits[node] = np.where(turning, np.where(further[node], digit + 1, 0), digit).astype(np.int8)
            turning = turning & ~further[node]
            turned.add(node)
        return turned

    def _digit(self, node: Node) -> Array:
        return self._digits.get(node, _ZERO)

    def _further(self, node: Node) -> Array:
        """Where a decision has an outcome after the one that is taken."""
        open_ = self.open.get(node)
        return _NOWHERE if open_ is None else open_ & (self._digit(node) < OUTCOMES[node.op] - 1)


_ZERO, _NOWHERE = np.zeros((), np.int8), np.zeros((), bool)


def _any(marks: Iterable[Array]) -> Array:
    return reduce(np.logical_or, marks, _NOWHERE)


def _by_axes(decisions: Sequence[Node]) -> list[list[Node]]:
    """Decisions by their axes, the finest first."""
    present = sorted({n.axes for n in decisions}, key=fineness, reverse=True)
    return [[n for n in decisions if n.axes == axes] for axes in present]
