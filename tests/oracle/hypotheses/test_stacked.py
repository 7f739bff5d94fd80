"""A run judged many steps at once says what the judge of single steps says."""

from __future__ import annotations

import pytest

from refgrad.optimizers import LAMB, SGD, AdamW, Lion, RMSprop
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.stacked import Stacked
from tests.oracle.hypotheses.runs import hidden, record_of

EVERY = 1 << 20
CLAIMS = [
    (AdamW(weight_decay=0.1), AdamW(weight_decay=0.1)),
    (AdamW(lr=0.002), AdamW()),
    (RMSprop(), RMSprop(eps=0.1)),
    (Lion(), Lion()),
    (LAMB(), LAMB()),
    (LAMB(lr=0.002), LAMB()),
]


@pytest.mark.parametrize(("used", "claimed"), CLAIMS, ids=str)
def test_all_elements_stacked_are_counted_as_step_by_step(used: Optimizer, claimed: Optimizer) -> None:
    record = record_of(used, claimed)
    stacked = Stacked(record, Policy(), EVERY)
    assert stacked.locked
    outputs = stacked.kind.outputs(record, record.rules, NONE.wanted(Policy()))
    later = [output for output in outputs if output.step > 0]  # the state that a run begins with says nothing of a step
    assert stacked.judged_counts(NONE) == dict(Tally().adding(later).counts)


def test_a_change_is_judged_in_the_claims_place() -> None:
    stacked = Stacked(record_of(AdamW(lr=0.002), AdamW()), Policy())
    plain = stacked.judged_counts(NONE)
    right = stacked.judged_counts(Change("lr=0.002", "", "value", {"lr": 0.002}))
    assert plain is not None
    assert right is not None
    assert plain["p"].outside > 0
    assert sum(each.outside for each in right.values()) == 0
    # the moments do not read the rate: what was judged once is not judged again
    assert (right["m"], right["v"]) == (plain["m"], plain["v"])


def test_other_slots_are_another_question() -> None:
    stacked = Stacked(record_of(SGD(momentum=0.9), SGD(momentum=0.9)), Policy())
    assert stacked.judged_counts(Change("momentum=0", "", "value", {"momentum": 0.0})) is None


def test_hidden_state_is_followed() -> None:
    stacked = Stacked(record_of(hidden(AdamW()), AdamW()), Policy())
    assert not stacked.locked
    assert stacked.followed is not None
    counts = stacked.judged_counts(NONE)
    assert counts is not None
    assert set(counts) == {"p"}
    assert counts["p"].outside == 0
    wrong = stacked.judged_counts(Change("lr=1", "", "value", {"lr": 1.0}))
    assert wrong is not None
    assert wrong["p"].outside > 0


@pytest.mark.parametrize(("rule", "couples"), [(AdamW(), False), (LAMB(), True)], ids=str)
def test_few_elements_are_looked_at_unless_a_rule_sums_over_them(rule: Optimizer, couples: bool) -> None:
    stacked = Stacked(record_of(rule, rule), Policy(), 8)
    assert stacked.couples is couples
    sizes = [arrays["p"].size for arrays in stacked.part.cases.arrays]
    assert sizes == ([144, 35] if couples else [16])
