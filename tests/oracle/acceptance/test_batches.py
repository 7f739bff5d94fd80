"""Small steps judged together: the statuses and, up to rounding of bounds, the sets that each has alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.arithmetic import dtypes
from refgrad.arithmetic.running_error import Bounded
from refgrad.optimizers import LAMB, SGD, Adafactor, AdamW, Lion, Muon, NovoGrad
from refgrad.oracle.acceptance import batches, judge, judgement
from refgrad.oracle.acceptance.batches import SMALL_FOLDED, judged_together
from refgrad.oracle.acceptance.judge import Step
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import free_names, free_values, literal, plan_for

SHAPES = ((3,), (4, 5), (1,), (2, 3, 4), (17,), (7, 1), (30, 30))
RULES = (AdamW(weight_decay=0.1), SGD(lr=0.1, momentum=0.9), Lion(), LAMB(weight_decay=0.1), Adafactor(), NovoGrad())


def step_of(rule: Any, shape: tuple[int, ...], seed: int, special: float | None = None) -> Step:
    """One step of a right program in float32, at one place of which something special stands."""
    random, slots = np.random.default_rng(seed), rule.slots()
    arrays = {n: random.standard_normal(shape).astype(np.float32) for n in ("p", "g")}
    for name, slot in slots.items():
        if not slot.scalar:
            arrays[name] = np.square(random.standard_normal(slot.shape(shape))).astype(np.float32)
    if special is not None:
        arrays["g"].reshape(-1)[0] = special
    numbers = {"t": 3, **{n: 1.0 for n, slot in slots.items() if slot.scalar}}
    free = free_values(shape, numbers)
    plan = plan_for(rule, len(shape), free)
    after = literal(rule, arrays, numbers)
    after = {n: np.asarray(after[n]) for n in plan.graph.outputs}
    before = {n: Bounded(a.astype(np.float64)) for n, a in arrays.items()}
    return Step(plan, dict(zip(free_names(rule, len(shape)), free, strict=True)), before, after)


def changed(step: Step, by: float) -> Step:
    """The step with another first number of each output."""
    after = {n: a.copy() for n, a in step.after.items()}
    for array in after.values():
        array.reshape(-1)[0] += np.float32(by)
    return dataclasses.replace(step, after=after)


def agrees(steps: list[Step], policy: Policy = Policy()) -> int:  # noqa: B008
    """How many were judged together, each as it is judged alone."""
    found = judged_together(steps, policy)
    assert len(found) == len(steps)
    for step, together in zip(steps, found, strict=True):
        if together is None:
            continue
        alone, _ = judge.judge(step, policy)
        assert together.keys() == alone.keys()
        for name, known in alone.items():
            np.testing.assert_array_equal(together[name].status, known.status)
            np.testing.assert_array_equal(together[name].truth, known.truth)
            for end in ("low", "high"):
                # on the grid, to which they are rounded where any of the array is outside
                one, other = (
                    dtypes.round_to(getattr(each[name], end), np.dtype(np.float32)) for each in (together, alone)
                )
                np.testing.assert_allclose(one, other, rtol=2.0**-23, atol=2.0**-149)
    return sum(each is not None for each in found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: type(rule).__name__)
@pytest.mark.parametrize("subnormals", ["keep", "either"])
def test_steps_are_judged_as_alone(rule: Any, subnormals: str) -> None:
    steps = [step_of(rule, shape, i) for i, shape in enumerate(SHAPES)]
    steps += [changed(step, 1e-3) for step in steps]
    policy = Policy(subnormals=subnormals)  # type: ignore[arg-type]
    together = agrees(steps, policy)
    assert together == (0 if isinstance(rule, Adafactor | NovoGrad) else len(steps))
    assert sum(judgement.outside(j.values()) for j in judged_together(steps, policy) if j is not None) >= together // 2


@pytest.mark.sample(quick=6, suite=18)
@pytest.mark.parametrize("special", [np.nan, np.inf, 1e-42, 3e38, -0.0, 0.0])
@pytest.mark.parametrize("rule", [AdamW(weight_decay=0.1), Lion(), LAMB()], ids=lambda rule: type(rule).__name__)
def test_what_is_special_in_one_alters_no_other(rule: Any, special: float) -> None:
    agrees([step_of(rule, shape, i, special if i == 2 else None) for i, shape in enumerate(SHAPES)])


def test_what_cannot_be_joined_is_left() -> None:
    large = step_of(AdamW(), (batches.SMALL + 1,), 0)
    folded = step_of(LAMB(), (SMALL_FOLDED + 1,), 0)
    hidden = dataclasses.replace(step_of(AdamW(), (4,), 0), after={"p": np.ones(4, np.float32)})
    vague = step_of(AdamW(), (4,), 1)
    vague.before["g"] = vague.before["g"]._replace(error=np.full(4, 1e-3))  # type: ignore[index]
    matrix = step_of(Muon(), (4, 4), 0)
    for step in (large, folded, hidden, vague, matrix):
        assert judged_together([step, step], Policy()) == [None, None]
    one = step_of(AdamW(), (4,), 2)
    assert judged_together([one], Policy()) == [None]
    assert judged_together([], Policy()) == []


def test_other_numbers_are_judged_apart() -> None:
    steps = [step_of(AdamW(lr=lr), (4,), i) for i, lr in enumerate((0.1, 0.1, 0.2, 0.2, 0.3))]
    assert [each is not None for each in judged_together(steps, Policy())] == [True] * 4 + [False]


@pytest.mark.slow
@pytest.mark.parametrize("rule", [AdamW(), LAMB()], ids=lambda rule: type(rule).__name__)
def test_verdicts_are_the_same(rule: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dataclasses.replace(rule, eps=2 * rule.eps)
    for candidate in (rule, wrong):
        found = refgrad.verify(candidate, rule, seed=1, explain=False)
        with monkeypatch.context() as alone:
            alone.setattr(batches, "judged_together", lambda steps, policy: [None] * len(steps))
            want = refgrad.verify(candidate, rule, seed=1, explain=False)
        for name in ("outcome", "counts", "faults", "notes"):
            assert getattr(found, name) == getattr(want, name)
        assert (found.first is None) == (want.first is None)


def test_a_set_that_is_another_steps_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A planted fault: what was judged together is cut a place too early."""
    places = batches._places
    monkeypatch.setattr(batches, "_places", lambda steps: [(step, end - (end > 3)) for step, end in places(steps)])
    with pytest.raises(AssertionError):
        agrees([step_of(AdamW(), shape, i) for i, shape in enumerate(SHAPES)])
