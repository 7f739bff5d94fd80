"""Hypotheses of an optimizer's run: what few elements say is what the judge says of all."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from refgrad.kinds.record import Wanted
from refgrad.optimizers import LAMB, SGD, Adam, AdamW, Lion, Lookahead, RMSprop
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.screen import FIRST, StepScreen
from refgrad.oracle.mutants import mutations
from tests.oracle.hypotheses.runs import INPUTS, hidden, record_of, screen_of

INSIDE = Change("eps_placement=inside", "", rule={"eps_placement": "inside"})


@pytest.mark.parametrize("claimed", [AdamW(), SGD(momentum=0.9), LAMB(), Lookahead()], ids=str)
@pytest.mark.parametrize("lr", [None, 0.3])
def test_a_screen_of_all_elements_counts_what_the_judge_counts(claimed: Optimizer, lr: float | None) -> None:
    used = claimed if lr is None or isinstance(claimed, Lookahead) else claimed.replace(lr=lr)
    record = record_of(used, claimed)
    screen = StepScreen(record, Policy(), elements=10**6)
    judged = Tally().adding(o for o in screen.kind.outputs(record, record.rules, Wanted()) if o.step > 0)
    arrays = {n for n, slot in claimed.slots().items() if not slot.scalar} | {"p"}
    assert screen.counts(NONE) == {n: c for n, c in judged.counts.items() if n in arrays}


def test_changes_are_judged_on_the_same_run() -> None:
    screen = screen_of(AdamW(eps_placement="inside", eps=1e-3), AdamW(eps=1e-3))
    claimed, inside = screen.counts(NONE), screen.counts(INSIDE)
    assert claimed is not None
    assert inside is not None
    assert claimed["p"].outside > 0
    assert not any(c.outside for c in inside.values())
    assert screen.counts(Change("lr=-1", "", rule={"lr": -1.0})) is None
    assert screen.counts(Change("none such", "", rule={"momentum": 0.1})) is None


def test_what_was_judged_under_one_policy_is_judged_anew_under_another() -> None:
    """A learning rate that is off by a few roundings: outside with the fewest, inside with the most."""
    strict, lax = (Change(f"roundings={n}", "", "policy", policy={"roundings": n}) for n in (1, 64))
    used = SGD(lr=0.1 * (1 + 2.0**-20))
    both = screen_of(used, SGD(lr=0.1))
    for change in (strict, lax):
        assert both.counts(change) == screen_of(used, SGD(lr=0.1)).counts(change)
    assert both.counts(strict) != both.counts(lax)


def test_a_mutant_is_judged_by_its_own_plans() -> None:
    screen = screen_of(AdamW(), AdamW())
    wrong = next(m for m in mutations(screen.plans(NONE)) if m.name == "g stands for (1 - beta1) g")
    counts = screen.counts(Change(wrong.name, "", "mutant", mutations=(wrong,)))
    assert counts is not None
    assert counts["m"].outside > 0
    assert counts["p"].outside == counts["v"].outside == 0  # p is judged given the m that was observed


def test_the_same_run_as_another_rule() -> None:
    screen = screen_of(Adam(weight_decay=0.1), AdamW(weight_decay=0.1))
    counts = screen.counts(Change("Adam", "", "rule", of=Adam(weight_decay=0.1)))
    assert counts is not None
    assert not any(c.outside for c in counts.values())
    assert sum(c.total for c in counts.values()) == sum(c.total for c in (screen.counts(NONE) or {}).values())
    for other in (SGD(), Lion(), RMSprop(), Lookahead(inner=Adam())):
        assert screen.counts(Change("other", "", "rule", of=other)) is None  # other state, or a rule around one


def test_what_is_wrong_at_a_glance_is_looked_at_no_further() -> None:
    screen = screen_of(AdamW(), AdamW())
    counts = screen.counts(Change("Adam", "", "rule", of=Adam(lr=0.5)))
    assert counts is not None
    assert counts["p"].outside > 0
    assert counts["p"].total == FIRST * screen.elements // 4
    assert screen.glance.record.steps == FIRST


def test_a_rule_without_state_is_tried_where_none_is_read() -> None:
    screen = screen_of(SGD(lr=0.02), Adam(lr=0.02))
    assert not screen.locked
    counts = screen.counts(Change("SGD", "", "rule", of=SGD(lr=0.02)))
    assert counts is not None
    assert counts["p"].inside == counts["p"].total > 0


def test_hidden_state_is_followed_from_the_start() -> None:
    screen = screen_of(hidden(AdamW(lr=0.02)), AdamW(lr=0.02))
    assert not screen.locked
    assert screen.followed is not None
    claimed, wrong = screen.counts(NONE), screen.counts(Change("lr=2", "", rule={"lr": 2.0}))
    assert claimed is not None
    assert wrong is not None
    assert claimed["p"].outside == 0
    assert wrong["p"].outside > wrong["p"].inside


def test_outputs_tell_that_others_do_not_know_more_of() -> None:
    screen = screen_of(AdamW(lr=0.3, beta1=0.8, beta2=0.9), AdamW())
    counts = screen.counts(NONE)
    assert counts is not None
    assert screen.telling(NONE, counts) == ["m", "v", "p"]
    assert screen.used() >= {"lr", "beta1", "beta2", "eps", "weight_decay"}
    off = screen_of(AdamW(), AdamW(weight_decay=0.0)).switched_on()
    assert [c.rule for c in off] == [{"eps_root": 1e-8}, {"weight_decay": 1e-2}]


def test_a_run_that_stopped_is_judged_as_far_as_it_went() -> None:
    record = record_of(AdamW(), AdamW())
    stopped = StepScreen(dataclasses.replace(record, seen=[*record.seen[:3], None]), Policy(), elements=10**6)
    counts = stopped.counts(NONE)
    assert counts is not None
    assert counts["p"].total == 2 * sum(p.size for p in INPUTS.p)
    assert StepScreen(dataclasses.replace(record, seen=record.seen[:1]), Policy()).counts(NONE) is None


def test_which_elements_are_looked_at_is_always_the_same() -> None:
    ones, others = (screen_of(AdamW(), AdamW()).stacks[0].after["p"] for _ in range(2))
    assert np.array_equal(ones, others)
