"""Rewrites of decisions and of the numbers beside them: what rules without state are made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.rewriting import Edit, rebuilt, with_output
from refgrad.arithmetic.scalar_math import Expr, const
from refgrad.arithmetic.steps import Integer, SharedScale
from refgrad.oracle.mutants.patterns import Form, Found

BOUNDARY = {"lt": "le", "le": "lt", "gt": "ge", "ge": "gt"}
TURNED = {"lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
ROUNDINGS = {"rint": "to the nearest", "floor": "down", "ceil": "up"}
#: how else a number is rounded to a whole one, by words
DIRECTIONS: Mapping[str, Callable[[Edit, Node], Node]] = {
    "down": lambda d, x: d.op("floor", x),
    "up": lambda d, x: d.op("ceil", x),
    "toward zero": lambda d, x: d.op("where", d.op("lt", x, d.number(0.0)), d.op("ceil", x), d.op("floor", x)),
}
#: the same of halves, as `Integer.ties` calls it
HALVES = {"even": "to the even one", "up": "up", "away": "away from zero"}
FACTORS = {2.0: "twice", 0.5: "half"}


def comparisons(form: Form) -> Iterator[Found]:
    """The boundary taken in or left out, or the other side of it."""
    for node in form.graph.nodes:
        if node.op in BOUNDARY:
            text = form.text(node)
            for new, what in ((BOUNDARY[node.op], "the other boundary"), (TURNED[node.op], "the other side")):
                sentence = f"{what} of {text}"
                yield form.at(node, sentence, sentence, lambda d, a, n=new: d.op(n, *a), new)


def halves(form: Form) -> Iterator[Found]:
    """The mean of both values where a choice stands at its boundary, as derivatives of clips and maxima have it."""
    for node in form.graph.nodes:
        if node.op == "where" and node.args[0].op in BOUNDARY:
            sentence = f"half of each at the boundary of {form.text(node.args[0])}"
            yield form.at(node, sentence, sentence, _half)


def _half(d: Edit, args: tuple[Node, ...]) -> Node:
    condition, one, other = args
    opposite = d.op(BOUNDARY[condition.op], *condition.args)
    strict, loose = (condition, opposite) if condition.op in ("lt", "gt") else (opposite, condition)
    mean = d.op("mul", d.number(0.5), d.op("add", one, other))
    return d.op("where", strict, one, d.op("where", loose, mean, other))


def roundings(form: Form) -> Iterator[Found]:
    """Another direction of rounding to whole numbers, or none."""
    for node in form.graph.nodes:
        if node.op in ROUNDINGS:
            text = form.text(node.args[0])
            for new, how in ROUNDINGS.items():
                if new != node.op:
                    sentence = f"{text} rounded {how}"
                    yield form.at(node, sentence, sentence, lambda d, a, n=new: d.op(n, *a), new)
            yield form.at(node, f"{text} not rounded", f"{text} is not rounded", lambda d, a: a[0])


def directions(form: Form) -> Iterator[Found]:
    """Rounding toward zero, halves to another side, and all of that where a rule says to which side its halves go."""
    for node in form.graph.nodes:
        whole = node.attribute if node.op == "step" and isinstance(node.attribute, Integer) else None
        if node.op != "rint" and (whole is None or whole.unit != 1.0):
            continue
        text = form.text(node.args[0])
        bounds = (-math.inf, math.inf) if whole is None else (whole.low, whole.high)
        for how, make in DIRECTIONS.items():
            if whole is not None or how == "toward zero":
                sentence = f"{text} rounded {how}"
                yield form.at(node, sentence, sentence, lambda d, a, m=make, b=bounds: _within(d, m(d, a[0]), *b), how)
        if whole is not None:
            sentence = f"{text} is not rounded"
            yield form.at(node, f"{text} not rounded", sentence, lambda d, a, b=bounds: _within(d, a[0], *b))
        for ties, how in HALVES.items():
            if ties != ("even" if whole is None else whole.ties):
                other = Integer(ties, *bounds)
                sentence = f"{text} rounded to the nearest, halves {how}"
                yield form.at(node, sentence, sentence, lambda d, a, o=other: d.op("step", a[0], attribute=o), ties)


def apart(find: Callable[[Form], Iterator[Found]]) -> Callable[[Form], Iterator[Found]]:
    """What a rewrite finds, made in what one result is made of alone: others keep what they share with it."""

    def found(form: Form) -> Iterator[Found]:
        outputs = form.graph.outputs
        if form.plan.rule.kind != "estimator":
            return  # of others a result is judged given those before it, so that nothing would show of it
        for each in find(form) if len(outputs) > 1 else ():
            for output in outputs:
                name, sentence = f"{each.name} in {output} alone", f"{each.sentence}, in {output} alone"
                make = lambda e=each, o=output: with_output(form.graph, e.make(), o)  # noqa: E731
                yield Found(("apart", output, each.place), name, sentence, make)

    return found


def wrapped(form: Form) -> Iterator[Found]:
    """A whole number that is to be held between two, and wraps instead, as a number of few bits does."""
    for outer in form.graph.nodes:
        if outer.op not in ("minimum", "maximum") or outer.args[0].op not in ("minimum", "maximum"):
            continue
        inner = outer.args[0]
        ends = {n.op: n.args[1].attribute for n in (inner, outer) if n.args[1].op == "scalar"}
        if len(ends) < 2 or any(end.op != "const" for end in ends.values()):
            continue
        low, high = ends["maximum"].args[0], ends["minimum"].args[0]
        size = high - low + 1.0
        if low < high and math.log2(size).is_integer():
            sentence = f"{form.text(inner.args[0])} wraps beyond {low:g} and {high:g}"
            yield form.at(outer, sentence, sentence, lambda d, a, lo=low, n=size: _wrapped(d, a[0].args[0], lo, n))


def _wrapped(d: Edit, whole: Node, low: float, size: float) -> Node:
    turns = d.op("floor", d.op("div", d.op("sub", whole, d.number(low)), d.number(size)))
    return d.op("sub", whole, d.op("mul", d.number(size), turns))


def _within(d: Edit, whole: Node, low: float, high: float) -> Node:
    """A whole number that is held between bounds, where there are any."""
    raised = d.op("maximum", whole, d.number(low)) if math.isfinite(low) else whole
    return d.op("minimum", raised, d.number(high)) if math.isfinite(high) else raised


def numbers(form: Form) -> Iterator[Found]:
    """A number of the rule's text, or of its hyperparameters, twice or half as large at one place, or with the other sign."""
    for node in form.graph.nodes:
        for i, arg in enumerate(node.args):
            if arg.op != "scalar" or arg.attribute == const(0.0):
                continue
            for factor, word in FACTORS.items():
                sentence = f"{word} {form.text(arg)} in {form.text(node)}"
                yield form.at(node, sentence, sentence, _scaled(node, i, arg.attribute, factor), (i, factor))
            sentence = f"minus {form.text(arg)} in {form.text(node)}"
            yield form.at(node, sentence, sentence, _scaled(node, i, arg.attribute, -1.0), (i, -1.0))


def whole_numbers(form: Form) -> Iterator[Found]:
    """A whole number of the rule's text, such as the highest code, off by one at one place."""
    for node in form.graph.nodes:
        for i, arg in enumerate(node.args):
            value = arg.attribute.args[0] if arg.op == "scalar" and arg.attribute.op == "const" else 0.0
            if abs(value) > 2.0 and float(value).is_integer():
                for new in (value - 1.0, value + 1.0):
                    sentence = f"{new:g} for {form.text(arg)} in {form.text(node)}"
                    yield form.at(node, sentence, sentence, _number(node, i, new), (i, new))


def shared_exponents(form: Form) -> Iterator[Found]:
    """The exponent of a scale that a block shares larger or smaller by up to four, as where an exponent is counted otherwise."""
    for node in form.graph.nodes:
        if node.op == "step" and isinstance(node.attribute, SharedScale):
            text = form.text(node.args[0])
            for by in (-1, 1, -2, 2, -3, 3, -4, 4):
                other = replace(node.attribute, largest_exponent=node.attribute.largest_exponent - by)
                sentence = f"the exponent of the scale of {text} is {abs(by)} {'larger' if by > 0 else 'smaller'}"
                yield form.at(node, sentence, sentence, lambda d, a, o=other: d.op("step", a[0], attribute=o), by)


def _number(node: Node, i: int, value: float) -> Callable[..., Node]:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        return d.copy(node, tuple(d.number(value) if j == i else a for j, a in enumerate(args)))

    return make


def _scaled(node: Node, i: int, expr: Expr, factor: float) -> Callable[..., Node]:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        new = d.scalar(Expr("mul", (const(factor), expr)))
        return d.copy(node, tuple(new if j == i else a for j, a in enumerate(args)))

    return make


def results(form: Form) -> Iterator[Found]:
    """A result twice or half as large, or with the other sign."""
    for name in form.graph.outputs:
        for factor, word in {**FACTORS, -1.0: "minus"}.items():
            sentence = f"{word} {name}"
            make = lambda n=name, f=factor: rebuilt(  # noqa: E731
                form.graph, outputs={n: lambda d, node: d.op("mul", d.number(f), node)}
            )
            yield Found(("result", name, factor), sentence, sentence, make)


def exchanged(form: Form) -> Iterator[Found]:
    """One input for another of the same axes."""
    inputs = [n for n in form.graph.nodes if n.op == "input"]
    for node in form.graph.nodes:
        for i, arg in enumerate(node.args):
            for other in inputs:
                if arg.op == "input" and other.attribute != arg.attribute and other.axes == arg.axes:
                    sentence = f"{other.attribute} stands for {arg.attribute} in {form.text(node)}"
                    yield form.at(node, sentence, sentence, _read(node, i, other), (i, other.attribute))


def _read(node: Node, i: int, other: Node) -> Callable[..., Node]:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        read = d.input(other.attribute, other.axes)
        return d.copy(node, tuple(read if j == i else a for j, a in enumerate(args)))

    return make


def chosen(form: Form) -> Iterator[Found]:
    """What belongs to the elements that were chosen alone: the cotangent, or a gradient."""
    names = getattr(form.plan.rule, "chosen", ())
    inputs = {node.attribute: node for node in form.graph.nodes if node.op == "input"}
    for choice in (inputs[n] for n in names if n in inputs):
        kept = lambda d, node, c=choice: d.op("mul", node, d.input(c.attribute, c.axes))  # noqa: E731
        for name, node in inputs.items():
            if name == "cotangent" and node.axes == choice.axes:
                sentence = "the cotangent of what was not chosen is left out"
                yield form.at(node, sentence, sentence, lambda d, a, n=node, k=kept: k(d, d.copy(n, a)))
        for name, node in form.graph.outputs.items():
            if name.endswith("gradient") and node.axes == choice.axes:
                sentence = f"{name} is that of what was chosen alone"
                make = lambda n=name, k=kept: rebuilt(form.graph, outputs={n: k})  # noqa: E731
                yield Found(("chosen", name), sentence, sentence, make)
