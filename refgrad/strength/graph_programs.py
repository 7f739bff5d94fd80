"""Programs made of a rule's own graph, for rules without state: legal ones, rewritten and rounded at random, and mutants.

A legal program orders sums and products anew, fuses, distributes, takes reciprocals (see `tests.oracle.attack`). A mutant has
one thing wrong: a rewrite that `refgrad.identify` tries on rules without state, or another function. It counts if it differs from
the rule in real arithmetic on the inputs that are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import exact, floats
from refgrad.estimators.base import level_shape
from refgrad.oracle.hypotheses.equivalence import _agree
from refgrad.oracle.mutants import CASE_REWRITES, Mutation, Rewrite, mutations
from refgrad.oracle.mutants.patterns import Form, Found
from refgrad.rule import Rule
from refgrad.tracing import Plan, free_names, free_values, plan_for
from tests.oracle.attack import STYLES, Program, Style, random_scalars

Arrays = Mapping[str, np.ndarray]

FUNCTIONS = {"sin": "cos", "cos": "sin", "exp": "tanh", "tanh": "sin"}


def functions(form: Form) -> Iterator[Found]:
    """Another function."""
    for node in form.graph.nodes:
        if node.op in FUNCTIONS:
            text, other = form.text(node), FUNCTIONS[node.op]
            yield form.at(node, f"{other} for {text}", f"{other} stands for {text}", lambda d, a, o=other: d.op(o, *a))


#: those that `refgrad.identify` tries, and one more
REWRITES = (*CASE_REWRITES, Rewrite("function", "another function", functions))


def plan_of(rule: Rule, shape: tuple[int, ...]) -> tuple[Plan, tuple[float, ...]]:
    """A rule's plan for a shape, and the values of its free names."""
    free = free_values(shape, {})
    return plan_for(rule, len(shape), free), free


def legal(
    rule: Rule,
    arrays: Arrays,
    random: np.random.Generator,
    style: Style = STYLES["rewritten"],
    kept: Callable[[str, np.ndarray], np.ndarray] = lambda name, values: values,
) -> dict[str, np.ndarray]:
    """The results of a random legal program in float32; ``kept`` is what is left of a result where it is stored."""
    plan, free = plan_of(rule, arrays[rule.primary].shape)
    scalars = random_scalars(plan, free, random)
    wide = {n: arrays[n].astype(np.float64) for n in plan.graph.inputs()}
    with np.errstate(all="ignore"):
        found = Program(plan, wide, scalars, style, random, kept).run()
    return shaped(rule, {n: a.astype(np.float32) for n, a in found.items()}, arrays)


def mutated(rule: Rule, mutation: Mutation | None, arrays: Arrays) -> dict[str, np.ndarray]:
    """The results of the rule's graph, changed, each operation rounded to the inputs' dtype."""
    plan, free = plan_of(rule, arrays[rule.primary].shape)
    plan = plan if mutation is None else mutation.apply(plan)
    dtype = arrays[rule.primary].dtype
    found = floats.evaluate(plan.graph, arrays, [dtype.type(s) for s in plan.scalars(*free)])
    return shaped(rule, {n: np.asarray(a).astype(dtype) for n, a in found.items()}, arrays)


def shaped(rule: Rule, found: Mapping[str, Any], arrays: Arrays) -> dict[str, np.ndarray]:
    """Results filled up to the shapes that the rule gives them; a ValueError for those that do not fit."""
    shape, small = arrays[rule.primary].shape, dict(rule.gives())
    if rule.kind == "mask":  # the scores of units are one number each
        plan, _ = plan_of(rule, shape)
        small |= {n: node.level for n, node in plan.graph.outputs.items() if node.level == "row"}
    wanted = {n: level_shape(small.get(n, "element"), shape) for n in found}
    return {n: np.broadcast_to(np.asarray(a), wanted[n]).copy() for n, a in found.items()}


def mutants(rule: Rule, cases: list[Arrays], most: int) -> list[Mutation]:
    """The mutations that give other real numbers than the rule on some case; of many so many at random."""
    plan, free = plan_of(rule, cases[0][rule.primary].shape)
    names = {**rule.numbers(), **dict(zip(free_names(rule, cases[0][rule.primary].ndim), free, strict=True))}
    truths = [real(plan, case, names) for case in cases]
    found = mutations([plan], REWRITES)
    if len(found) > most:
        found = [found[i] for i in sorted(np.random.default_rng(0).permutation(len(found))[:most])]
    return [m for m in found if any(differs(m.apply(plan), c, names, t) for c, t in zip(cases, truths, strict=True))]


def real(plan: Plan, arrays: Arrays, names: Mapping[str, float]) -> dict[str, Any] | None:
    """The results in thirty digits, or None where they are no real numbers, or of another shape."""
    try:
        with np.errstate(all="ignore"):
            found = exact.evaluate(plan.graph, {n: arrays[n] for n in plan.graph.inputs()}, names, 30)
            return shaped(plan.rule, found, arrays)
    except (ArithmeticError, TypeError, ValueError):
        return None


def differs(plan: Plan, arrays: Arrays, names: Mapping[str, float], truth: dict[str, Any] | None) -> bool:
    other = real(plan, arrays, names)
    return truth is not None and other is not None and not _agree(truth, other)
