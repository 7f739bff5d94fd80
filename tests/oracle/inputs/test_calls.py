"""What happens between steps and between parameters, as cases."""

from __future__ import annotations

import numpy as np

from refgrad.optimizers import SGD, AdamW
from refgrad.oracle.inputs.calls import CHANGED, GROUPED, changed_rates, grouped

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
