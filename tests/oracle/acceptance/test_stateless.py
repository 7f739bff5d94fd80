"""One case of a rule without state: every output from the inputs, sums of terms given what was seen of the elements."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.estimators import LSQ, ClippedSTE
from refgrad.estimators.base import Estimator
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.stateless import judge_case
from refgrad.tracing import free_values, plan_for

F = np.float32
RANDOM = np.random.Generator(np.random.Philox(3))
X, G = (RANDOM.standard_normal((6, 8)).astype(F) for _ in range(2))
SCALE = np.full((1, 1), 0.25, F)
LSQ_ARRAYS = {"x": X, "cotangent": G, "scale": SCALE}


def judged(rule: Estimator, arrays: dict[str, np.ndarray], seen: dict[str, np.ndarray]) -> dict[str, Judged]:
    shape = arrays["x"].shape
    free = free_values(shape, {})
    plan = plan_for(rule, len(shape), free)
    return judge_case(plan, dict(zip(plan.free, free, strict=True)), arrays, seen, Policy())


def outputs(rule: Estimator, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    parameters = {n: arrays[n] for n in rule.parameters}
    y = rule.evaluate(arrays["x"], backend="numpy", **parameters)
    return {"y": y, **rule.differentiate(arrays["cotangent"], arrays["x"], backend="numpy", **parameters)}


CASES = [(ClippedSTE(), {"x": X, "cotangent": G}), (LSQ(), LSQ_ARRAYS)]


@pytest.mark.parametrize(("rule", "arrays"), CASES, ids=["ClippedSTE", "LSQ"])
def test_the_rules_own_outputs_are_inside_and_one_that_is_off_is_outside_alone(
    rule: Estimator, arrays: dict[str, np.ndarray]
) -> None:
    seen = outputs(rule, arrays)
    assert all((each.status == INSIDE).all() for each in judged(rule, arrays, seen).values())
    for name in (n for n, a in seen.items() if a.shape == X.shape):
        wrong = {n: a.copy() for n, a in seen.items()}
        wrong[name][2, 3] += 1.0
        status = judged(rule, arrays, wrong)[name].status
        assert np.argwhere(status != INSIDE).tolist() == [[2, 3]]
        assert status[2, 3] == OUTSIDE


def test_a_sum_with_a_term_left_out_is_outside() -> None:
    seen = outputs(LSQ(), LSQ_ARRAYS)
    zeroed = G.copy()
    zeroed[0, 0] = 0.0
    short = outputs(LSQ(), {**LSQ_ARRAYS, "cotangent": zeroed})["scale_grad"]
    assert short != seen["scale_grad"]
    found = judged(LSQ(), LSQ_ARRAYS, {**seen, "scale_grad": short})
    assert (found["scale_grad"].status == OUTSIDE).all()
    assert all((each.status == INSIDE).all() for name, each in found.items() if name != "scale_grad")


def test_only_what_was_seen_is_judged() -> None:
    seen = outputs(LSQ(), LSQ_ARRAYS)
    for name, values in seen.items():
        assert set(judged(LSQ(), LSQ_ARRAYS, {name: values})) == {name}


def test_where_a_decision_could_go_either_way_so_may_the_output() -> None:
    """x / scale is rounded before it is rounded to a whole number: half way between two, either is right, a third is not."""
    arrays = {"x": np.array([[0.3 * 2.5, 0.3]], F), "cotangent": np.ones((1, 2), F), "scale": np.full((1, 1), 0.3, F)}
    low, high, third = (np.array([[F(k) * F(0.3), F(0.3)]], F) for k in (2, 3, 4))
    statuses = [judged(LSQ(), arrays, {"y": each})["y"].status[0, 0] for each in (low, high, third)]
    assert OUTSIDE not in statuses[:2]
    assert statuses[2] == OUTSIDE


@pytest.mark.parametrize("ties", [1, 2])
@pytest.mark.parametrize("off", [0, 1])
def test_what_is_open_at_one_element_is_undecided_there_alone(off: int, ties: int) -> None:
    """Next to a tie the result to the one side, and the one to the other, which rounding before it may lead to.

    Of one tie one way has everything clearly inside, and the other has not: its ends are on the grid of the dtype, which is no
    other decision anywhere else. Of two that go apart every way has something outside.
    """
    scale = np.full((1, 1), 0.3, F)
    ends = np.array([2.5 * 0.3, 1.5 * 0.3][:ties])
    x = np.concatenate([np.linspace(-0.9, 0.9, 64 - ties), ends]).astype(F).reshape(8, 8)
    arrays = {"x": x, "cotangent": x, "scale": scale}
    seen = {n: a for n, a in outputs(LSQ(), arrays).items() if n != "scale_grad"}
    seen["y"][7, 8 - ties :] = (np.array([2 + off, 2 - off], F) * F(0.3))[:ties]
    found = judged(LSQ(), arrays, seen)
    assert np.argwhere(found["y"].status == UNDECIDED).tolist() == [[7, 8 - ties + i] for i in range(ties)]
    assert np.count_nonzero(found["y"].status == INSIDE) == x.size - ties
    assert (found["x_grad"].status == INSIDE).all()
