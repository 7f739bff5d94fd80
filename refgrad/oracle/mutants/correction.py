"""Rewrites of bias corrections and of the step count."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from refgrad.arithmetic.formula import scalar_text
from refgrad.arithmetic.graph import Node
from refgrad.arithmetic.rewriting import ONE, complement, rebuilt, replaced, subexpressions
from refgrad.arithmetic.scalar_math import Expr, const, name, names_in
from refgrad.oracle.mutants.patterns import STEP, Form, Found, replacing, simplified, substituting


def corrections_in(expr: Expr) -> list[Expr]:
    """Subexpressions such as ``1 - beta**t``."""
    return [
        e
        for e in dict.fromkeys(subexpressions(expr))
        if e.op == "sub" and e.args[0] == ONE and e.args[1].op == "pow" and "t" in names_in(e.args[1].args[1])
    ]


def dropped(form: Form) -> Iterator[Found]:
    """A correction dropped: wherever it stands, at one use, or all of them."""
    every = list(dict.fromkeys(c for e in form.graph.scalars() for c in corrections_in(e)))
    for correction in every:
        text = scalar_text(correction)
        for node in form.graph.nodes:
            if node.op == "scalar" and correction in corrections_in(node.attribute):
                expr = simplified(replaced(node.attribute, correction, ONE))
                uses = " and ".join(sorted({_subject(form, user) for user in form.users[node.index]}))
                sentence = f"there is no bias correction by {text} of {uses}"
                name_ = f"no bias correction of {uses}"
                yield form.at(node, name_, sentence, lambda d, a, e=expr: d.scalar(e), correction)
        yield from _at_one_use(form, correction)
    if len(every) > 1:

        def uncorrected(expr: Expr) -> Expr:
            for correction in every:
                expr = replaced(expr, correction, ONE)
            return simplified(expr)

        sentence = "there is no bias correction"
        make = lambda: rebuilt(form.graph, form.scalar_inputs(form.graph.nodes, uncorrected))  # noqa: E731
        yield Found("no bias correction", "no bias correction", sentence, make)


def _at_one_use(form: Form, correction: Expr) -> Iterator[Found]:
    for node in form.graph.nodes:
        if node.op == "div" and node.args[1].op == "scalar" and node.args[1].attribute == correction:
            for user in form.users[node.index]:
                what = form.text(node.args[0])
                sentence = f"{what} is not corrected for its bias in {form.text(user)}"
                positions = [i for i, a in enumerate(user.args) if a is node]
                yield form.at(
                    user,
                    f"no bias correction of {what} at one place",
                    sentence,
                    lambda d, a, u=user, p=positions: d.copy(
                        u, tuple(x.args[0] if i in p and x.args else x for i, x in enumerate(a))
                    ),
                    correction,
                )


def _subject(form: Form, user: Node) -> str:
    others = [a for a in user.args if a.op != "scalar"]
    return form.text(others[0]) if others else form.text(user)


def moved(form: Form) -> Iterator[Found]:
    """A correction under a root moved beside it, without its own root."""
    for node in form.graph.nodes:
        inner = node.args[0] if node.op == "sqrt" else None
        if inner is not None and inner.op == "div" and inner.args[1].op == "scalar":
            sentence = (
                f"the root of {form.text(inner.args[0])} is divided by {form.text(inner.args[1])} without its root"
            )
            yield form.at(
                node,
                f"the correction {form.text(inner.args[1])} beside the root",
                sentence,
                lambda d, a: d.op("div", d.op("sqrt", a[0].args[0]), a[0].args[1]),
            )


def added(form: Form) -> Iterator[Found]:
    """An average corrected for its bias where it is not."""
    for slot in form.slots:
        node = form.graph.outputs[slot]
        if not node.args:
            continue
        read = {w for n in form.cones[slot] if n.op == "scalar" for w in names_in(n.attribute)}
        for decay in (w for w in form.decays if w in read):
            correction = complement(Expr("pow", (name(decay), STEP)))
            users = [u for u in form.cones["p"] if node in u.args and not _corrects(u, node)]
            if users:
                edits = {
                    u.index: lambda d, a, u=u, n=node, c=correction: d.copy(
                        u,
                        tuple(d.op("div", x, d.scalar(c)) if o is n else x for x, o in zip(a, u.args, strict=True)),
                    )
                    for u in users
                }
                text = f"bias correction of {slot}' by {scalar_text(correction)}"
                place = ("corrected", slot, decay)
                yield Found(
                    place,
                    text,
                    f"{slot}' is divided by {scalar_text(correction)}",
                    lambda e=edits: rebuilt(form.graph, e),
                )


def _corrects(user: Node, node: Node) -> bool:
    return user.op == "div" and user.args[0] is node and bool(user.args[1].op == "scalar")


def step_count(form: Form) -> Iterator[Found]:
    """The step count off by one: everywhere, or in one scalar expression."""
    graph = form.graph
    exprs = [*graph.scalars(), *graph.scalar_outputs.values(), *(e for e, _ in graph.guards)]
    direct = [s for e in exprs for s in subexpressions(e) if s.op not in ("const", "name") and STEP in s.args]
    for op, word in (("add", "+"), ("sub", "-")):
        shifted = Expr(op, (STEP, const(1.0)))
        if direct:
            sentence = f"the step count is t {word} 1 wherever it is used"
            make = partial(rebuilt, graph, scalar=substituting({"t": shifted}))
            yield Found(("t", op), f"t {word} 1 for t", sentence, make)
        for old in dict.fromkeys(direct):
            new = Expr(old.op, tuple(shifted if a == STEP else a for a in old.args))
            sentence = f"{scalar_text(new)} stands for {scalar_text(old)}"
            make = partial(rebuilt, graph, scalar=replacing(old, new))
            yield Found(("t", op, old), f"{scalar_text(new)} for {scalar_text(old)}", sentence, make)
    yield from _in_one_scalar(form)


def _in_one_scalar(form: Form) -> Iterator[Found]:
    """The step count off by one in one scalar alone, where others have the same expression in them."""
    for node in form.graph.nodes:
        if node.op == "scalar" and "t" in names_in(node.attribute):
            for op, word in (("add", "+"), ("sub", "-")):
                shifted = Expr(op, (STEP, const(1.0)))
                new = substituting({"t": shifted})(node.attribute)
                sentence = f"t {word} 1 stands for t in {scalar_text(node.attribute)}"
                name_ = f"t {word} 1 for t in {scalar_text(node.attribute)}"
                yield form.at(node, name_, sentence, lambda d, a, e=new: d.scalar(e), op)
