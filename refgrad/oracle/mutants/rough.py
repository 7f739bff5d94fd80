"""Rewrites of precision: arrays kept in bfloat16, and models of rough operations."""

from __future__ import annotations

from collections.abc import Iterator

from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.rewriting import Edit, Make, rebuilt
from refgrad.oracle.mutants.patterns import Form, Found

#: significant bits that a reciprocal square root of common hardware has, and a number of bfloat16
ROOT_BITS, BFLOAT16_BITS = 11, 7
FORMATS = ("bfloat16", "float16")


def narrowed(form: Form) -> Iterator[Found]:
    """An input, or a new slot, rounded or truncated to a narrower format: exact, not a model."""
    for node in form.graph.nodes:
        name = node.attribute if node.op == "input" else form.new.get(node.index)
        if name is None or name == "p":
            continue
        what = {"g": "the gradient"}.get(name, f"{name}'" if node.args else f"the old {name}")
        for format_ in FORMATS:
            for rounding, verb in (("nearest", "rounded"), ("truncated", "truncated")):
                text = f"{what} {verb} to {format_}"
                yield form.at(
                    node,
                    text,
                    f"{what} is {verb} to {format_}",
                    lambda d, a, n=node, c=(format_, rounding): d.op("cast", d.copy(n, a), attribute=c),
                )


def roots(form: Form) -> Iterator[Found]:
    """A root of twelve bits."""
    for node in form.graph.nodes:
        if node.op == "sqrt":
            yield form.at(
                node,
                f"a root of twelve bits: {form.text(node)}",
                f"{form.text(node)} is known to twelve bits only",
                lambda d, a: d.op("loose", d.op("sqrt", *a), attribute=(ROOT_BITS,)),
            )


def inside(form: Form) -> Iterator[Found]:
    """The step computed in bfloat16: each operation that an output is made of but its last."""
    inner = [n for n in form.cones["p"] if n.args and n is not form.graph.outputs["p"] and not n.is_boolean]

    def loosened(node: Node) -> Make:
        def make(d: Edit, args: tuple[Node, ...]) -> Node:
            return d.op("loose", d.copy(node, args), attribute=(BFLOAT16_BITS,))

        return make

    if inner:
        text = "bfloat16 arithmetic inside"
        edits = {n.index: loosened(n) for n in inner}
        yield Found(text, text, "the step is computed in bfloat16", lambda: rebuilt(form.graph, edits))
