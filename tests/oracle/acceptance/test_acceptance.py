"""What is accepted and what is not, sentence by sentence: policies, conditioning, decisions, grids, and the verdict."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad import Inputs
from refgrad.arithmetic.primitives import tree_sum
from refgrad.candidates.protocol import Observation
from refgrad.optimizers import SGD, AdamW
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.rule import NonNegative, State, zeros_like_param

RULE = AdamW()
TINY = np.finfo(np.float32).smallest_normal


def right(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
    new, state = RULE.step(p, g, {"t": t - 1, "m": m, "v": v}, backend="numpy")
    return new, state["m"], state["v"]


def flushed(x: np.ndarray) -> np.ndarray:
    return np.where(np.abs(x) < TINY, np.float32(0), x)


def flushing(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
    return tuple(map(flushed, right(p, flushed(g), flushed(m), flushed(v), t)))


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=4)
@pytest.mark.parametrize(
    ("subnormals", "candidate", "conforms"),
    [
        ("keep", right, True),
        ("keep", flushing, False),
        ("flush", right, False),
        ("flush", flushing, True),
        ("either", right, True),
        ("either", flushing, True),
    ],
)
def test_subnormal_numbers_by_policy(subnormals: str, candidate: Any, conforms: bool) -> None:
    verdict = refgrad.verify(candidate, RULE, policy={"subnormals": subnormals}, shrink=False, steps=4, explain=False)
    assert verdict.conforms is conforms, str(verdict)


def test_a_difference_of_normal_numbers_may_be_flushed() -> None:
    """It is exact by itself, and subnormal."""
    inputs = Inputs.of([float(1.5 * TINY)], [[float(TINY)]])
    for policy, ok in (("keep", False), ("either", True)):
        verdict = refgrad.verify(
            lambda p, g, lr: flushed(p - g),
            SGD(lr=1.0),
            inputs=inputs,
            policy={"subnormals": policy},
            explain=False,
            shrink=False,
        )
        assert verdict.conforms is ok, str(verdict)


def test_three_roundings_an_operation_by_default() -> None:
    assert (Policy().roundings, Policy().scalar_roundings) == (3, 2)


class Averaged(Optimizer):
    """A rule with a declared sum; not registered."""

    lr: NonNegative = 1.0

    def update(self, p: Any, g: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        return (p - self.lr * (g + tree_sum(g)),)


def summing(add: Callable[[np.ndarray], Any]) -> Callable[..., Any]:
    return lambda p, g, lr: p - np.float32(lr) * (g + np.float32(add(g)))


@pytest.mark.parametrize(
    ("add", "sums", "conforms"),
    [
        (lambda g: np.cumsum(g, dtype=np.float32)[-1], "any", True),
        (lambda g: np.cumsum(g, dtype=np.float32)[-1], "pairwise", False),
        (np.sum, "any", True),
        (lambda g: np.sum(g.astype(np.float64)), "pairwise", True),
        (lambda g: np.cumsum(g, dtype=np.float16)[-1], "any", False),
    ],
)
def test_orders_of_a_declared_sum(add: Any, sums: str, conforms: bool) -> None:
    """One after the other the error of equal terms grows with their number, along a tree with its logarithm."""
    g = np.full(4096, 0.1, np.float32)
    inputs = Inputs([np.zeros_like(g)], [[g]], [""])
    verdict = refgrad.verify(
        summing(add), Averaged(), inputs=inputs, policy={"sums": sums}, shrink=False, explain=False
    )
    assert verdict.conforms is conforms, str(verdict)


def test_a_fault_shows_in_the_tensor_and_at_the_step_that_have_it_and_nowhere_else() -> None:
    """p is judged given the candidate's own new m and v, and each step from the candidate's own state."""

    def once(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
        if t != 3:
            return right(p, g, m, v, t)
        m = np.float32(0.9) * m + np.float32(1 - 0.9) * g
        v = np.float32(0.998) * v + np.float32(1 - 0.999) * g * g  # another decay
        direction = m / np.float32(1 - 0.9**t) / (np.sqrt(v / np.float32(1 - 0.999**t)) + np.float32(1e-8))
        return p - np.float32(1e-3) * (direction + np.float32(1e-2) * p), m, v

    verdict = refgrad.verify(once, RULE, shrink=False, explain=False)
    assert verdict.first is not None
    assert (verdict.first.step, verdict.first.tensor) == (3, "v")
    outside = {name: count.outside for name, count in verdict.counts.items()}
    assert outside["v"] > 4096
    assert (outside["p"], outside["m"]) == (0, 0)


class TwoSigns(Optimizer):
    """One decision that two outputs show; not registered."""

    lr: NonNegative = 0.5
    state = State(m=zeros_like_param, doubled=zeros_like_param)

    def update(self, p: Any, g: Any, m: Any, doubled: Any, t: Any) -> tuple[Any, ...]:  # type: ignore[override]
        s = np.sign(0.9 * m + (1 - 0.9) * g)
        return p - self.lr * s, 0.99 * m + (1 - 0.99) * g, 2.0 * s + 0.0 * doubled


@pytest.mark.parametrize(
    ("first", "second", "conforms"),
    [(1.0, 1.0, True), (-1.0, -1.0, True), (0.0, 0.0, True), (1.0, -1.0, False), (0.0, 1.0, False), (0.5, 0.5, False)],
)
def test_one_decision_must_explain_all_outputs(first: float, second: float, conforms: bool) -> None:
    def candidate(p: Any, g: Any, m: Any, doubled: Any, t: int) -> Any:
        s = np.sign(np.float32(0.9) * m + np.float32(1 - 0.9) * g)
        a, b = (first, second) if t == 2 else (s, s)
        new = np.float32(0.99) * m + np.float32(1 - 0.99) * g
        return p - np.float32(0.5) * np.float32(a), new, np.float32(2.0) * np.float32(b) * np.ones_like(p)

    g = np.float32(1.7)
    inputs = Inputs.of([1.0], [[float(g)], [float(np.float32(-0.09) * g)]])
    verdict = refgrad.verify(candidate, TwoSigns(), inputs=inputs, shrink=False, explain=False)
    assert verdict.conforms is conforms, str(verdict)
    # half a step is no way at all; what no decision reaches is decided, whichever way it goes
    assert (verdict.total.undecided > 0) is (first != 0.5)
    assert verdict.counts["m"].undecided == 0


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_a_narrow_result_that_is_one_unit_off_is_outside(dtype: str) -> None:
    kind = np.dtype(dtype)

    def off(p: Any, g: Any, t: int) -> Any:
        new, _ = SGD(lr=0.5).step(p, g, {"t": t - 1}, backend="numpy")
        code = new.view(np.uint16).copy()
        code[0] += 1
        return code.view(kind)

    one = np.asarray([1.0, 1.0], kind)
    verdict = refgrad.verify(off, SGD(lr=0.5), inputs=Inputs([one], [[one]], [""]), shrink=False, explain=False)
    assert verdict.counts["p"] == refgrad.oracle.engine.verdict.Count(inside=1, outside=1)
    assert verdict.first is not None
    assert (verdict.first.index, verdict.first.dtype, verdict.first.low, verdict.first.high) == ((0,), dtype, 0.5, 0.5)


class NarrowState:
    """SGD that keeps its buffer in bfloat16 beside float32 parameters, and uses it as it was before it was rounded."""

    name = "narrow state"

    def __init__(self, wrong: bool = False) -> None:
        self.wrong = wrong

    def start(self, rule: SGD, params: Sequence[np.ndarray]) -> NarrowState:
        self.rule, self.params = rule, [p.copy() for p in params]
        self.buffers = [np.zeros(p.shape, ml_dtypes.bfloat16) for p in params]
        return self

    def step(self, grads: Sequence[np.ndarray]) -> None:
        for p, g, b in zip(self.params, grads, self.buffers, strict=True):
            buffer = np.float32(self.rule.momentum) * b.astype(np.float32) + g
            p -= np.float32(self.rule.lr) * buffer
            code = buffer.astype(ml_dtypes.bfloat16).view(np.uint16)
            b[...] = (code + np.uint16(self.wrong)).view(ml_dtypes.bfloat16)

    def observe(self) -> Observation:
        return Observation(self.params, [{"buffer": b} for b in self.buffers])


@pytest.mark.parametrize("wrong", [False, True])
def test_state_narrower_than_its_parameter_is_judged_on_its_own_grid(wrong: bool) -> None:
    p = np.linspace(0.5, 2.0, 64, dtype=np.float32)
    inputs = Inputs([p], [[p * np.float32(0.3)], [p * np.float32(-0.7)], [p]], [""])
    verdict = refgrad.verify(NarrowState(wrong), SGD(lr=0.1, momentum=0.9), inputs=inputs, shrink=False, explain=False)
    assert verdict.mode == "step-locked"
    assert verdict.conforms is not wrong, str(verdict)
    if wrong:
        assert verdict.first is not None
        assert (verdict.first.tensor, verdict.first.dtype) == ("buffer", "bfloat16")
        assert verdict.counts["buffer"].outside == verdict.counts["buffer"].total - 64  # all but the initial state


def descended(p: Any, g: Any) -> Any:
    with np.errstate(over="ignore"):
        return p - g


@pytest.mark.slow
def test_overflow_by_class() -> None:
    sgd, largest = SGD(lr=1.0), np.finfo(np.float32).max
    inputs = Inputs.of([3e38, 3e38, 1.0], [[-3e38, 3e38, 1.0]])
    assert refgrad.verify(descended, sgd, inputs=inputs).conforms
    saturating = lambda p, g: np.clip(descended(p, g), -largest, largest)  # noqa: E731
    first = refgrad.verify(saturating, sgd, inputs=inputs, explain=False, shrink=False).first
    assert first is not None
    assert (first.value, first.truth) == (largest, np.inf)


def test_a_candidate_that_returns_nan_gets_a_verdict() -> None:
    def poisoned(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
        new, m, v = right(p, g, m, v, t)
        new.reshape(-1)[7] = np.nan
        return new, m, v

    verdict = refgrad.verify(poisoned, RULE, steps=2, explain=False, shrink=False)
    assert verdict.exit_code == 1
    assert verdict.first is not None
    assert np.isnan(verdict.first.value)
    assert verdict.first.ulps == np.inf
    assert verdict.first.low <= verdict.first.truth <= verdict.first.high


def eps_inside(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
    m = np.float32(0.9) * m + np.float32(1 - 0.9) * g
    v = np.float32(0.999) * v + np.float32(1 - 0.999) * g * g
    m_hat, v_hat = m / np.float32(1 - 0.9**t), v / np.float32(1 - 0.999**t)
    return p - np.float32(1e-3) * (m_hat / np.sqrt(v_hat + np.float32(1e-8)) + np.float32(1e-2) * p), m, v


@pytest.mark.slow
def test_the_line_that_reproduces_it_does() -> None:
    target = "tests.oracle.acceptance.test_acceptance:eps_inside"
    for options in ({"shrink": False, "steps": 3, "seed": 5}, {"steps": 3}):
        verdict = refgrad.verify(target, RULE, **options)
        again = eval(verdict.reproduce, {"refgrad": refgrad})
        assert again.outcome == verdict.outcome == "does not conform"
        if options.get("shrink", True):  # from the smallest failing input
            assert again.counterexample == verdict.counterexample
        else:
            assert (again.first, again.counts) == (verdict.first, verdict.counts)


@pytest.mark.slow
def test_a_verdict_is_frozen_and_complete() -> None:
    verdict = refgrad.verify(eps_inside, RULE, steps=2)
    assert verdict.first is not None
    for part in (verdict, verdict.first, verdict.counterexample, verdict.total):
        with pytest.raises(dataclasses.FrozenInstanceError):
            part.outcome = "conforms"  # type: ignore[misc, union-attr]
    first = verdict.to_dict()["first"]
    told = {"step", "tensor", "leaf", "index", "dtype", "value", "truth", "low", "high", "ulps", "inputs"}
    assert set(first) == told
    assert all(float.fromhex(first[n]["hex"]) == getattr(verdict.first, n) for n in ("value", "truth", "low", "high"))
    off = abs(verdict.first.value - verdict.first.truth) / np.spacing(np.float32(abs(verdict.first.truth)))
    assert verdict.first.ulps == pytest.approx(off, rel=1e-6)
    assert (verdict.exit_code, verdict.conforms) == (1, False)
    assert verdict.explanation is not None
    assert verdict.explanation.name == "eps_placement=inside"
