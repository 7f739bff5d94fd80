"""Rewrites that are tried where no likelier one explains a run: at one of several uses, of inputs besides, of norms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from refgrad.arithmetic.formula import scalar_text
from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.rewriting import Edit, Make, complement, rebuilt
from refgrad.arithmetic.scalar_math import Expr, name, names_in
from refgrad.oracle.mutants.decision import BOUNDARY, TURNED
from refgrad.oracle.mutants.patterns import STEP, Form, Found

#: a condition of two for another
CONDITIONS = {"and": "or", "or": "and"}
#: a sum for a difference
SIGNS = {"add": "sub", "sub": "add"}
#: what may stand for one of its operands
JOINED = frozenset({"add", "sub", "mul", "div", "maximum", "minimum"})


def at_one_use(form: Form) -> Iterator[Found]:
    """An operand of what is used several times in its place at one use: a norm of the step without decay, say."""
    for node in form.graph.nodes:
        users = form.users[node.index]
        if node.op not in JOINED or len(users) < 2:
            continue
        for user in users:
            for keep, operand in enumerate(node.args):
                if operand.op == "scalar" or operand.axes != node.axes:
                    continue
                sentence = f"{form.text(operand)} stands for {form.text(node)} in {form.text(user)} alone"
                yield form.at(user, sentence, sentence, _reading(user, node, keep), (form.keys[node.index], keep))


def _reading(user: Node, node: Node, keep: int) -> Make:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        return d.copy(user, tuple(a.args[keep] if o is node else a for o, a in zip(user.args, args, strict=True)))

    return make


def scalar_at_one_use(form: Form) -> Iterator[Found]:
    """A decay, its complement or another decay in place of one another where a scalar is read at one of several places."""
    present = [d for d in form.decays if form.has(d)]
    for node in form.graph.nodes:
        users = form.users[node.index]
        if node.op != "scalar" or len(users) < 2:
            continue
        plain = {d: name(d) for d in present}
        rest = {d: complement(name(d)) for d in present}
        own = next((d for d in present if node.attribute in (plain[d], rest[d])), None)
        if own is None:
            continue
        same = plain if node.attribute == plain[own] else rest
        new = [rest[own] if same is plain else plain[own], *(same[d] for d in present if d != own)]
        for user in users:
            for expr in new:
                sentence = f"{scalar_text(expr)} stands for {form.text(node)} in {form.text(user)} alone"
                yield form.at(user, sentence, sentence, _with_scalar(user, node, expr), (form.keys[node.index], expr))


def _with_scalar(user: Node, node: Node, expr: Expr) -> Make:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        return d.copy(user, tuple(d.scalar(expr) if o is node else a for o, a in zip(user.args, args, strict=True)))

    return make


def sign_at_one_use(form: Form) -> Iterator[Found]:
    """A sum for a difference of scalars, or the reverse, where it is read at one of several places."""
    for node in form.graph.nodes:
        users = form.users[node.index]
        if node.op != "scalar" or node.attribute.op not in SIGNS or len(users) < 2:
            continue
        expr = Expr(SIGNS[node.attribute.op], node.attribute.args)
        for user in users:
            sentence = f"{scalar_text(expr)} stands for {form.text(node)} in {form.text(user)} alone"
            yield form.at(user, sentence, sentence, _with_scalar(user, node, expr), (form.keys[node.index], expr))


def magnitude_at_one_use(form: Form) -> Iterator[Found]:
    """A magnitude for a square where it is read at one of several places."""
    for node in form.graph.nodes:
        users = form.users[node.index]
        if node.op != "mul" or node.args[0] is not node.args[1] or len(users) < 2:
            continue
        for user in users:
            sentence = f"|{form.text(node.args[0])}| stands for {form.text(node)} in {form.text(user)} alone"
            yield form.at(user, sentence, sentence, _unsquared(user, node), form.keys[node.index])


def _unsquared(user: Node, node: Node) -> Make:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        each = zip(user.args, args, strict=True)
        return d.copy(user, tuple(d.op("abs", a.args[0]) if o is node else a for o, a in each))

    return make


def boundary_at_one_use(form: Form) -> Iterator[Found]:
    """A boundary taken in or left out, or the other side of it, at one of several uses of a comparison."""
    for node in form.graph.nodes:
        users = form.users[node.index]
        if node.op not in BOUNDARY or len(users) < 2:
            continue
        for user in users:
            for op, what in ((BOUNDARY[node.op], "the other boundary"), (TURNED[node.op], "the other side")):
                sentence = f"{what} of {form.text(node)} in {form.text(user)} alone"
                yield form.at(user, sentence, sentence, _compared(user, node, op), (form.keys[node.index], op))


def _compared(user: Node, node: Node, op: str) -> Make:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        return d.copy(user, tuple(d.op(op, *a.args) if o is node else a for o, a in zip(user.args, args, strict=True)))

    return make


def conditions(form: Form) -> Iterator[Found]:
    """One of two conditions alone, or both for either of them, and the reverse."""
    for node in form.graph.nodes:
        if node.op in CONDITIONS:
            other = CONDITIONS[node.op]
            for keep in range(2):
                sentence = f"{form.text(node.args[keep])} stands for {form.text(node)}"
                yield form.at(node, sentence, sentence, lambda d, a, k=keep: a[k], keep)
            sentence = f"{other} for {node.op} in {form.text(node)}"
            yield form.at(node, sentence, sentence, lambda d, a, o=other: d.op(o, *a))


def magnitudes(form: Form) -> Iterator[Found]:
    """The magnitude of an input besides the gradient wherever it is read."""
    known = {"g", "p", *form.graph.outputs}
    for node in form.graph.nodes:
        if node.op == "input" and node.attribute not in known and form.users[node.index]:
            sentence = f"|{node.attribute}| stands for {node.attribute}"
            edits = {u.index: _with_magnitude(u, node) for u in form.users[node.index]}
            yield Found(("magnitude", node.attribute), sentence, sentence, lambda e=edits: rebuilt(form.graph, e))


def _with_magnitude(user: Node, node: Node) -> Make:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        return d.copy(user, tuple(d.op("abs", a) if o is node else a for o, a in zip(user.args, args, strict=True)))

    return make


def magnitude_of_a_slot(form: Form) -> Iterator[Found]:
    """The magnitude of a slot's new value wherever another output reads it, as of a curvature that may be negative."""
    for slot in form.slots:
        node = form.graph.outputs[slot]
        own = {n.index for n in form.cones[slot]}
        users = [u for u in form.users[node.index] if u.index not in own and u.op != "abs"]
        if users:
            sentence = f"|{slot}'| stands for {slot}' where it is read"
            edits = {u.index: _with_magnitude(u, node) for u in users}
            yield Found(("magnitude of", slot), sentence, sentence, lambda e=edits: rebuilt(form.graph, e))


def rate_in_a_slot(form: Form) -> Iterator[Found]:
    """The step with its rate in a slot that is made of the step without it."""
    for product in form.graph.nodes:
        if product.op != "mul" or product.args[0].op != "scalar" or product.args[0].attribute != form.lr:
            continue
        step = product.args[1]
        for slot in form.slots:
            users = [u for u in form.cones[slot] if step in u.args and u is not product]
            if users:
                sentence = f"{form.text(product)} stands for {form.text(step)} in {slot}'"
                edits = {u.index: _with_rate(u, step, form.lr) for u in users}
                place = ("rate", slot, form.keys[product.index])
                yield Found(place, sentence, sentence, lambda e=edits: rebuilt(form.graph, e))


def _with_rate(user: Node, step: Node, rate: Expr) -> Make:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        scaled = lambda a: d.op("mul", d.scalar(rate), a)  # noqa: E731
        return d.copy(user, tuple(scaled(a) if o is step else a for o, a in zip(user.args, args, strict=True)))

    return make


def of_one_term(form: Form) -> Iterator[Found]:
    """A factor of a sum as a factor of one term alone: a ratio that scales the gradient and not the decay, say."""
    for node in form.graph.nodes:
        if node.op != "mul":
            continue
        for i, total in enumerate(node.args):
            factor = node.args[1 - i]
            if total.op not in ("add", "sub") or (factor.op != "scalar" and factor.axes == node.axes):
                continue
            for left in (None, *(range(2) if factor.op == "mul" else ())):
                for term in range(2):
                    what = form.text(factor if left is None else factor.args[1 - left])
                    sentence = f"{what} is a factor of {form.text(total.args[term])} alone in {form.text(total)}"
                    yield form.at(node, sentence, sentence, _of_one_term(node, i, left, term), (i, left, term))


def _of_one_term(node: Node, i: int, left: int | None, term: int) -> Make:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        total, factor = args[i], args[1 - i]
        moved = factor if left is None else factor.args[1 - left]
        terms = [d.op("mul", moved, a) if j == term else a for j, a in enumerate(total.args)]
        joined = d.op(total.op, *terms)
        return joined if left is None else d.op("mul", factor.args[left], joined)

    return make


def corrected_in_a_slot(form: Form) -> Iterator[Found]:
    """An average corrected for its bias where another slot is made of it."""
    for slot in form.slots:
        node = form.graph.outputs[slot]
        read = {w for n in form.cones[slot] if n.op == "scalar" for w in names_in(n.attribute)}
        for other in form.slots:
            users = [u for u in form.cones[other] if node.args and node in u.args and other != slot]
            for decay in (w for w in form.decays if w in read and users):
                correction = complement(Expr("pow", (name(decay), STEP)))
                edits = {u.index: _corrected(u, node, correction) for u in users}
                text = f"bias correction of {slot}' by {scalar_text(correction)} in {other}'"
                sentence = f"{slot}' is divided by {scalar_text(correction)} in {other}'"
                place = ("corrected", other, slot, decay)
                yield Found(place, text, sentence, lambda e=edits: rebuilt(form.graph, e))


def _corrected(user: Node, node: Node, correction: Expr) -> Make:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        divided = lambda a: d.op("div", a, d.scalar(correction))  # noqa: E731
        return d.copy(user, tuple(divided(a) if o is node else a for o, a in zip(user.args, args, strict=True)))

    return make


def largest(form: Form) -> Iterator[Found]:
    """The largest magnitude in place of a norm, or of a root of a mean square."""
    for node in form.graph.nodes:
        if node.op != "sqrt":
            continue
        inner = node.args[0]
        mean = inner.op in ("div", "mul") and inner.args[0].op == "sum" and inner.args[1].op == "scalar"
        total = inner.args[0] if mean else inner
        if total.op != "sum" or total.args[0].op != "mul" or total.args[0].args[0] is not total.args[0].args[1]:
            continue
        what = form.text(total.args[0].args[0])
        sentence = f"the largest |{what}| stands for {form.text(node)}"
        yield form.at(node, sentence, sentence, _largest(mean, total.attribute))


def _largest(mean: bool, over: Any) -> Make:
    def make(d: Edit, args: tuple[Node, ...]) -> Node:
        total = args[0].args[0] if mean else args[0]
        return d.op("max", d.op("abs", total.args[0].args[0]), attribute=over)

    return make
