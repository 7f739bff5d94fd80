"""Two hypotheses that are the same function: optimizers by many digits along one trajectory, others on generated cases."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping
from typing import Any

import mpmath
import numpy as np

from refgrad.arithmetic import exact
from refgrad.errors import ArgumentError, TraceError
from refgrad.kinds.table import kind_of
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.inputs.cases import Arrays
from refgrad.oracle.mutants import Mutation
from refgrad.oracle.mutants.operand import signature
from refgrad.rule import Extra, Rule
from refgrad.tracing import Plan, free_names, free_values, plan_for

#: a rule, and what is changed of it
Hypothesis = tuple[Rule, Change]

#: steps at which two hypotheses are compared, digits of the arithmetic, and the relative difference that is one
STEPS, DIGITS, DIFFERENCE = 6, 40, 1e-12
#: seeds, and cases a seed, on which rules without state are compared
BATTERY = 3


def same(first: Hypothesis, second: Hypothesis, ndim: int = 2) -> bool:
    """True if two changed rules compute the same, as far as a few runs tell.

    Rules with state are run with many digits along a trajectory of the first: states are those that it reaches from the
    rule's initial one, with parameters and gradients of many magnitudes, zeros and repetitions; ``ndim`` is the number of
    axes of these. Other rules are run in float64 on generated cases. Changes that round otherwise, or that only model an
    error, are the same if their graphs are.
    """
    (rule, one), (_, other) = first, second
    try:
        ones, others = (change.changed(own) for own, change in (first, second))
    except (ArgumentError, ArithmeticError):
        return False
    if (ones.kind, ones.scalars, one.policy) != (others.kind, others.scalars, other.policy):
        return False
    kind = kind_of(ones)
    if not kind.stepped and kind.departs_whole:
        pair = ((ones, one), (others, other))
        return _close_results(*(_departed_literal(rule, own, change) for own, change in pair))
    if one.keywords != other.keywords:
        return False
    if not kind.stepped:
        return _close_results(_literal(rule, ones, one.mutations), _literal(rule, others, other.mutations))
    told = kind.told(ones), kind.told(others)
    return kind.retold(ones, told[1]) == others and _along(told, (one, other), ndim)


def _along(rules: tuple[Optimizer, Optimizer], changes: tuple[Change, Change], ndim: int) -> bool:
    """True if two optimizers, whose graphs are rewritten, give the same real numbers along a trajectory of the first."""
    (ones, others), (one, other) = rules, changes
    if ones.slots().keys() != others.slots().keys() or ones.inputs() != others.inputs():
        return False
    random, shape = np.random.Generator(np.random.Philox(5)), (3,) * ndim
    p = _random(random, shape)
    state = {n: v for n, v in ones.init(p).items() if n != "t"}
    if not _equal(state, others.init(p)):
        return False
    scalar_values = {n: float(state[n]) for n, s in ones.slots().items() if s.scalar}
    arrays = {"p": p, **{n: state[n] for n, s in ones.slots().items() if not s.scalar}}
    g = _random(random, shape)
    for t in range(1, STEPS + 1):
        g = np.where(random.random(shape) < 0.2, g, _random(random, shape))
        extras = {n: _extra(e, random, shape) for n, e in ones.inputs().items()}
        numbers = {n: v.item() for n, v in extras.items() if ones.inputs()[n].scalar}
        free = free_values(shape, {"t": t, **scalar_values, **numbers})
        given = {**arrays, "g": g, **{n: v for n, v in extras.items() if n not in numbers}}
        names = dict(zip(free_names(ones, ndim), free, strict=True))
        step = _step(_plan(one, ones, ndim, free), _plan(other, others, ndim, free), given, names)
        if step is None:
            return False
        arrays |= {n: _floats(step[n]) for n in arrays if n in step}
        scalar_values |= {n: float(step[n]) for n in scalar_values if n in step}
    return True


def _step(
    one: Plan | None, other: Plan | None, arrays: Mapping[str, np.ndarray], free: Mapping[str, float]
) -> dict[str, Any] | None:
    """What both plans make of a step, nothing if neither makes anything; None if they differ."""
    if one is None or other is None:
        return {} if one is other else None
    if _opaque(one) or _opaque(other):
        equal = signature(one.graph) == signature(other.graph) and one.rule.numbers() == other.rule.numbers()
        return {} if equal else None
    results = [_results(plan, arrays, free) for plan in (one, other)]
    return (results[0] or {}) if agree(*results) else None


@functools.lru_cache(maxsize=2)
def _cases(claim: Rule) -> list[Arrays]:
    """Cases of a rule without state, in float64."""
    made = (kind_of(claim).generate(claim, BATTERY, np.dtype(np.float64), 1000 + seed) for seed in range(BATTERY))
    return [arrays for cases in made for arrays in cases.arrays]


@functools.lru_cache(
    maxsize=64
)  # as many as are compared with one another (`refgrad.oracle.fitting.COMPARED`), and more
def _literal(claim: Rule, rule: Rule, mutations: tuple[Any, ...]) -> list[np.ndarray] | None:
    """What a rule without state, its graph rewritten, gives in float64 for cases of a claim; None if it is not defined."""
    kind, found, change = kind_of(rule), list[np.ndarray](), Change("", "", mutations=mutations)
    try:
        for arrays in _cases(claim):
            found += kind.literal(rule, arrays, change.plans if mutations else plan_for)
    except (ArgumentError, ArithmeticError, IndexError, TraceError, ValueError):
        return None
    return found


def _departed_literal(claim: Rule, rule: Rule, change: Change) -> list[np.ndarray] | None:
    """What a rule without a graph, departed from by the kind's own keywords, gives in float64 for cases of a claim."""
    kind: Any = kind_of(rule)
    found = list[np.ndarray]()
    try:
        departed = kind.departed(rule, change.keywords)
        for arrays in _cases(claim):
            found += kind.literal(departed, arrays)
    except (ArgumentError, ArithmeticError, IndexError, TraceError, TypeError, ValueError):
        return None
    return found


def _close_results(ones: list[np.ndarray] | None, others: list[np.ndarray] | None) -> bool:
    if ones is None or others is None or len(ones) != len(others):
        return False
    with np.errstate(all="ignore"):
        return all(x.shape == y.shape and bool(np.all(_near(x, y))) for x, y in zip(ones, others, strict=True))


def _near(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    close = np.abs(x - y) <= DIFFERENCE * np.maximum(np.abs(x), np.abs(y))
    return np.asarray(close | (x == y) | (np.isnan(x) & np.isnan(y)))


def distinct(rule: Optimizer, mutations: Iterable[Mutation], ndim: int) -> list[Mutation]:
    """The mutations that differ from the rule itself in real arithmetic; models of error do not."""
    changed = ((m, Change(m.name, m.sentence, "mutant", mutations=(m,))) for m in mutations if not m.model)
    return [m for m, change in changed if not same((rule, NONE), (rule, change), ndim)]


def _random(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    values = 10.0 ** random.uniform(-12, 3, shape) * random.choice([-1.0, 1.0], shape)
    return np.where(random.random(shape) < 0.1, 0.0, values)


def _extra(extra: Extra, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """An extra input of one step: whole numbers of its bits, else numbers of many magnitudes; positive for a number."""
    if extra.bits:
        return random.integers(0, 2**extra.bits, shape).astype(np.float64)
    return abs(_random(random, (1,))) if extra.scalar else _random(random, shape)


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


def agree(a: dict[str, Any] | None, b: dict[str, Any] | None) -> bool:
    """True if results in many digits are the same real numbers.

    Args:
        a, b: results by name, arrays of mpmath numbers that broadcast against each other; None where there are none.
    """
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
