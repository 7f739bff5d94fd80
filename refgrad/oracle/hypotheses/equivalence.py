"""Whether two hypotheses are the same in real arithmetic: both are run with many digits on one trajectory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import mpmath
import numpy as np

from refgrad.arithmetic import exact
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.mutants import Mutation
from refgrad.oracle.mutants.operand import signature
from refgrad.rule import Extra
from refgrad.tracing import Plan, free_names, free_values

#: a rule, and what is changed of it
Hypothesis = tuple[Optimizer, Change]

#: steps at which two hypotheses are compared, digits of the arithmetic, and the relative difference that is one
STEPS, DIGITS, DIFFERENCE = 6, 40, 1e-12


def same(first: Hypothesis, second: Hypothesis, ndim: int) -> bool:
    """Whether two changed rules compute the same real numbers along a trajectory of the first.

    States are those that the first reaches from the rule's initial one, with parameters and gradients of many magnitudes,
    zeros and repetitions. Changes that round otherwise, or that only model an error, are the same if their graphs are.
    """
    (ones, one), (others, other) = first, second
    ones, others = ones.replace(**one.rule), others.replace(**other.rule)
    if one.policy != other.policy or ones.scalars != others.scalars or ones.slots().keys() != others.slots().keys():
        return False
    if ones.inputs() != others.inputs():
        return False
    shape = (3,) * ndim
    random = np.random.Generator(np.random.Philox(5))
    p = _drawn(random, shape)
    state = {n: v for n, v in ones.init(p).items() if n != "t"}
    if not _equal(state, others.init(p)):
        return False
    scalar_values = {n: float(state[n]) for n, s in ones.slots().items() if s.scalar}
    arrays = {"p": p, **{n: state[n] for n, s in ones.slots().items() if not s.scalar}}
    g = _drawn(random, shape)
    for t in range(1, STEPS + 1):
        g = np.where(random.random(shape) < 0.2, g, _drawn(random, shape))
        extras = {n: _extra(e, random, shape) for n, e in ones.inputs().items()}
        numbers = {n: v.item() for n, v in extras.items() if ones.inputs()[n].scalar}
        free = free_values(shape, {"t": t, **scalar_values, **numbers})
        names = dict(zip(free_names(ones, ndim), free, strict=True))
        a, b = _plan(one, ones, ndim, free), _plan(other, others, ndim, free)
        if a is None or b is None:
            if a is b:
                continue
            return False
        if _opaque(a) or _opaque(b):
            if signature(a.graph) != signature(b.graph) or ones.numbers() != others.numbers():
                return False
            continue
        given = {**arrays, "g": g, **{n: v for n, v in extras.items() if n not in numbers}}
        results = [_results(plan, given, names) for plan in (a, b)]
        if not _agree(*results):
            return False
        if results[0] is None:
            continue
        arrays |= {n: _floats(results[0][n]) for n in arrays}
        scalar_values |= {n: float(results[0][n]) for n in scalar_values}
    return True


def distinct(rule: Optimizer, mutations: Iterable[Mutation], ndim: int) -> list[Mutation]:
    """The mutations that differ from the rule itself in real arithmetic; models of error do not."""
    changed = ((m, Change(m.name, m.sentence, "mutant", mutations=(m,))) for m in mutations if not m.model)
    return [m for m, change in changed if not same((rule, NONE), (rule, change), ndim)]


def _drawn(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = 10.0 ** random.uniform(-12, 3, shape) * random.choice([-1.0, 1.0], shape)
    return np.where(random.random(shape) < 0.1, 0.0, values)


def _extra(extra: Extra, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """An extra input of one step: whole numbers of its bits, else numbers of many magnitudes; positive for a number."""
    if extra.bits:
        return random.integers(0, 2**extra.bits, shape).astype(np.float64)
    return abs(_drawn(random, (1,))) if extra.scalar else _drawn(random, shape)


def _equal(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    return all(np.array_equal(np.asarray(v), np.asarray(b[n])) for n, v in a.items())


def _opaque(plan: Plan) -> bool:
    return any(node.op in ("cast", "loose") for node in plan.graph.nodes)


def _plan(change: Change, rule: Optimizer, ndim: int, free: tuple[float, ...]) -> Plan | None:
    """The plan of a step, or None where scalar arithmetic that a branch depends on divides by zero."""
    try:
        return change.plans(rule, ndim, free)
    except (ArithmeticError, ValueError):
        return None


def _results(plan: Plan, arrays: Mapping[str, np.ndarray], free: Mapping[str, float]) -> dict[str, Any] | None:
    """The step's results, or None where it divides by zero or leaves the real numbers."""
    try:
        with np.errstate(all="ignore"):
            return exact.evaluate(plan.graph, arrays, {**plan.rule.numbers(), **free}, DIGITS)
    except (ZeroDivisionError, TypeError, ValueError):
        return None


def _agree(a: dict[str, Any] | None, b: dict[str, Any] | None) -> bool:
    if a is None or b is None:
        return a is b
    return all(_close(x, y) for n in a for x, y in np.broadcast(np.asarray(a[n], object), np.asarray(b[n], object)))


def _close(x: Any, y: Any) -> bool:
    if mpmath.isnan(x) or mpmath.isnan(y):
        return bool(mpmath.isnan(x) and mpmath.isnan(y))
    return bool(x == y or abs(x - y) <= DIFFERENCE * max(abs(x), abs(y)))


def _floats(values: Any) -> np.ndarray:
    with np.errstate(all="ignore"):
        real = np.frompyfunc(lambda x: float(mpmath.re(x)), 1, 1)(np.asarray(values, dtype=object))
        return np.nan_to_num(np.asarray(real, dtype=np.float64))
