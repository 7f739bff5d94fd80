"""The parts of the judge on small arrays, with statuses and ends that were worked out by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.arithmetic.running_error import Bounded
from refgrad.optimizers import SGD, Lion, MoMo, NAdam
from refgrad.oracle.acceptance.chunks import CHUNK
from refgrad.oracle.acceptance.judge import Step, judge, judge_scalars
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import free_values

F32, F64, BF16 = np.dtype(np.float32), np.dtype(np.float64), np.dtype(ml_dtypes.bfloat16)
TINY = float(np.finfo(np.float32).smallest_normal)
INF, NAN = np.inf, np.nan


def step_of(rule: Any, before: dict[str, Sequence[float]], after: dict[str, Sequence[float]]) -> Step:
    """The second step of a run on float32 vectors."""
    size = len(before["p"])
    plan = rule.plan((size,), 2)
    free = dict(zip(plan.free, free_values((size,), dict.fromkeys(rule.scalar_inputs(), 2.0)), strict=True))
    given = {n: Bounded(np.asarray(a, float)) for n, a in before.items()}
    return Step(plan, free, given, {n: np.asarray(a, np.float32) for n, a in after.items()})


def test_each_output_is_judged_given_those_that_were_seen() -> None:
    """SGD with momentum 1/2, b' = b / 2 + g: where a wrong b' was seen, p' = p - b' is right given that one."""
    before = {"p": [1.0, 1.0], "g": [0.25, 0.25], "buffer": [0.5, 0.5]}
    found, carried = judge(
        step_of(SGD(lr=1.0, momentum=0.5), before, {"p": [0.5, 0.0], "buffer": [0.5, 1.0]}), Policy()
    )
    assert found["buffer"].status.tolist() == [INSIDE, OUTSIDE]
    assert found["p"].status.tolist() == [INSIDE, INSIDE]
    assert carried == {}


def test_what_was_not_seen_is_carried_on() -> None:
    before = {"p": [1.0, 1.0], "g": [0.25, 0.25], "buffer": [0.5, 0.5]}
    found, carried = judge(step_of(SGD(lr=1.0, momentum=0.5), before, {"p": [0.5, 0.25]}), Policy())
    assert found["p"].status.tolist() == [INSIDE, OUTSIDE]
    assert carried["buffer"].value.tolist() == [0.5, 0.5]
    assert 0.0 <= carried["buffer"].bound().max() < 2.0**-20


@pytest.mark.parametrize("size", [CHUNK, CHUNK + 1, 2 * CHUNK + 1])
def test_a_large_tensor_is_judged_whole(size: int) -> None:
    """Chunk after chunk, around the same truths as a few elements by themselves; here the last one alone is wrong."""
    p, g, buffer = np.linspace(1.0, 2.0, size), np.linspace(-1.0, 1.0, size), np.full(size, 0.5)
    after = p - (buffer / 2 + g)
    after[-1] += 1
    found, carried = judge(
        step_of(SGD(lr=1.0, momentum=0.5), {"p": p, "g": g, "buffer": buffer}, {"p": after}), Policy()
    )
    assert found["p"].status.shape == (size,)
    assert np.flatnonzero(found["p"].status != INSIDE).tolist() == [size - 1]
    np.testing.assert_array_equal(carried["buffer"].value, np.float64(buffer / 2 + g))
    few = {n: a[-3:] for n, a in {"p": p, "g": g, "buffer": buffer}.items()}
    alone, _ = judge(step_of(SGD(lr=1.0, momentum=0.5), few, {"p": after[-3:]}), Policy())
    assert found["p"].truth[-3:].tolist() == alone["p"].truth.tolist()


def test_a_state_that_decisions_do_not_reach_is_carried_on_as_narrow_as_it_is() -> None:
    """The sign of Lion is open at the first element: either step is right there, and m' is known as well as elsewhere."""
    rule = Lion(lr=1.0, beta1=0.5, beta2=0.75)
    before = {"p": [1.0, 1.0], "g": [0.3, 0.3], "m": [-0.3, 0.3]}
    for p, expected in (
        ([0.0, 0.0], [UNDECIDED, INSIDE]),
        ([2.0, 0.0], [UNDECIDED, INSIDE]),
        ([1.5, 2.0], [OUTSIDE, OUTSIDE]),
    ):
        found, carried = judge(step_of(rule, before, {"p": p}), Policy())
        assert found["p"].status.tolist() == expected
        assert carried["m"].bound().max() < 1e-6


def test_scalar_slots_are_judged_in_the_dtype_that_they_are_kept_in() -> None:
    """NAdam keeps the product of its momenta; a float32 of it is right, and so is no number that is a millionth off."""
    rule = NAdam()
    step = step_of(rule, {n: [1.0] for n in ("p", "g", "m", "v")}, {"p": [1.0]})
    (name,) = step.plan.graph.scalar_outputs
    truth = float(step.plan.scalar_outputs(*step.free.values())[0])
    for value, dtype, expected in (
        (truth, F64, INSIDE),
        (float(np.float32(truth)), F32, INSIDE),
        (float(np.float32(truth)), F64, OUTSIDE),
        (truth * (1 + 1e-6), F32, OUTSIDE),
    ):
        found = judge_scalars(step, {name: (value, dtype)}, Policy())
        assert found[name].status == expected, (value, dtype)
        assert found[name].low <= truth <= found[name].high
    assert judge_scalars(step, {}, Policy()) == {}


@pytest.mark.parametrize(
    ("subnormals", "expected"),
    [("keep", [INSIDE, OUTSIDE]), ("either", [INSIDE, INSIDE]), ("flush", [OUTSIDE, INSIDE])],
    ids=["keep", "either", "flush"],
)
def test_a_scalar_slot_may_be_flushed(subnormals: str, expected: list[Any]) -> None:
    """The average of a subnormal loss, kept and flushed; one that is not small stays what it is."""
    rule = MoMo(start="zero", beta=0.5, scalars="float32")
    before = {n: [1.0] for n in ("p", "g", "m", "gamma")}
    for loss, values in ((TINY / 8, (TINY / 16, 0.0)), (1.0, (0.5, 0.0))):
        step = step_of(rule, before, {"p": [1.0]})
        step = dataclasses.replace(step, free={**step.free, "loss": loss, "average_loss": 0.0})
        found = [
            judge_scalars(step, {"average_loss": (v, F32)}, Policy(subnormals=subnormals))["average_loss"].status
            for v in values
        ]
        assert found == (expected if loss < 1.0 else [INSIDE, OUTSIDE])
