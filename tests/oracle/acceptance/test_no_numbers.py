"""Numbers where no program gives one are outside; whatever else is, stays as it was judged."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.arithmetic.bounded import Bounded
from refgrad.oracle.acceptance import no_numbers
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged
from refgrad.rule import find
from refgrad.strength.situations import planted
from refgrad.strength.situations.planting import program
from refgrad.tracing import Plan, free_values, plan_for


def judged(status: int, where: list[bool]) -> Judged:
    zero = np.zeros(len(where))
    return Judged(np.full(len(where), status), zero, zero, zero, np.asarray(where))


def test_a_number_is_refused_where_none_can_be() -> None:
    found = no_numbers.refused(judged(UNDECIDED, [True, True, False]), np.array([1.0, np.nan, 1.0]))
    assert found.status.tolist() == [OUTSIDE, UNDECIDED, UNDECIDED]
    assert np.isnan(found.truth[0])
    unknown = Judged(*(np.zeros(2) for _ in range(4)))
    assert no_numbers.refused(unknown, np.ones(2)) is unknown


def test_an_output_that_is_looked_at_for_this_alone() -> None:
    assert no_numbers.alone(judged(OUTSIDE, [False, False]), np.ones(2)) is None
    found = no_numbers.alone(judged(OUTSIDE, [True, False]), np.ones(2))
    assert found is not None
    assert found.status.tolist() == [OUTSIDE, INSIDE]


def test_what_overflowed_as_it_was_stored_may_have_gone_on_as_a_number() -> None:
    rule = find("AdamW")()
    plan: Plan = plan_for(rule, 1, free_values((1,), {"t": 2}))
    before = {n: Bounded(np.ones(1)) for n in ("p", "m", "v")} | {"g": Bounded(np.full(1, np.inf))}
    scalars = [Bounded(np.asarray(0.5)) for _ in plan.graph.scalars()]
    seen = {n: np.full(1, np.inf) for n in ("m", "v")}
    assert [bool(a) for a in no_numbers.of_graph(plan.graph, before, scalars, {}).values()] == [True] * 3
    assert not no_numbers.of_graph(plan.graph, before, scalars, seen)["p"].any()


def test_a_body_of_which_classes_are_not_known() -> None:
    x = np.float32([np.nan, 1.0, 2.0])
    assert no_numbers.of_body(find("WinsorizedMean")(), {"x": x}) is None


#: what was accepted where the sets say nothing: a norm that scales, softmax, means, a loss's model, codes, states of 8 bits
RULES = ("AdaptiveClip", "GumbelSoftmax", "NormalizedLogisticDescent", "PolyakSGD", "PrivateAggregate", "TTQ")


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=2)
@pytest.mark.parametrize("name", RULES)
def test_an_infinity_that_becomes_the_largest_number_is_refused(name: str) -> None:
    rule: Any = find(name)()
    fault = next(each for each in planted(rule) if each.kind == "infinity")
    verdict = refgrad.verify(program(rule, fault), rule, explain=False, shrink=False)
    assert (verdict.outcome, verdict.situation) == ("does not conform", "infinities")


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("name", ["MoMo", "EightBit"])
def test_nan_that_becomes_zero_is_refused(name: str) -> None:
    rule: Any = find(name)()
    fault = next(each for each in planted(rule) if each.kind == "NaN")
    verdict = refgrad.verify(program(rule, fault), rule, explain=False, shrink=False)
    assert (verdict.outcome, verdict.situation) == ("does not conform", "NaN")


def factored_decay(  # type: ignore[no-untyped-def]
    p, g, h, m, v, t, lr, beta1, beta2, eps, weight_decay
) -> tuple[np.ndarray, ...]:
    """AdaHessian whose rate stands before the sum of its step and its decay."""
    f = np.float32
    m, v = f(beta1) * m + f(1 - beta1) * g, f(beta2) * v + f(1 - beta2) * h * h
    step = (m / f(1 - beta1**t)) / (np.sqrt(v / f(1 - beta2**t)) + f(eps))
    return p - f(lr) * (step + f(weight_decay) * p), m, v


@pytest.mark.slow
def test_a_rate_that_is_taken_out_of_a_sum_is_legal() -> None:
    """Where the decay is infinite and the step is infinite with the other sign, one order makes NaN of two infinities and another
    of an infinity and a number: neither is a number, and nothing else is certain."""
    rule = find("AdaHessian")(weight_decay=0.1)
    verdict = refgrad.verify(factored_decay, rule, explain=False, shrink=False)
    assert verdict.conforms, str(verdict)
    assert {"NaN", "infinities"} <= set(verdict.situations)
