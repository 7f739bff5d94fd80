"""A graph of centres and bounds (`refgrad.arithmetic.enclosure_graph` writes it), and what its numbers are for a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from refgrad.arithmetic.bounded import OWN, Bounded, Model
from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.axes import NUMBER

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
class Enclosed:
    """A graph of centres and bounds.

    Attributes:
        graph: reads the rule's arrays by their names, and what was seen of an output under `seen`; its outputs are the
            centre (``t:`` before the name), the bound (``e:``) and what was seen (``s:``) of each of the rule's.
        names: the rule's outputs, in order.
        conditions: truth values that must hold at each element.
        exactly: truth values; where they hold besides, underflow changes no bit of the bounds, which are the enclosure's own.
        truths, errors: of each output its centre and its bound; one without a bound is its centre.
        losses: of each output the share of the bound by which that of the enclosure may be smaller.
        weights: for each weight of an interpolation the numbers of the scalars that its two coefficients are products of.
    """

    graph: Graph
    names: tuple[str, ...]
    conditions: tuple[Node, ...]
    exactly: tuple[Node, ...]
    truths: Mapping[str, Node]
    errors: Mapping[str, Node]
    losses: Mapping[str, float]
    weights: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]

    def scalars(self, scalars: Sequence[Bounded], model: Model) -> list[float]:
        """What the graph's `numbers` are.

        Args:
            scalars: those of the rule's graph, in its order.
            model: what is charged.

        Returns:
            A number for each of `numbers`; where a condition on numbers alone does not hold, all are NaN.
        """
        values: dict[int, np.float64] = {}
        with np.errstate(all="ignore"):
            for node in self._on_host:
                if node.op == "scalar":
                    values[node.index] = np.float64(self._scalar(node.attribute, scalars, model))
                else:
                    values[node.index] = OPERATIONS[node.op].on([values[a.index] for a in node.args])
        holds = all(values[node.index] for node in self.conditions if node.axes == NUMBER)
        return [float(values[node.index]) if holds else math.nan for node in self.numbers]

    @cached_property
    def _on_host(self) -> tuple[Node, ...]:
        """The nodes that are one number, operands first."""
        return tuple(node for node in self.graph.nodes if node.axes == NUMBER)

    @cached_property
    def of_elements(self) -> tuple[Node, ...]:
        """The nodes that are computed for each element, operands first."""
        return tuple(node for node in self.graph.nodes if node.axes != NUMBER)

    @cached_property
    def numbers(self) -> tuple[Node, ...]:
        """The nodes that are one number and that elements are computed from."""
        used = {a.index for node in self.of_elements for a in node.args}
        used |= {node.index for node in (*self.truths.values(), *self.errors.values())}
        return tuple(node for node in self._on_host if node.index in used)

    def _scalar(self, host: Host, scalars: Sequence[Bounded], model: Model) -> float:
        kind, number = host
        if kind in ("value", "error"):
            found = scalars[int(number)]
            return float(found.value if kind == "value" else found.bound())
        if kind == "weight":
            return min(coefficient(part, scalars) for part in self.weights[int(number)]) * 2.0
        return _FACTS[kind](model, number)


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


def coefficient(numbers: Sequence[int], scalars: Sequence[Bounded]) -> float:
    """The product of some scalars, as the enclosure has it.

    Args:
        numbers: which.
        scalars: those of the rule's graph, in its order.
    """
    return float(math.prod(float(scalars[number].value) for number in numbers))
