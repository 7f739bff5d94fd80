"""The enclosure audited: the truth is inside it, random programs of the family are inside it, and it is not slack."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from functools import reduce
from typing import Any

import mpmath
import numpy as np
import pytest

import refgrad
from refgrad.arithmetic import exact
from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.axes import ELEMENT, broadcasts
from refgrad.optimizers import AdamW
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.judge import scalars_of
from refgrad.oracle.acceptance.policy import Policy
from refgrad.strength.exercised import exercised
from refgrad.strength.optimizer_inputs import adversarial
from refgrad.strength.random_candidate import RandomCandidate
from refgrad.strength.rounding_styles import STYLES
from refgrad.tracing import Plan, free_names, free_values, plan_for
from tests.depth import at_depth
from tests.oracle.cases import inputs, named, shipped

EXERCISED = [exercised(rule) for rule in shipped()]
#: every variant in float32, and every rule in float64
JUDGED = [(exercised(variant), np.float32) for rule in shipped() for variant in named(rule)]
JUDGED += [(rule, np.float64) for rule in EXERCISED]
DIGITS = 60


@dataclasses.dataclass(frozen=True)
class Moment:
    """One step of a rule: what it starts from, and what the reference makes of it."""

    plan: Plan
    free: Mapping[str, float]
    before: Mapping[str, np.ndarray]
    after: Mapping[str, np.ndarray]


def moments(rule: Optimizer, dtype: type, top: float, steps: int = 2) -> list[Moment]:
    """A few steps on adversarial numbers."""
    random = np.random.Generator(np.random.Philox(7))
    shape = (2, 5) if rule.plan((2, 2), 1).graph.matrix() else (2, 12)
    p = adversarial(random, dtype, shape, top)
    state, found = rule.init(p), []
    for t in range(1, steps + 1):
        g = adversarial(random, dtype, shape, top)
        extras, numbers = made_up(rule, g, random, top)
        scalar_values = {n: float(state[n]) for n, slot in rule.slots().items() if slot.scalar} | numbers
        arrays = {n: state[n] for n, slot in rule.slots().items() if not slot.scalar} | extras
        free = free_values(shape, {"t": t, **scalar_values})
        new, after = rule.step(p, g, state, backend="numpy", **extras, **numbers)
        named_free = dict(zip(free_names(rule, 2), free, strict=True))
        found.append(Moment(plan_for(rule, 2, free), named_free, {"p": p, "g": g, **arrays}, {"p": new, **after}))
        p, state = new, after
    return found


def made_up(
    rule: Optimizer, g: np.ndarray, random: np.random.Generator, top: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A rule's extra inputs of one step: adversarial arrays, and a loss."""
    wanted = rule.inputs()
    whole = {n: random.integers(0, 2**e.bits, g.shape).astype(g.dtype) for n, e in wanted.items() if e.bits}
    arrays = {n: adversarial(random, g.dtype, g.shape, top) for n, e in wanted.items() if not e.scalar and not e.bits}
    return {**whole, **arrays}, {n: float(random.uniform(0, 4)) for n, e in wanted.items() if e.scalar}


def inside(sets: Bounded, truth: np.ndarray, model: Model, overflows: bool) -> np.ndarray:
    """Where the exact truth is in a set, or has its class.

    With numbers so large that products overflow, every program may meet infinity minus infinity where the truth is finite.
    """
    shape = truth.shape
    centre, bound = np.broadcast_to(sets.value, shape), np.broadcast_to(sets.bound(), shape)

    def one(value: float, error: float, true: mpmath.mpf) -> bool:
        if error == math.inf:
            return True
        if math.isnan(value) or mpmath.isnan(true):
            return math.isnan(value) and (overflows or mpmath.isnan(true))
        if math.isinf(value):
            return mpmath.sign(true) == math.copysign(1, value) and abs(true) > model.largest
        return abs(mpmath.mpf(float(value)) - true) <= mpmath.mpf(float(error))

    return np.frompyfunc(one, 3, 1)(centre, bound, truth).astype(bool)


#: operations whose results are not unique, and judged by residuals
RESIDUALS = ("eigenbasis", "orthonormal", "subspace")


def _fits(moment: Moment, name: str, marks: np.ndarray) -> np.ndarray:
    """Marks of an output so that they meet those of others: a square matrix's as one, and none of what is not unique."""
    graph = moment.plan.graph
    if graph.outputs[name].op in RESIDUALS:
        return np.asarray(True)
    return marks if broadcasts(graph.small.get(name, ELEMENT)) else np.asarray(marks.all())


def escapes(moment: Moment, model: Model, observed: Mapping[str, np.ndarray], overflows: bool = False) -> int:
    """How many elements' truth is in the set of no way through the decisions."""
    arrays = dict(moment.before)
    names = {**moment.plan.rule.numbers(), **moment.free}
    bounded = {n: Bounded(a.astype(np.float64)) for n, a in arrays.items()}
    seen = {n: Bounded(a.astype(np.float64)) for n, a in observed.items()}
    scalars = scalars_of(moment.plan, moment.plan.graph, moment.free, model)
    with np.errstate(all="ignore"), mpmath.workdps(DIGITS):
        truth = exact.evaluate(moment.plan.graph, arrays, names, DIGITS, observed)
        found = np.zeros(arrays["p"].shape, bool)
        for branch in Enclosure(moment.plan.graph, model).branches(bounded, scalars, seen):
            found |= reduce(
                np.logical_and,
                (_fits(moment, n, inside(s, truth[n], model, overflows)) for n, s in branch.sets.items()),
            )
    return int((~found).sum())


#: the largest magnitude, as a power of the largest number: squares overflow, or not
TOPS = (1.0, 0.4)


@pytest.mark.sample(quick=8, suite=30)
@pytest.mark.parametrize(("rule", "dtype"), JUDGED, ids=lambda x: str(x) if isinstance(x, Optimizer) else x.__name__)
def test_the_truth_is_inside(rule: Optimizer, dtype: type) -> None:
    """In sixty digits, from the same state: free, and given the observed new state."""
    model = model_for(Policy(), np.dtype(dtype))
    for top in TOPS:
        if top == 1.0 and rule.plan((1, 1), 1).graph.couples():
            continue  # a norm that overflows is infinite in every program, and finite in truth
        for moment in moments(rule, dtype, top):
            assert escapes(moment, model, {}, top == 1.0) == 0
            seen = {n: moment.after[n] for n in moment.plan.graph.outputs if np.isfinite(moment.after[n]).all()}
            assert top == 1.0 or escapes(moment, model, seen) == 0


@pytest.mark.sample(quick=20)
@pytest.mark.parametrize("rule", EXERCISED, ids=str)
def test_the_centre_is_off_by_no_more_than_its_own_error(rule: Optimizer) -> None:
    """A model of nearly exact arithmetic leaves to a bound what is charged for the float64 numbers that it is made of."""
    model = dataclasses.replace(model_for(Policy(), np.dtype(np.float32)), unit_roundoff=2.0**-60, underflow=0.0)
    for moment in moments(rule, np.float32, 0.4):
        assert escapes(moment, model, {}) == 0


#: how many steps random programs go; and how many numbers of the parameter are judged at least in each, of all styles
STEPS = at_depth(quick=1, suite=2, thorough=8)
JUDGED_A_STEP, JUDGED_OF_MATRICES = 12_500, 2_500  # products of matrices are costly to round at random


@pytest.mark.sample(quick=4, suite=10)
@pytest.mark.parametrize("rule", EXERCISED, ids=str)
def test_random_programs_are_accepted_and_reach_the_edge(rule: Optimizer) -> None:
    """Another program for each block of elements and each step.

    The sets are not slack: programs that take the three roundings that each operation is allowed go more than half of the
    way to the edge.
    """
    judged = 0
    for name, style in STYLES.items():
        given = inputs(rule, STEPS)
        verdict = refgrad.verify(
            RandomCandidate(style), rule, policy=style.policy, inputs=given, shrink=False, explain=False
        )
        assert verdict.total.outside == 0, str(verdict)
        assert not verdict.faults
        judged += verdict.counts["p"].total
        assert name != "thrice" or max(verdict.tightest.values()) > 0.5
    assert judged >= STEPS * (JUDGED_OF_MATRICES if rule.plan((2, 2), 2).graph.matrix() else JUDGED_A_STEP)


@pytest.mark.slow
def test_the_attack_is_one() -> None:
    """The negative control: with one rounding allowed in place of three, the same programs are rejected."""
    style = STYLES["thrice"]
    policy = {"roundings": 1, "scalar_roundings": 1}
    verdict = refgrad.verify(
        RandomCandidate(style), AdamW(), policy=policy, inputs=inputs(AdamW(), 3), shrink=False, explain=False
    )
    assert all(count.outside > 0 for count in verdict.counts.values())
