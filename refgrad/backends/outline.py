"""What is said of a plan's arrays where its kernels are printed as one text: their names, axes and lengths."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from refgrad.arithmetic.scalar_math import names_in, python_source
from refgrad.axes import COLUMN, ELEMENT, ROW, TABLE, TENSOR
from refgrad.backends.source import outputs
from refgrad.tracing import Plan

#: free names of plans that are lengths, which a driver has anyhow
LENGTHS = frozenset({"tensor_length", "row_length", "column_length"})


@dataclass(frozen=True)
class Outline:
    """What is said of a plan's arrays, and how they are measured.

    Args:
        name: what the driver is called, and what the names of kernels begin with.
        title: what the text is, in a line.
        lengths: the axes whose lengths the driver is handed.
        rows: the axes, or numbers, whose product is the number of rows.
        columns: those whose product is the length of a row.
        numbers: the free names of the plan that are neither an axis's length nor one of rows and columns.
        shapes: the axes of each array, in the order in which they lie.
        results: the outputs, in order.
        places: arrays of the plan that hold the places along an axis, which the driver makes: name -> axis.
        notes: further lines of the head.
    """

    name: str
    title: str
    lengths: tuple[str, ...] = ("rows", "row_length")
    rows: tuple[str, ...] = ("rows",)
    columns: tuple[str, ...] = ("row_length",)
    numbers: tuple[str, ...] = ()
    shapes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    results: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def outline_of(plan: Plan, title: str) -> Outline:
    """What is said of the plan of a rule: arrays are matrices of rows, and lengths are those of these.

    Args:
        plan: the plan.
        title: what the text is, in a line.
    """
    graph, few = plan.graph, {ROW: ("rows",), COLUMN: ("row_length",), TENSOR: (), TABLE: ("entries",)}
    axes = {n.attribute: n.axes for n in graph.nodes if n.op == "input"} | dict.fromkeys(outputs(graph), ELEMENT)
    axes |= graph.small
    shapes = {name: few.get(own, ("rows", "row_length")) for name, own in axes.items()}
    used = frozenset[str]().union(*map(names_in, graph.scalars()))
    numbers = tuple(n for n in plan.free if n not in LENGTHS and n in used)
    results = tuple(n for n in graph.outputs if n not in graph.inputs())
    notes = [f"holds where {'' if taken else 'not '}{python_source(test)}" for test, taken in graph.guards]
    set_by = [f"then {name} is {python_source(expr)}" for name, expr in graph.scalar_outputs.items()]
    return Outline(
        type(plan.rule).__name__, title, numbers=numbers, shapes=shapes, results=results, notes=(*notes, *set_by)
    )
