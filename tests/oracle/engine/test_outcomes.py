"""When a run in which nothing is outside says too little to be called right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.optimizers import SGD, Adam, AdamW, Lion, RMSprop
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.engine.outcomes import Departure, why_unjudged

HALF = np.float16


@pytest.mark.parametrize(
    ("counts", "nan", "reason"),
    [
        ({"p": Count(9, 0, 1)}, 0, ""),
        ({"p": Count(5, 0, 5)}, 0, ""),
        ({"m": Count(10, 0, 0), "p": Count(1, 0, 19)}, 0, "19 of 20 elements of p are undecided"),
        ({"p": Count(9, 0, 1)}, 1, "1 elements are NaN"),
        ({"p": Count(0, 0, 3)}, 0, "nothing of what it returned could be decided"),
        ({}, 0, "nothing of what it returned could be decided"),
    ],
)
def test_too_much_that_is_undecided_is_no_verdict(counts: dict[str, Count], nan: int, reason: str) -> None:
    found = why_unjudged(counts, nan)
    assert found.startswith(reason)
    assert bool(found) == bool(reason)


def half_adam(zero: float) -> Callable[..., Any]:
    """Adam in float32, but for what it returns at a gradient of zero."""

    def step(p: Any, g: Any, m: Any, v: Any, t: Any, lr: Any, beta1: Any, beta2: Any, eps: Any) -> Any:
        f = np.float32
        q, k = p.astype(f), g.astype(f)
        m = f(beta1) * m.astype(f) + f(1 - beta1) * k
        v = f(beta2) * v.astype(f) + f(1 - beta2) * k * k
        q = q - f(lr) * (m / f(1 - beta1**t)) / (np.sqrt(v / f(1 - beta2**t)) + f(eps))
        new = np.where(g == 0, HALF(zero) if zero != zero or zero else q.astype(HALF), q.astype(HALF))
        return new.astype(HALF), m.astype(HALF), v.astype(HALF)

    return step


ZERO = refgrad.Inputs([np.array([0.5, 1.0], HALF)], [[np.zeros(2, HALF)]], ["x"])


@pytest.mark.parametrize("precision", ["wide", "storage"])
@pytest.mark.parametrize(
    ("zero", "wide", "storage"),
    [(0.0, True, True), (7.0, False, False), (float("nan"), False, False)],
    ids=["as it was", "7", "NaN"],
)
def test_a_gradient_of_zero_is_decided_in_float16(zero: float, wide: bool, storage: bool, precision: str) -> None:
    """Its eps is zero in float16: 0/0 of it is NaN, which is wrong also where all is computed in that."""
    verdict = refgrad.verify(
        half_adam(zero), Adam(lr=1e-3), inputs=ZERO, policy={"precision": precision}, explain=False, shrink=False
    )
    assert verdict.total.undecided == 0
    assert verdict.conforms == (wide if precision == "wide" else storage)


@pytest.mark.parametrize("subnormals", ["keep", "flush", "either"])
def test_the_sign_of_zero_is_decided_under_every_policy(subnormals: str) -> None:
    def lion(p: Any, g: Any, m: Any, lr: Any, beta1: Any, beta2: Any) -> Any:
        f = np.float32
        c = f(beta1) * m + f(1 - beta1) * g
        return p - f(lr) * np.where(c >= 0, f(1), f(-1)), f(beta2) * m + f(1 - beta2) * g

    zero = refgrad.Inputs([np.ones(3, np.float32)], [[np.zeros(3, np.float32)]], ["x"])
    verdict = refgrad.verify(lion, Lion(), inputs=zero, policy={"subnormals": subnormals}, explain=False, shrink=False)
    assert verdict.counts["p"].outside == 3


def test_a_subnormal_gradient_is_itself_or_zero_and_never_of_the_other_sign() -> None:
    g = np.array([-1e-39, 1e-39, -1e-40], np.float32)
    inputs = refgrad.Inputs([np.zeros(3, np.float32)], [[g]], ["x"])
    steps = {"kept": g, "flushed": g * 0, "turned": -np.abs(g)}
    found = {}
    for name, change in steps.items():
        verdict = refgrad.verify(
            lambda p, g, change=change: p - change,
            SGD(lr=1.0),
            inputs=inputs,
            policy={"subnormals": "either"},
            explain=False,
            shrink=False,
        )
        found[name] = verdict.counts["p"].outside
    assert found == {"kept": 0, "flushed": 0, "turned": 1}


def test_a_second_moment_that_underflowed_may_have_been_used_before_it_was_stored() -> None:
    """AdamW in a wider register: the rule's numbers once, rounded as they are stored."""

    def wide(
        p: Any, g: Any, m: Any, v: Any, t: Any, lr: Any, beta1: Any, beta2: Any, eps: Any, weight_decay: Any
    ) -> Any:
        q, k, m, v = (a.astype(np.float64) for a in (p, g, m, v))
        m, v = beta1 * m + (1 - beta1) * k, beta2 * v + (1 - beta2) * k * k
        q = q * (1 - lr * weight_decay) - lr * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + eps)
        return tuple(a.astype(np.float32) for a in (q, m, v))

    tiny = np.ldexp(np.float32(1.1), np.arange(-90, -60)).astype(np.float32)
    inputs = refgrad.Inputs([np.zeros(30, np.float32)], [[tiny]], ["x"])
    rule = AdamW(eps=1e-22)
    verdict = refgrad.verify(wide, rule, inputs=inputs, explain=False, shrink=False)
    assert verdict.conforms, str(verdict)


def test_a_clamped_variance_never_gives_nan() -> None:
    """An average of squares less the square of an average, clamped at zero: the divisor is at least eps."""
    rule = RMSprop(centered=True, alpha=0.5, variance="clamped")
    g = np.full(1, float.fromhex("0x1.a41002p-4"), np.float32)
    inputs = refgrad.Inputs([np.ones(1, np.float32)], [[g]] * 30, ["x"])

    def bare(p: Any, g: Any, g_avg: Any, v: Any, lr: Any, alpha: Any, eps: Any) -> Any:
        f = np.float32
        a, b = f(alpha) * g_avg + f(1 - alpha) * g, f(alpha) * v + f(1 - alpha) * g * g
        return {"p": np.full_like(p, np.nan), "g_avg": a, "v": b}

    verdict = refgrad.verify(bare, rule, inputs=inputs, explain=False, shrink=False)
    assert verdict.counts["p"].outside > 0


def test_what_cannot_run_here_cannot_be_judged() -> None:
    def step(p: Any, g: Any, lr: Any) -> Any:
        raise AssertionError("If capturable=True, params and state_steps must be on supported devices: ['cuda', 'xla']")

    with pytest.raises(refgrad.errors.CandidateError, match="cannot run here"):
        refgrad.verify(step, SGD(), steps=2)


def test_where_elements_are_wrong_is_a_place_and_not_what_a_candidate_is() -> None:
    assert Departure("where g is zero", "elements where g is zero are wrong, and no others that were seen", 0, 9).place
    assert Departure("tail of 4", "the last n % 4 of an array's n elements are wrong, and no others", 0, 9).place
    assert not Departure("eps_placement=inside", "eps is added below the root", 0, 9).place
