"""Programs of a rule's own graph, for rules without state: legal ones, rewritten and rounded at random, and mutants.

A legal program orders sums and products anew, fuses, distributes, takes reciprocals (`refgrad.strength.interpreter`). A mutant
has one thing wrong: a rewrite that `refgrad.identify` tries on rules without state, or another function. It counts if it differs
from the rule in real arithmetic on the inputs that are looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import exact, floats
from refgrad.axes import ELEMENT, ROW, axes_shape
from refgrad.oracle.hypotheses.equivalence import agree
from refgrad.oracle.mutants import CASE_REWRITES, Mutation, Rewrite, mutations
from refgrad.oracle.mutants.patterns import Form, Found
from refgrad.rule import Rule
from refgrad.strength.interpreter import Program
from refgrad.strength.rounding_styles import STYLES, Style, random_scalars
from refgrad.tracing import Plan, free_names, free_values, plan_for

Arrays = Mapping[str, np.ndarray]

#: decimal digits of the arithmetic in which mutants are told apart
DIGITS = 30
#: the function that stands for another in a mutant
OTHER_FUNCTIONS = {"sin": "cos", "cos": "sin", "exp": "tanh", "tanh": "sin"}


def functions(form: Form) -> Iterator[Found]:
    """Every place of a graph where another function may stand."""
    for node in form.graph.nodes:
        if node.op in OTHER_FUNCTIONS:
            text, other = form.text(node), OTHER_FUNCTIONS[node.op]
            yield form.at(node, f"{other} for {text}", f"{other} stands for {text}", lambda d, a, o=other: d.op(o, *a))


#: those that `refgrad.identify` tries but what shows at a boundary alone, and one more
REWRITES = (*(r for r in CASE_REWRITES if r.name != "half"), Rewrite("function", "another function", functions))


def plan_of(rule: Rule, shape: tuple[int, ...]) -> tuple[Plan, tuple[float, ...]]:
    """A rule's plan for a shape, and the values of its free names."""
    free = free_values(shape, {})
    return plan_for(rule, len(shape), free), free


def legal_program(
    rule: Rule,
    arrays: Arrays,
    random: np.random.Generator,
    style: Style = STYLES["rewritten"],
    stored: Callable[[str, np.ndarray], np.ndarray] = lambda name, values: values,
) -> dict[str, np.ndarray]:
    """The results of a random legal program in float32.

    Args:
        rule: a rule without state.
        arrays: what the rule's graph reads, by name: float32 arrays.
        random: where the program's choices come from.
        style: what the program may do, and how it rounds.
        stored: the values that are read again of a result, by its name, once it was stored; by default all of it.

    Returns:
        The results by name, float32 arrays of the shapes that the rule gives them.
    """
    plan, free = plan_of(rule, arrays[rule.primary].shape)
    scalars = random_scalars(plan, free, random)
    wide = {n: arrays[n].astype(np.float64) for n in plan.graph.inputs()}
    with np.errstate(all="ignore"):
        found = Program(plan, wide, scalars, style, random, stored).run()
    return shaped(rule, {n: a.astype(np.float32) for n, a in found.items()}, arrays)


def mutated_program(rule: Rule, mutation: Mutation | None, arrays: Arrays) -> dict[str, np.ndarray]:
    """The results of the rule's graph, each operation rounded to the inputs' dtype.

    Args:
        rule: a rule without state.
        mutation: what is changed of its graph; None for the rule as it stands.
        arrays: what the rule's graph reads, by name, of one float dtype.

    Returns:
        The results by name, arrays of that dtype, of the shapes that the rule gives them.

    Raises:
        ValueError: a changed result does not fit the shape of the rule's.
    """
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
        small |= {n: node.axes for n, node in plan.graph.outputs.items() if node.axes == ROW}
    wanted = {n: axes_shape(small.get(n, ELEMENT), shape) for n in found}
    return {n: np.broadcast_to(np.asarray(a), wanted[n]).copy() for n, a in found.items()}


def graph_mutants(rule: Rule, cases: Sequence[Arrays], most: float) -> list[Mutation]:
    """The mutations that give other real numbers than the rule on some case.

    Args:
        rule: a rule without state.
        cases: what the rule's graph reads, by name, case by case; small ones, because each is computed in thirty digits.
        most: of more mutations than so many, so many at random are looked at.
    """
    plan, free = plan_of(rule, cases[0][rule.primary].shape)
    names = {**rule.numbers(), **dict(zip(free_names(rule, cases[0][rule.primary].ndim), free, strict=True))}
    truths = [_real_results(plan, case, names) for case in cases]
    found = mutations([plan], REWRITES)
    if len(found) > most:
        found = [found[i] for i in sorted(np.random.default_rng(0).permutation(len(found))[: int(most)])]
    return [m for m in found if any(_differs(m.apply(plan), c, names, t) for c, t in zip(cases, truths, strict=True))]


def _real_results(plan: Plan, arrays: Arrays, names: Mapping[str, float]) -> dict[str, Any] | None:
    """The results in real arithmetic, or None where they are no real numbers, or of another shape."""
    try:
        with np.errstate(all="ignore"):
            found = exact.evaluate(plan.graph, {n: arrays[n] for n in plan.graph.inputs()}, names, DIGITS)
            return shaped(plan.rule, found, arrays)
    except (ArithmeticError, TypeError, ValueError):
        return None


def _differs(plan: Plan, arrays: Arrays, names: Mapping[str, float], truth: dict[str, Any] | None) -> bool:
    other = _real_results(plan, arrays, names)
    return truth is not None and other is not None and not agree(truth, other)
