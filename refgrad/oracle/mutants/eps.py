"""Rewrites of eps: under a root or beside it, before or after a correction, squared, absent, as a maximum, in the state."""

from __future__ import annotations

from collections.abc import Iterator

from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.rewriting import Edit, times
from refgrad.arithmetic.scalar_math import Expr
from refgrad.oracle.mutants.patterns import Form, Found

#: what a slot stands under that eps keeps from zero
ROOTED = ("sqrt", "div", "power")


def _sums(form: Form, op: str = "add") -> Iterator[tuple[Node, Node, Node]]:
    """Each node that adds an eps to something (or takes their maximum), with the something and the eps."""
    for node in form.graph.nodes:
        if node.op == op:
            first, second = node.args
            if form.is_eps(second) and first.op != "scalar":
                yield node, first, second
            elif form.is_eps(first) and second.op != "scalar":
                yield node, second, first


def anywhere(form: Form) -> Iterator[Found]:
    """eps dropped, squared, its root, or as a maximum."""
    for node, other, eps in _sums(form):
        what, text, e = form.text(other), form.text(eps), eps.attribute
        x = _position(node, other)
        yield form.at(node, f"no {text}", f"no {text} is added to {what}", lambda _, a, x=x: a[x])
        for name, expr in ((f"{text} squared", times(e, e)), (f"the root of {text}", Expr("sqrt", (e,)))):
            yield form.at(
                node, name, f"{name} is added to {what}", lambda d, a, x=x, v=expr: d.op("add", a[x], d.scalar(v))
            )
        name, sentence = f"{text} as a maximum", f"{what} is at least {text}, which is not added"
        yield form.at(node, name, sentence, lambda d, a, x=x, e=e: d.op("maximum", a[x], d.scalar(e)))
    for node, other, eps in _sums(form, "maximum"):
        x, e, text = _position(node, other), eps.attribute, form.text(eps)
        sentence = f"{text} is added to {form.text(other)}"
        yield form.at(
            node, f"{text} added", sentence, lambda d, a, x=x, e=e: d.op("add", a[x], d.scalar(e)), "for maximum"
        )


def beside_a_root(form: Form) -> Iterator[Found]:
    """eps beside a root moved under it, also under it, or beside the root of what is not corrected yet."""
    for node, root, eps in _sums(form):
        if root.op != "sqrt":
            continue
        inner, text, e = form.text(root.args[0]), form.text(eps), eps.attribute
        x = _position(node, root)

        def under(d: Edit, a: tuple[Node, ...], e: Expr, x: int) -> Node:
            return d.op("sqrt", d.op("add", a[x].args[0], d.scalar(e)))

        name, sentence = f"{text} under the root", f"{text} is added under the root of {inner}"
        yield form.at(node, name, sentence, lambda d, a, e=e, x=x, f=under: f(d, a, e, x))
        sentence = f"{text} squared is added under the root of {inner}"
        squared = times(e, e)
        yield form.at(
            node, f"{text} squared under the root", sentence, lambda d, a, e=squared, x=x, f=under: f(d, a, e, x)
        )
        sentence = f"{text} is added both under the root of {inner} and to the root"
        yield form.at(
            node,
            f"{text} under the root and beside it",
            sentence,
            lambda d, a, e=e, x=x, f=under: d.op("add", f(d, a, e, x), d.scalar(e)),
        )
        yield from _before_correction(form, node, root, e, text)


def _before_correction(form: Form, node: Node, root: Node, e: Expr, text: str) -> Iterator[Found]:
    corrected = root.args[0]
    if corrected.op != "div" or corrected.args[1].op != "scalar":
        return
    bias, x = corrected.args[1].attribute, _position(node, root)

    def make(d: Edit, a: tuple[Node, ...]) -> Node:
        raw = d.op("add", d.op("sqrt", a[x].args[0].args[0]), d.scalar(e))
        return d.op("div", raw, d.scalar(Expr("sqrt", (bias,))))

    before = form.text(corrected.args[0])
    name = f"{text} before bias correction"
    yield form.at(node, name, f"{text} is added to the root of {before} before bias correction", make)


def under_a_root(form: Form) -> Iterator[Found]:
    """eps under a root moved beside it, or from a corrected moment to the uncorrected one."""
    for node, other, eps in _sums(form):
        x, e, text = _position(node, other), eps.attribute, form.text(eps)
        inner = form.text(other)
        for user in form.users[node.index]:
            if user.op == "sqrt":

                def beside(d: Edit, a: tuple[Node, ...], x: int = x, e: Expr = e) -> Node:
                    return d.op("add", d.op("sqrt", a[0].args[x]), d.scalar(e))

                yield form.at(user, f"{text} beside the root", f"{text} is added to the root of {inner}", beside)
                if other.op == "div" and other.args[1].op == "scalar":
                    sentence = f"{text} is added to {form.text(other.args[0])} before bias correction, under the root"
                    yield form.at(
                        node,
                        f"{text} under the root before bias correction",
                        sentence,
                        lambda d, a, x=x, e=e: d.op("div", d.op("add", a[x].args[0], d.scalar(e)), a[x].args[1]),
                    )


def in_the_state(form: Form) -> Iterator[Found]:
    """eps added to a slot at every step, and kept in it."""
    found = {n.attribute for n in form.graph.nodes if form.is_eps(n)}
    for slot in form.slots:
        node = form.graph.outputs[slot]
        if node.args and _is_divisor(form, slot, node):
            for e in sorted(found):
                sentence = f"eps is added to {slot} at every step and kept there"
                yield form.at(
                    node,
                    f"eps in {slot}",
                    sentence,
                    lambda d, a, n=node, e=e: d.op("add", d.copy(n, a), d.scalar(e)),
                    e,
                )


def in_any_slot(form: Form) -> Iterator[Found]:
    """The same in slots that no root or quotient reads at once, and at steps whose results read no eps."""
    for slot in form.slots:
        node = form.graph.outputs[slot]
        for eps in form.eps if node.args else ():
            yield form.at(
                node,
                f"{eps} in {slot} at every step",
                f"{eps} is added to {slot} at every step and kept there, whatever the step makes of it",
                lambda d, a, n=node, e=eps: d.op("add", d.copy(n, a), d.scalar(Expr("name", (e,)))),
            )


def _is_divisor(form: Form, slot: str, node: Node) -> bool:
    """True if a slot stands under a root or in a quotient: its new value, or the old one, with an eps or without."""
    ends = [node, *(n for n in form.graph.nodes if n.op == "input" and n.attribute == slot)]
    near = [user for end in ends for user in form.users[end.index]]
    sums = [n for n, other, _ in _sums(form) if other in ends]
    return any(user.op in ROOTED for user in (*near, *(u for n in sums for u in form.users[n.index])))


def _position(node: Node, arg: Node) -> int:
    return 0 if node.args[0] is arg else 1
