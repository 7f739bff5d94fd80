"""Sums and products that are seen whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic.graph import Builder, Graph, Node
from refgrad.arithmetic.grouping import Product, Sum, group
from refgrad.arithmetic.scalar_math import Scope


def graph_of(function: Callable[..., Any]) -> Graph:
    builder = Builder(Scope(), 1)
    made = function(*(builder.input(n) for n in "abcd"))
    outputs = {name: builder.lift(value) for name, value in made.items()}
    return Graph(builder.live(outputs), outputs, {}, ())


def text(node: Node, groups: dict, root: bool = True) -> str:
    """A group's members by name, each in brackets if it is a group of its own."""
    found = groups.get(node.index)
    if node.op == "input":
        return str(node.attribute)
    inner = lambda n: text(n, groups, False)  # noqa: E731
    if isinstance(found, Sum):
        shown = " ".join(f"{'+' if s > 0 else '-'}{inner(n)}" for s, n in found.terms)
    elif isinstance(found, Product):
        below = "".join(f" /{inner(n)}" for n in found.denominators)
        shown = ("-" if found.sign < 0 else "") + " ".join(map(inner, found.numerators)) + below
    else:
        shown = f"{node.op} {' '.join(map(inner, node.args))}"
    return shown if root else f"({shown})"


@pytest.mark.parametrize(
    ("function", "shown"),
    [
        (lambda a, b, c, d: a - b + c, "+a -b +c"),
        (lambda a, b, c, d: a - (b - (c - d)), "+a -b +c -d"),
        (lambda a, b, c, d: -(a - b) - -c, "-a +b +c"),
        (lambda a, b, c, d: a * b / c * d, "a b d /c"),
        (lambda a, b, c, d: a / (b / (c / d)), "a c /b /d"),
        (lambda a, b, c, d: -a * -(b * -c), "-a b c"),
        (lambda a, b, c, d: a * (b + c) * d, "a (+b +c) d"),
        (lambda a, b, c, d: a - b * c / d + a * a, "+a -(b c /d) +(a a)"),
        (lambda a, b, c, d: a / (-b), "-a /b"),
        (lambda a, b, c, d: np.sqrt(a * b) * c, "(sqrt (a b)) c"),
        (lambda a, b, c, d: a + np.where(a > b, c + d, d), "+a +(where (gt a b) (+c +d) d)"),
    ],
)
def test_what_is_seen_whole(function: Callable[..., Any], shown: str) -> None:
    graph = graph_of(lambda *args: {"out": function(*args)})
    node = graph.outputs["out"]
    found = text(node, group(graph))
    assert found == shown or (node.op == "neg" and f"-{found}" == shown)


def test_outputs_are_not_dissolved_into_what_uses_them() -> None:
    def update(a: Any, b: Any, c: Any, d: Any) -> dict[str, Any]:
        m = a + b
        v = c * d
        return {"m": m, "v": v, "p": a - m + b * v * c}

    graph = graph_of(update)
    assert text(graph.outputs["p"], group(graph)) == "+a -(+a +b) +(b (c d) c)"
