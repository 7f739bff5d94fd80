"""What a change is, what changes there are, and how they are put together."""

from __future__ import annotations

import dataclasses

import pytest

from refgrad.errors import ArgumentError
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD, Adam, AdamW, Lion, Lookahead, Muon
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.hypotheses import changes
from refgrad.oracle.hypotheses.changes import NONE, Change, joined
from refgrad.oracle.mutants import mutations
from refgrad.quantizers import Affine, EightBit
from refgrad.tracing import free_values, plan_for

INSIDE = Change("eps_placement=inside", "eps inside", rule={"eps_placement": "inside"})
RATE = Change("lr=0.5", "lr is 0.5", "value", {"lr": 0.5})


def test_a_change_of_fields() -> None:
    assert (INSIDE + RATE).changed(AdamW()) == AdamW(eps_placement="inside", lr=0.5)
    assert NONE.changed(AdamW()) == AdamW()
    with pytest.raises(ArgumentError, match="momentum"):
        Change("", "", rule={"momentum": 0.5}).changed(AdamW())


def test_what_is_put_together() -> None:
    both = INSIDE + RATE
    assert (both.name, both.parts, both.kind) == ("eps_placement=inside, lr=0.5", 2, "value")
    assert both.sentence == "eps inside, and lr is 0.5"
    assert NONE + RATE is RATE
    assert RATE + NONE is RATE
    assert joined([INSIDE, RATE]) == both
    assert joined([RATE, RATE]) is None


def test_what_includes_another() -> None:
    both = joined((INSIDE, RATE))
    assert both is not None
    assert both.includes(INSIDE)
    assert both.includes(RATE)
    assert not INSIDE.includes(both)
    assert not dataclasses.replace(RATE, rule={"lr": 0.25}).includes(RATE)


def test_changes_that_clash() -> None:
    other = Change("SGD", "it is SGD", "rule", of=SGD())
    wide = Change("internals", "wider", rule={"internals": "wide"})
    quantized = Change("first", "", how={"first": {"given": "new codes"}})
    assert RATE.clashes(dataclasses.replace(RATE, name="lr=0.25"))
    assert other.clashes(Change("Lion", "it is Lion", "rule", of=Lion()))
    assert wide.clashes(RATE)
    assert RATE.clashes(wide)
    assert quantized.clashes(quantized)
    assert not RATE.clashes(INSIDE)
    assert not other.clashes(RATE)


def test_a_scalar_in_float32_says_no_more_where_all_are() -> None:
    plan = plan_for(AdamW(), 2, free_values((4, 3), {"t": 1}))
    constant = next(m for m in mutations([plan]) if m.scalars)
    alone = Change(constant.name, "", "mutant", mutations=(constant,))
    every = Change("scalars=float32", "", rule={"scalars": "float32"})
    assert alone.clashes(every)
    assert every.clashes(alone)
    assert joined([every, alone]) is None
    assert not alone.clashes(RATE)


def test_a_change_of_another_rule() -> None:
    other = Change("SGD", "it is SGD", "rule", of=SGD(momentum=0.5))
    nesterov = Change("nesterov=True", "", rule={"nesterov": True})
    assert (other + nesterov).changed(AdamW()) == SGD(momentum=0.5, nesterov=True)
    assert (other + nesterov).kind == "rule"


def test_how_outputs_are_judged_under_a_change() -> None:
    rule, free = AdamW(), free_values((4, 3), {"t": 1})
    plain = Change("flush", "", "policy", policy={"subnormals": "flush"}).wanted(Policy(roundings=5))
    assert plain.policy == Policy(roundings=5, subnormals="flush")
    assert plain.plans is plan_for
    (mutation, *_) = mutations([plan_for(rule, 2, free)])
    rewritten = Change(mutation.name, "", "mutant", mutations=(mutation,), how={"a": {"b": 1}}).wanted(Policy())
    assert rewritten.plans(rule, 2, free).graph != plan_for(rule, 2, free).graph
    assert rewritten.how == {"b": 1}


def test_named_behaviours_those_of_inner_rules_too() -> None:
    found = {c.name: c for c in changes.named(Lookahead(inner=AdamW()))}
    assert found["inner_eps_placement=inside"].changed(Lookahead(inner=AdamW())).inner == AdamW(eps_placement="inside")
    assert "eps_placement=outside" not in {c.name for c in changes.named(AdamW())}


def test_numbers_off_by_a_factor() -> None:
    found = {c.rule["beta2"] for c in changes.factors(AdamW()) if "beta2" in c.rule}
    assert {0.0, 0.998, 0.99, 0.9995, 0.9999} <= found  # of a decay its distance from one
    assert 2e-3 in {c.rule.get("lr") for c in changes.factors(AdamW())}
    assert all(0 <= c.rule.get("beta1", 0) < 1 for c in changes.factors(AdamW()))


def test_whole_numbers_around_a_claim() -> None:
    bits = [c.rule["bits"] for c in changes.wholes(Affine(bits=4)) if "bits" in c.rule]
    assert bits[:4] == [1, 2, 3, 5] or bits[:3] == [2, 3, 5]
    assert max(bits) >= 12
    assert all(isinstance(b, int) for b in bits)
    rule = Lookahead()
    assert {4.0, 6.0} <= {c.rule.get("k") for c in changes.wholes(rule, ["k"])}
    assert not [c for c in changes.wholes(rule) if "k" in c.rule]


def test_other_rules_have_the_numbers_of_the_claim_and_their_own() -> None:
    found = [c.of for c in changes.others(Adam(lr=0.5, beta1=0.8))]
    assert {AdamW(lr=0.5, beta1=0.8, weight_decay=0.0), AdamW()} <= set(found)
    assert {type(rule).kind for rule in found if rule is not None} == {"optimizer"}
    assert not [rule for rule in found if type(rule) is Adam]
    # a number that another rule has switched off stays off once: with it, it would have state of its own
    assert {SGD(lr=0.5, momentum=0.5), SGD(lr=0.5)} <= {c.of for c in changes.others(Muon(lr=0.5, momentum=0.5))}


def test_departures_of_a_kind() -> None:
    rule = EightBit()
    (first,) = changes.departures(rule, kind_of(rule))
    assert first.keywords == {"given": "new codes"}
    assert (first + RATE).besides == ["state quantized first"]
    assert not list(changes.departures(AdamW(), kind_of("optimizer")))
