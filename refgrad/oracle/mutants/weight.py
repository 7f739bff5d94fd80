"""Rewrites of weight decay: its sign, its scale, coupled to the gradient or not, before or after the step."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.rewriting import Edit, Make, negated, rebuilt, times
from refgrad.arithmetic.scalar_math import Expr, const
from refgrad.oracle.mutants.patterns import Form, Found, substituting


def _scales(lr: Expr, decay: Expr) -> dict[str, tuple[Expr, str]]:
    """What weight decay may be instead, each with a sentence."""
    return {
        "no weight decay": (const(0.0), "there is no weight decay"),
        "weight decay with the wrong sign": (negated(decay), "weight decay has the other sign"),
        "weight decay scaled by lr again": (times(decay, lr), "weight decay is multiplied by lr once more"),
        "weight decay not scaled by lr": (Expr("div", (decay, lr)), "weight decay is not multiplied by lr"),
        "half the weight decay": (
            times(decay, const(0.5)),
            "weight decay is halved, as the gradient of a square without its two",
        ),
    }


def scaled(form: Form) -> Iterator[Found]:
    """Weight decay absent, negative, or scaled otherwise."""
    if form.decays_weights:
        for text, (expr, sentence) in _scales(form.lr, form.weight_decay).items():
            if form.knows(expr):
                change = _decay_as(form, expr)
                yield Found(text, text, sentence, lambda c=change: rebuilt(form.graph, scalar=c))


def _decay_as(form: Form, expr: Expr) -> Callable[[Expr], Expr]:
    """A map of scalar expressions in which weight decay is another number."""
    return substituting({str(form.weight_decay.args[0]): expr})


def coupled(form: Form) -> Iterator[Found]:
    """Weight decay added to the gradient: in place of the rule's or besides it, for all or for one output."""
    if not form.decays_weights:
        return
    for text, keep, phrase in (
        ("coupled weight decay", False, "added to the gradient instead"),
        ("coupled weight decay besides", True, "added to the gradient as well"),
    ):
        sentence = f"weight decay is {phrase}"
        yield Found(text, text, sentence, lambda k=keep: _coupled(form, k, form.graph.nodes))
        for output, nodes in form.cones.items():
            where = f"{text} in {output}'"
            yield Found(
                where,
                where,
                f"{sentence}, in {output}' alone",
                lambda k=keep, n=nodes: _coupled(form, k, n),
            )


def _coupled(form: Form, keep: bool, nodes: tuple[Node, ...] | list[Node]) -> Graph:
    edits: dict[int, Make] = {}
    without = substituting({}) if keep else _decay_as(form, const(0.0))
    inside = {n.index for n in nodes}
    for node in form.graph.nodes:
        if node.args:
            edits[node.index] = _with_coupled(node, without, form.weight_decay if node.index in inside else None)
    return rebuilt(form.graph, edits)


def _with_coupled(node: Node, change: Callable[[Expr], Expr], decay: Expr | None) -> Make:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        new = []
        for old, arg in zip(node.args, args, strict=True):
            if old.op == "scalar":
                arg = d.scalar(change(arg.attribute))
            elif old.op == "input" and old.attribute == "g" and decay is not None:
                arg = d.op("add", arg, d.op("mul", d.scalar(decay), d.input("p")))
            new.append(arg)
        return d.copy(node, tuple(new))

    return make


def decoupled(form: Form) -> Iterator[Found]:
    """Weight decay of the parameter itself, before or after the step, scaled by lr or not."""
    if not form.decays_weights:
        return
    decay = form.weight_decay
    scales = ((times(form.lr, decay), "lr times weight_decay"), (decay, "weight_decay alone"))
    for scale, phrase in ((s, p) for s, p in scales if form.knows(s)):
        for after in (False, True):
            when = "after" if after else "before"
            text = f"decoupled weight decay {when} the step by {phrase}"
            sentence = f"the parameter itself decays {when} the step, by {phrase}"
            yield Found(text, text, sentence, lambda s=scale, a=after: _decoupled(form, s, a))


def _decoupled(form: Form, scale: Expr, after: bool) -> Graph:
    plain = rebuilt(form.graph, scalar=_decay_as(form, const(0.0)))

    def decayed(d: Edit, new: Node) -> Node:
        subject = new if after else d.input("p")
        return d.op("sub", new, d.op("mul", d.scalar(scale), subject))

    return rebuilt(plain, outputs={"p": decayed})
