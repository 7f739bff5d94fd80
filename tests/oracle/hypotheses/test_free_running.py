"""A run of which only the parameter is seen, followed from the start."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD, AdamW, Lion
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.hypotheses.changes import NONE
from refgrad.oracle.hypotheses.free_running import FreeRun
from refgrad.tracing import plan_for
from tests.oracle.hypotheses.runs import hidden, record_of


def followed(rule: Optimizer) -> FreeRun:
    record = record_of(hidden(rule), rule)
    return FreeRun.of(record, kind_of(rule).outputs(record, record.rules, NONE.wanted(Policy())))


@pytest.mark.parametrize("rule", [AdamW(weight_decay=0.1), Lion(), SGD(momentum=0.9)], ids=str)
def test_a_right_run_is_within_its_sets_and_with_another_number_it_is_not(rule: Optimizer) -> None:
    run = followed(rule)
    assert run.outside == 0
    found = run.distances(run.record.rules, plan_for, {})
    assert set(found) == {"p"}
    size = sum(arrays["p"].size for arrays in run.record.cases.arrays) * (len(run.record.seen) - 1)
    assert 0.9 * size <= len(found["p"]) <= size  # a set of no width says nothing
    assert np.max(np.abs(found["p"])) <= 1.0
    other = run.distance(run.record.rules, plan_for, {"lr": rule.lr * 1.01})  # type: ignore[attr-defined]
    assert np.mean(np.abs(other) > 1.0) > 0.9


def test_what_is_infinitely_far_has_a_number_too() -> None:
    run = followed(AdamW())
    far = run.distance(run.record.rules, plan_for, {"lr": np.inf})
    assert np.all(np.isfinite(far))
    assert np.max(np.abs(far)) == 1e9
