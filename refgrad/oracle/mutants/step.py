"""Rewrites of the step: its sign, looking ahead, ties of a sign, a clipped gradient."""

from __future__ import annotations

from collections.abc import Iterator

from refgrad.arithmetic.graph import Graph, Node
from refgrad.arithmetic.rewriting import Edit, complement, rebuilt
from refgrad.arithmetic.scalar_math import Expr, name
from refgrad.oracle.mutants.patterns import Form, Found


def signs(form: Form) -> Iterator[Found]:
    """The sign of a term of a sum."""
    for node in form.graph.nodes:
        if node.op in ("add", "sub"):
            left, right = node.args
            other = "sub" if node.op == "add" else "add"
            text, sentence = f"the other sign of {form.text(right)}", f"{form.text(right)} has the other sign"
            yield form.at(node, text, sentence, lambda d, a, o=other: d.op(o, *a))
            text, sentence = f"the other sign of {form.text(left)}", f"{form.text(left)} has the other sign"
            yield form.at(node, text, sentence, lambda d, a, o=other: d.op("neg", d.op(o, *a)))


def look_ahead(form: Form) -> Iterator[Found]:
    """Nesterov's look-ahead added to what reads an average, or taken away."""
    for slot in form.slots:
        node = form.graph.outputs[slot]
        found = _average(form, node)
        users = [u for u in form.cones["p"] if node in u.args]
        if found is None or not users:
            continue
        decay, position, other = found
        for plain in (False, True):
            text = f"Nesterov's look-ahead of {slot}'" + (" without the factor of the gradient" if plain else "")
            ahead = f"{decay} {slot}' + " + ("g" if plain else form.text(other))
            if plain and other.op == "input":
                continue
            yield Found(
                ("ahead", slot, plain),
                text,
                f"the step looks ahead: {ahead} stands for {slot}'",
                lambda u=users, n=node, w=decay, x=position, p=plain: _ahead(form, u, n, w, x, p),
            )
        for user in users:
            for outer in [user, *form.users[user.index]]:
                if outer.op == "add":
                    text = f"no look-ahead of {slot}'"
                    sentence = f"the step does not look ahead: {slot}' stands for {form.text(outer)}"
                    yield form.at(outer, text, sentence, lambda d, _, n=node: d.new[n.index])


def _ahead(form: Form, users: list[Node], node: Node, decay: str, position: int, plain: bool) -> Graph:
    def ahead(d: Edit, current: Node) -> Node:
        fresh = d.input("g") if plain else d.new[node.args[position].index]
        return d.op("add", d.op("mul", d.scalar(name(decay)), current), fresh)

    edits = {
        user.index: lambda d, a, u=user: d.copy(
            u, tuple(ahead(d, x) if o is node else x for x, o in zip(a, u.args, strict=True))
        )
        for user in users
    }
    return rebuilt(form.graph, edits)


def _average(form: Form, node: Node) -> tuple[str, int, Node] | None:
    """The decay of ``beta s + x`` with a slot s, and x, which is linear in the gradient."""
    if node.op != "add":
        return None
    for position in (0, 1):
        term, other = node.args[1 - position], node.args[position]
        if term.op == "mul" and term.args[0].op == "scalar" and term.args[1].op == "input":
            decay = term.args[0].attribute
            linear = other.op == "input" or (
                other.op == "mul" and other.args[0].op == "scalar" and not other.args[1].args
            )
            if decay.op == "name" and decay.args[0] in form.decays and linear:
                return decay.args[0], position, other
    return None


def corrected_look_ahead(form: Form) -> Iterator[Found]:
    """Nesterov's look-ahead of a corrected average: the simplified NAdam."""
    for node in form.graph.nodes:
        if node.op != "div" or node.args[1].op != "scalar" or node.args[0].index not in form.new:
            continue
        slot = form.new[node.args[0].index]
        found = _average(form, node.args[0])
        if found is None:
            continue
        decay, _, _ = found
        bias = node.args[1].attribute

        def make(d: Edit, a: tuple[Node, ...], decay: str = decay, bias: Expr = bias) -> Node:
            fresh = d.op("div", d.op("mul", d.scalar(complement(name(decay))), d.input("g")), d.scalar(bias))
            return d.op("add", d.op("mul", d.scalar(name(decay)), d.op("div", *a)), fresh)

        text = f"Nesterov's look-ahead of the corrected {slot}'"
        sentence = (
            f"{decay} times the corrected {slot}', plus the corrected new gradient, stands for the corrected {slot}'"
        )
        yield form.at(node, text, sentence, make)


def ties(form: Form) -> Iterator[Found]:
    """The sign of zero taken as one, or minus one."""
    every = [node for node in form.graph.nodes if node.op == "sign"]
    for node in every:
        where = f" in {form.text(node)}" if len(every) > 1 else ""
        for op, value in (("ge", "one"), ("gt", "minus one")):
            text = f"the sign of zero as {value}{where}"

            def make(d: Edit, a: tuple[Node, ...], op: str = op) -> Node:
                return d.op("where", d.op(op, a[0], d.number(0.0)), d.number(1.0), d.number(-1.0))

            yield form.at(node, text, f"the sign of zero is {value}{where}", make)


def ties_alone(form: Form) -> Iterator[Found]:
    """The sign of zero taken as one, or minus one, where that of NaN stays NaN."""
    every = [node for node in form.graph.nodes if node.op == "sign"]
    for node in every:
        where = f" in {form.text(node)}" if len(every) > 1 else ""
        for value, word in ((1.0, "one"), (-1.0, "minus one")):
            text = f"the sign of zero as {word}, that of NaN as it is{where}"

            def make(d: Edit, a: tuple[Node, ...], value: float = value) -> Node:
                return d.op("where", d.op("eq", a[0], d.number(0.0)), d.number(value), d.op("sign", a[0]))

            yield form.at(node, text, f"the sign of zero is {word}, and that of NaN is NaN{where}", make)


def cleaned(form: Form) -> Iterator[Found]:
    """A gradient of NaN taken for zero."""
    for node in form.graph.nodes:
        if node.op == "input" and node.attribute == "g":

            def make(d: Edit, a: tuple[Node, ...], node: Node = node) -> Node:
                g = d.copy(node, a)
                return d.op("where", d.op("eq", g, g), g, d.number(0.0))

            yield form.at(node, "a gradient of NaN taken for zero", "a gradient of NaN is taken for zero", make)


def clipped(form: Form) -> Iterator[Found]:
    """The gradient clipped to one, element by element."""
    for node in form.graph.nodes:
        if node.op == "input" and node.attribute == "g":
            yield form.at(
                node,
                "the gradient clipped at 1",
                "each element of the gradient is clipped to [-1, 1]",
                lambda d, a, n=node: d.op("minimum", d.op("maximum", d.copy(n, a), d.number(-1.0)), d.number(1.0)),
            )
