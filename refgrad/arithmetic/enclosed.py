"""A graph of centres and bounds (`refgrad.arithmetic.enclosure_graph` writes it), and what its numbers are for a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic.bounded import OWN, Bounded, Model
from refgrad.arithmetic.graph import Graph, Node, walk
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.axes import ELEMENT, NUMBER, TENSOR

#: the share of a bound that underflow may add where it is charged, and that with which it changes no bit
NEGLIGIBLE, NOTHING = 2.0**-30, 2.0**-55

#: what is kept free besides, for the comparison itself
SPARE = 2.0**-40

#: unit roundoff of float64
UNIT = 2.0**-53


class Host(NamedTuple):
    """What a scalar of the new graph is: computed on the host, before the kernel is called.

    Args:
        kind: "value" or "error" of a scalar of the rule's graph; "weight" of an interpolation; "constant"; or a fact of the
            model: "largest", "smallest", "charge", "factor" (what is charged to a quotient of products), "underflow" or
            "negligible".
        number: which scalar or which weight, the constant, or how many operations or factors.
    """

    kind: str
    number: float = 0.0


@dataclass(frozen=True, eq=False)
class Pass:
    """What is computed in one loop over the elements.

    Attributes:
        roots: what is looked at.
        conditions: truth values that must hold.
        exactly: truth values; where they hold besides, underflow changes no bit of the bounds, which are the enclosure's own.
    """

    roots: tuple[Node, ...]
    conditions: tuple[Node, ...]
    exactly: tuple[Node, ...]

    @cached_property
    def nodes(self) -> tuple[Node, ...]:
        """All that is computed, operands first."""
        found = {n.index: n for root in (*self.roots, *self.conditions, *self.exactly) for n in walk(root)}
        return tuple(found[index] for index in sorted(found))

    @cached_property
    def elements(self) -> tuple[Node, ...]:
        """The nodes that are computed for each element."""
        return tuple(node for node in self.nodes if node.axes == ELEMENT)

    @cached_property
    def small(self) -> tuple[Node, ...]:
        """The nodes that are one number, or one a row, a column or a tensor: they are computed before the loop."""
        return tuple(node for node in self.nodes if node.axes != ELEMENT)

    @cached_property
    def _handed(self) -> tuple[Node, ...]:
        used = {a.index for node in self.elements for a in node.args} | {node.index for node in self.roots}
        return tuple(node for node in self.small if node.index in used)

    @cached_property
    def numbers(self) -> tuple[Node, ...]:
        """The nodes that are one number for all elements and that elements are computed from."""
        return tuple(node for node in self._handed if node.axes in (NUMBER, TENSOR))

    @cached_property
    def lines(self) -> tuple[Node, ...]:
        """The nodes that are one number a row or a column and that elements are computed from."""
        return tuple(node for node in self._handed if node.axes not in (NUMBER, TENSOR))

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The names of the arrays that it reads."""
        return tuple(dict.fromkeys(node.attribute for node in self.elements if node.op == "input"))


class Fold(NamedTuple):
    """What a reduction of the rule's graph folds.

    Args:
        node: the reduction.
        value: of its operand, the centre.
        error: its bound; None if the operand is the centre.
        loop: what computes them.
    """

    node: Node
    value: Node
    error: Node | None
    loop: Pass


@dataclass(frozen=True, eq=False)
class Enclosed:
    """A graph of centres and bounds.

    Attributes:
        graph: reads the rule's arrays by their names, and what was seen of an output under `seen`; its outputs are the
            centre (``t:`` before the name), the bound (``e:``) and what was seen (``s:``) of each of the rule's.
        names: the rule's outputs that have an element for each of the parameter's, in order.
        conditions: truth values that must hold at each element.
        exactly: truth values; where they hold besides, underflow changes no bit of the bounds, which are the enclosure's own.
        truths, errors: of each output its centre and its bound; one without a bound is its centre.
        losses: of each output the share of the bound by which that of the enclosure may be smaller.
        weights: for each weight of an interpolation the numbers of the scalars that its two coefficients are products of.
        folds: the reductions of the rule's graph, in order of dependence; the graph reads what they leave under `of_left`.
        few: the rule's outputs that are one number a row, a column or a tensor.
        goes_on: the rule's outputs from which something goes on as they were seen.
        cancels: whether some sum takes in what it takes out again.
    """

    graph: Graph
    names: tuple[str, ...]
    conditions: tuple[Node, ...]
    exactly: tuple[Node, ...]
    truths: Mapping[str, Node]
    errors: Mapping[str, Node]
    losses: Mapping[str, float]
    weights: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    folds: tuple[Fold, ...] = ()
    few: tuple[str, ...] = ()
    goes_on: tuple[str, ...] = ()
    cancels: bool = False

    @cached_property
    def loop(self) -> Pass:
        """What computes the outputs."""
        outputs = (f"{kind}:{name}" for kind in "tes" for name in self.names)
        roots = [self.graph.outputs[name] for name in outputs if name in self.graph.outputs]
        own = {node.index: node for node in roots}
        own |= {node.index: node for node in (*self.truths.values(), *self.errors.values())}
        return Pass(tuple(own.values()), self.conditions, self.exactly)

    @cached_property
    def of_elements(self) -> tuple[Node, ...]:
        """The nodes that are computed for each element, operands first."""
        return self.loop.elements

    @cached_property
    def numbers(self) -> tuple[Node, ...]:
        """The nodes that are one number for all elements and that elements are computed from."""
        return self.loop.numbers

    def scalars(self, scalars: Sequence[Bounded], model: Model) -> list[float]:
        """What the graph's `numbers` are, where it has no reductions.

        Args:
            scalars: those of the rule's graph, in its order.
            model: what is charged.

        Returns:
            A number for each of `numbers`; where a condition on numbers alone does not hold, all are NaN.
        """
        few = Few(self, scalars, model, {})
        if not few.hold(self.loop):
            return [math.nan] * len(self.numbers)
        return [few.number(node) for node in self.numbers]

    def host(self, host: Host, scalars: Sequence[Bounded], model: Model) -> float:
        """A scalar of the graph.

        Args:
            host: which.
            scalars: those of the rule's graph, in its order.
            model: what is charged.
        """
        kind, number = host
        if kind in ("value", "error"):
            found = scalars[int(number)]
            return float(found.value if kind == "value" else found.bound())
        if kind == "weight":
            return min(coefficient(part, scalars) for part in self.weights[int(number)]) * 2.0
        return _FACTS[kind](model, number)


class Few:
    """The values of the nodes that are one number, or one a row, a column or a tensor, in float64.

    Args:
        found: the graph.
        scalars: those of the rule's graph, in its order.
        model: what is charged.
        arrays: those of few numbers that the graph reads, by their names; what reductions leave is added when it is known.
    """

    def __init__(
        self, found: Enclosed, scalars: Sequence[Bounded], model: Model, arrays: Mapping[str, np.ndarray]
    ) -> None:
        self.found, self.scalars, self.model = found, scalars, model
        self.arrays = {name: array.astype(np.float64) for name, array in arrays.items()}
        self.values: dict[int, Any] = {}

    def add(self, fold: Node, left: Bounded) -> None:
        """What a reduction left.

        Args:
            fold: the reduction.
            left: its value, with a bound.
        """
        self.arrays[of_left(fold, "value")], self.arrays[of_left(fold, "error")] = left.value, left.bound()

    def hold(self, loop: Pass) -> bool:
        """True if the conditions of a loop hold that are not its elements', and underflow changes no bit of their bounds.

        Args:
            loop: what is to be computed; what it reads is known.
        """
        self._compute(loop)
        musts = [node for node in loop.conditions if node.axes != ELEMENT]
        musts += [node for node in loop.exactly if node.axes not in (ELEMENT, NUMBER)]
        return all(bool(np.all(self.values[node.index])) for node in musts)

    def failing(self, loop: Pass, rows: int) -> np.ndarray:
        """The rows of which some condition of a loop does not hold that is not its elements'.

        Args:
            loop: as of `hold`; its conditions are of rows, or of numbers that all share.
            rows: how many there are.
        """
        self._compute(loop)
        musts = [node for node in loop.conditions if node.axes != ELEMENT]
        musts += [node for node in loop.exactly if node.axes not in (ELEMENT, NUMBER)]
        found = np.zeros(rows, bool)
        for node in musts:
            found |= ~np.broadcast_to(np.ravel(self.values[node.index]), rows)
        return found

    def number(self, node: Node) -> float:
        """The value of a node that is one number."""
        return float(np.reshape(self.values[node.index], ()))

    def line(self, node: Node) -> np.ndarray:
        """The values of a node that is one number a row or a column."""
        return np.ascontiguousarray(np.ravel(self.values[node.index]), np.float64)

    def _compute(self, loop: Pass) -> None:
        with np.errstate(all="ignore"):
            for node in loop.small:
                if node.index not in self.values:
                    self.values[node.index] = self._value(node)

    def _value(self, node: Node) -> Any:
        if node.op == "scalar":
            return np.float64(self.found.host(node.attribute, self.scalars, self.model))
        if node.op == "input":
            return self.arrays[node.attribute]
        return OPERATIONS[node.op].on([self.values[a.index] for a in node.args], node.attribute)


#: the facts of a model, each computed as the enclosure does
_FACTS: Mapping[str, Callable[[Model, float], float]] = {
    "constant": lambda model, number: number,
    "largest": lambda model, number: model.largest,
    "smallest": lambda model, number: model.smallest_normal,
    "charge": lambda model, number: model.charge * int(number),
    "factor": lambda model, number: model.charge * int(number) + 2 * int(number) * OWN,
    "underflow": lambda model, number: model.underflow * int(number),
    # in float64 rounding hides no share of a bound
    "negligible": lambda model, number: NOTHING if model.unit_roundoff <= UNIT else NEGLIGIBLE,
}


def seen(output: str) -> str:
    """What the new graph calls what was seen of an output."""
    return f"new_{output}"


def of_left(fold: Node, kind: str) -> str:
    """What the new graph calls the value or the error of what a reduction leaves."""
    return f"left_{kind}_{fold.index}"


def coefficient(numbers: Sequence[int], scalars: Sequence[Bounded]) -> float:
    """The product of some scalars, as the enclosure has it.

    Args:
        numbers: which.
        scalars: those of the rule's graph, in its order.
    """
    return float(math.prod(float(scalars[number].value) for number in numbers))
