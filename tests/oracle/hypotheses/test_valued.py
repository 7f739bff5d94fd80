"""Numbers that are told, as one change of a claim: everywhere, or in one output alone."""

from __future__ import annotations

import numpy as np

from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.recovered import Recovered, shortest_decimal
from refgrad.oracle.hypotheses.valued import Constants, valued
from refgrad.tracing import free_values
from tests.oracle.hypotheses.fakes import RIGHT, WRONG, FakeScreen

SLOPE = Recovered("slope", "y", 2.0, 3.5, 3.4, 3.6, True)
NEVER = lambda: False  # noqa: E731


def test_everywhere_if_that_is_right() -> None:
    found = valued(FakeScreen({"slope=3.5": {"y": RIGHT}}, values=[SLOPE]), NONE, {"y": WRONG}, True, NEVER)
    assert found is not None
    assert (found.kind, found.rule, found.recovered) == ("value", {"slope": 3.5}, (SLOPE,))
    assert found.sentence == "slope is 3.5, not 2.0"


def test_in_one_output_alone_if_another_would_be_wrong() -> None:
    screen = FakeScreen({"slope=3.5": {"y": RIGHT, "z": Count(0, 100)}}, values=[SLOPE])
    found = valued(screen, NONE, {"y": WRONG, "z": RIGHT}, True, NEVER)
    assert found is not None
    assert (found.kind, found.name) == ("mutant", "slope=3.5 in y'")
    assert found.mutations == (Constants("y", (("slope", 3.5),)),)


def test_a_number_that_was_switched_on_is_told_by_its_value() -> None:
    on = Change("slope on", "slope is not zero", "value", {"slope": 1e-2})
    found = valued(FakeScreen({"slope=3.5": {"y": RIGHT}}, values=[SLOPE]), on, {"y": WRONG}, True, NEVER)
    assert found is not None
    assert found.name == "slope=3.5"


def test_nothing_is_told() -> None:
    assert valued(FakeScreen(), NONE, {"y": WRONG}, True, NEVER) is None
    claimed = Recovered("slope", "y", 2.0, 2.0, 1.9, 2.1, True)
    assert valued(FakeScreen(values=[claimed]), NONE, {"y": WRONG}, True, NEVER) is None
    assert valued(FakeScreen(values=[SLOPE]), NONE, {"y": RIGHT}, True, NEVER) is None


def test_constants_stand_in_one_output() -> None:
    rule = AdamW()
    plan = rule.plan((2, 2), 1)
    changed = Constants("m", (("beta1", 0.5),)).apply(plan)
    free, arrays = free_values((2, 2), {"t": 1}), {n: np.ones((2, 2)) for n in ("p", "g", "m", "v")}
    from refgrad.arithmetic import floats

    before = floats.evaluate(plan.graph, arrays, list(plan.scalars(*free)))
    zeros = {**arrays, "m": np.zeros((2, 2))}
    after = floats.evaluate(changed.graph, zeros, list(changed.scalars(*free)))
    assert np.allclose(after["m"], 0.5)
    assert np.array_equal(after["v"], before["v"])
    assert Constants("none", (("beta1", 0.5),)).apply(plan) is plan


def test_the_shortest_decimal() -> None:
    assert shortest_decimal(0.2999, 0.3001, 0.30004) == 0.3
    assert shortest_decimal(0.29991, 0.29993, 0.29992) == 0.29992
