"""Rewrites of decays: exchanged, taken for one another, complemented, formed in float32; averages and sums."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np

from refgrad.arithmetic.formula import scalar_text
from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.rewriting import ONE, complement, rebuilt, replaced
from refgrad.arithmetic.scalar_math import Expr, const, name, names_in
from refgrad.oracle.mutants.correction import corrections_in
from refgrad.oracle.mutants.patterns import Form, Found, substituting


def exchanged(form: Form) -> Iterator[Found]:
    """Two decays exchanged: everywhere, in corrections alone, everywhere else, or in what one output is made of."""
    present = [d for d in form.decays if form.has(d)]
    for a, b in itertools.combinations(present, 2):
        swap = substituting({a: name(b), b: name(a)})
        scopes: dict[str, Callable[..., dict]] = {
            "": lambda s=swap: form.scalar_inputs(form.graph.nodes, s),
            " in the bias corrections": lambda s=swap: form.scalar_inputs(form.graph.nodes, _in_corrections(s)),
            " but in the bias corrections": lambda s=swap: form.scalar_inputs(form.graph.nodes, _but_in_corrections(s)),
        }
        scopes |= {
            f" in {output}'": lambda o=output, s=swap: form.scalar_inputs(form.cones[o], s)
            for output in form.graph.outputs
        }
        for where, edits in scopes.items():
            text = f"{a} and {b} exchanged{where}"
            sentence = f"{a} and {b} are exchanged{where}"
            yield Found(text, text, sentence, lambda e=edits: rebuilt(form.graph, e()))


def _in_corrections(change: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    def within(expr: Expr) -> Expr:
        for correction in corrections_in(expr):
            expr = replaced(expr, correction, change(correction))
        return expr

    return within


def _but_in_corrections(change: Callable[[Expr], Expr]) -> Callable[[Expr], Expr]:
    return lambda expr: expr if corrections_in(expr) else change(expr)


def mistaken(form: Form) -> Iterator[Found]:
    """One decay for another: in what one output is made of, or in one scalar."""
    present = [d for d in form.decays if form.has(d)]
    for a, b in itertools.permutations(present, 2):
        change = substituting({a: name(b)})
        for output, nodes in form.cones.items():
            text = f"{b} for {a} in {output}'"
            sentence = f"{b} stands for {a} in {output}'"
            yield Found(text, text, sentence, lambda n=nodes, c=change: rebuilt(form.graph, form.scalar_inputs(n, c)))
        for node in _scalars(form, a):
            text = f"{b} for {a} in {scalar_text(node.attribute)}"
            sentence = f"{b} stands for {a} in {scalar_text(node.attribute)}"
            mistaken_for = change(node.attribute)
            yield form.at(node, text, sentence, lambda d, _, e=mistaken_for: d.scalar(e))


def complemented(form: Form) -> Iterator[Found]:
    """``1 - beta`` and ``beta`` taken for each other in what one output is made of; one for the other at one place."""
    for decay in (d for d in form.decays if form.has(d)):
        change = substituting({decay: complement(name(decay))})
        for output, nodes in form.cones.items():
            if any(n.op == "scalar" and decay in names_in(n.attribute) for n in nodes):
                text = f"{decay} and 1 - {decay} exchanged in {output}'"
                sentence = f"{decay} and 1 - {decay} are exchanged in {output}'"
                yield Found(
                    text, text, sentence, lambda n=nodes, c=change: rebuilt(form.graph, form.scalar_inputs(n, c))
                )
        plain, rest = name(decay), complement(name(decay))
        for old, new in ((rest, plain), (plain, rest)):
            for node in (n for n in form.graph.nodes if n.op == "scalar" and n.attribute == old):
                sentence = f"{scalar_text(new)} stands for {scalar_text(old)}"
                yield form.at(node, sentence, sentence, lambda d, _, e=new: d.scalar(e))


def in_float32(form: Form) -> Iterator[Found]:
    """One scalar constant ``1 - beta`` formed in float32 from a beta of float32."""
    numbers = form.plan.rule.numbers()
    for node in form.graph.nodes:
        expr = node.attribute
        if node.op == "scalar" and expr.op == "sub" and expr.args[0] == ONE and expr.args[1].op == "name":
            word = expr.args[1].args[0]
            if word in numbers:
                rounded = complement(const(float(np.float32(numbers[word]))))
                text = f"{scalar_text(expr)} formed in float32"
                sentence = f"{scalar_text(expr)} is formed in float32"
                yield form.at(node, text, sentence, lambda d, _, e=rounded: d.scalar(e))


def averages(form: Form) -> Iterator[Found]:
    """A decayed sum as an average, as a maximum, or never falling; a slot that is not updated."""
    for node in form.graph.nodes:
        decayed = _decayed_sum(form, node)
        if decayed is not None:
            decay, position = decayed
            other = form.text(node.args[position])
            text, sentence = f"the average of {other}", f"{other} is multiplied by 1 - {decay}, as in an average"
            yield form.at(
                node,
                f"an average: 1 - {decay} times {other}",
                sentence,
                lambda d, a, n=node, p=position, w=decay: d.copy(
                    n, tuple(d.op("mul", d.scalar(complement(name(w))), x) if i == p else x for i, x in enumerate(a))
                ),
            )
            text = f"a maximum for the sum in {form.text(node)}"
            sentence = f"the larger of the two is taken, rather than their sum, in {form.text(node)}"
            yield form.at(node, text, sentence, lambda d, a: d.op("maximum", *a))
    for slot in form.slots:
        node = form.graph.outputs[slot]
        if node.args:
            yield from _slot(form, slot, node)


def _slot(form: Form, slot: str, node: Node) -> Iterator[Found]:
    sentence = f"{slot} is the larger of its old and its new value"
    yield form.at(
        node, f"{slot} that never falls", sentence, lambda d, a: d.op("maximum", d.input(slot), d.copy(node, a))
    )
    yield form.at(node, f"{slot} not updated", f"{slot} stays as it was", lambda d, a: d.input(slot))
    kept = lambda: rebuilt(form.graph, outputs={slot: lambda d, _: d.input(slot)})  # noqa: E731
    sentence = f"{slot} stays as it was, though the step uses its new value"
    yield Found(("kept", slot), f"{slot} not stored", sentence, kept)


def _decayed_sum(form: Form, node: Node) -> tuple[str, int] | None:
    """The decay of ``beta s + x``, and where x stands."""
    if node.op == "add":
        for position in (0, 1):
            term = node.args[position]
            if term.op == "mul":
                for factor in term.args:
                    if factor.op == "scalar" and factor.attribute.op == "name":
                        word = factor.attribute.args[0]
                        if word in form.decays:
                            return word, 1 - position
    return None


def _scalars(form: Form, word: str) -> list[Node]:
    return [n for n in form.graph.nodes if n.op == "scalar" and word in names_in(n.attribute)]
