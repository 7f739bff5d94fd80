"""What happens between steps and between parameters, as cases."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.kinds.kind import NORMS, SETTING
from refgrad.optimizers import SGD, AdamW, ClipByGlobalNorm, Muon, RMSprop
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.calls import (
    CHANGED,
    GROUPED,
    changed_rates,
    grouped,
    in_groups,
    like_leaves,
    norms_near,
    repeated_gradients,
)
from refgrad.oracle.inputs.extremes import beside_numbers
from refgrad.rule import rules

F32 = np.dtype(np.float32)


def test_groups_go_on_after_the_third_step() -> None:
    cases = grouped(SGD(lr=0.1), F32, 0, SGD(lr=0.3, weight_decay=0.5))
    assert len(cases.steps) == GROUPED > 3
    assert cases.settings[0] == {}
    assert cases.settings[1] == {"lr": 0.3, "weight_decay": 0.5}


def test_a_rule_has_the_rate_of_its_step() -> None:
    rule = AdamW(lr=0.5)
    cases = changed_rates(rule, F32, 0, None)
    rates = [cases.rule_at(step, rule).lr for step in range(1, GROUPED + 1)]
    assert rates == [0.5, 0.5, 0.125, 0.125, 0.25, 0.25]
    assert cases.rule_at(1, rule) is rule
    assert all(np.log2(factor).is_integer() for factor in CHANGED.values())  # so that nothing is rounded


def test_fewer_steps_keep_the_changes_before_them() -> None:
    cases = changed_rates(SGD(lr=1.0), F32, 0, None)
    assert cases.at_steps([1, 4]).rates == {1: CHANGED[4]}
    assert cases.at_steps(slice(0, 3)).rates == {2: CHANGED[2]}


@pytest.mark.parametrize(
    ("candidate", "situation"),
    [
        ("Clipping", ""),
        ("WithoutNumbers", "leaves of like size"),
        ("WithoutTheLast", "leaves of like size"),
        ("FirstGroup", "groups"),
        ("Padded", f"{SETTING}: {NORMS}"),
    ],
)
def test_a_norm_of_all_parameters_is_one_of_all(candidate: str, situation: str) -> None:
    pytest.importorskip("torch")
    from tests.oracle.inputs import clipping_in_torch

    clipping = getattr(clipping_in_torch, candidate)
    verdict = refgrad.verify(clipping, ClipByGlobalNorm(inner=SGD(lr=0.1)), explain=False, shrink=False)
    assert verdict.conforms == (not situation), str(verdict)
    assert verdict.situation.startswith(situation)


COUPLED: list[Any] = [rule() for rule in rules(Optimizer).values() if rule().scope == "tree"]


@pytest.mark.parametrize("rule", COUPLED, ids=str)
def test_leaves_of_one_element_and_norms_beside_each_number_are_driven(rule: Any) -> None:
    float32 = np.dtype(np.float32)
    like, grouped_alike, near = (make(rule, float32, 0) for make in (like_leaves, in_groups, norms_near))
    assert {(), (1,)} <= {p.shape for p in like.p}
    assert len(grouped_alike.settings) == len(like.p)
    assert near is None or not any(p.any() for p in near.p)
    for wanted, step in zip(beside_numbers(rule, float32), near.g if near is not None else (), strict=False):
        found = math.sqrt(sum(float(np.square(g, dtype=np.float64).sum()) for g in step))
        assert found == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("clamped", [True, False])
def test_a_variance_that_rounding_brings_below_zero_is_refused_where_it_is_clamped(clamped: bool) -> None:
    def centered(p: Any, g: Any, v: Any, g_avg: Any, lr: float, alpha: float, eps: float) -> Any:
        f = np.float32
        v, g_avg = f(alpha) * v + f(1 - alpha) * g * g, f(alpha) * g_avg + f(1 - alpha) * g
        variance = v - g_avg * g_avg
        with np.errstate(invalid="ignore"):
            root = np.sqrt(np.maximum(variance, f(0)) if clamped else variance)
        return p - f(lr) * g / (root + f(eps)), v, g_avg

    verdict = refgrad.verify(centered, RMSprop(centered=True), steps=2, shrink=False, explain=False)
    assert verdict.conforms == clamped, verdict
    assert verdict.situation.startswith("" if clamped else "repeated gradients")
    assert repeated_gradients(Muon(), np.dtype(np.float32), 0) is None
