"""Schedules of the learning rate around a rule: what a wrapper or a trainer does to the rate at each step."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from refgrad.arithmetic.rewriting import rebuilt
from refgrad.arithmetic.scalar_math import Expr, const, names_in
from refgrad.oracle.mutants.patterns import STEP, Form, Found, substituting

#: steps over which a rate may warm up
WARM_UPS = (2, 3, 4, 5, 6, 8, 10, 16, 20, 32, 50, 100, 200, 500, 1000, 2000, 4000, 5000, 10_000)


def scheduled(form: Form) -> Iterator[Found]:
    """The learning rate warming up linearly, or falling with the count of steps or its root, wherever it is used."""
    rate = form.lr
    word = str(rate.args[0])
    if not any(word in names_in(e) for e in form.graph.scalars()):
        return
    for text, new in _schedules(rate):
        name = f"{word} {text}"
        sentence = f"the learning rate is {word} {text} at step t"
        yield Found(("schedule", text), name, sentence, partial(rebuilt, form.graph, scalar=substituting({word: new})))


def _schedules(rate: Expr) -> Iterator[tuple[str, Expr]]:
    before = Expr("sub", (STEP, const(1.0)))
    yield "/ sqrt(t)", Expr("div", (rate, Expr("sqrt", (STEP,))))
    yield "/ t", Expr("div", (rate, STEP))
    for steps in WARM_UPS:
        for what, count in (("t", STEP), ("(t - 1)", before)):
            share = Expr("min", (const(1.0), Expr("div", (count, const(float(steps))))))
            yield f"min(1, {what} / {steps})", Expr("mul", (rate, share))
