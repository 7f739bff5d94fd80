"""Which hypotheses are one function."""

from __future__ import annotations

import pytest

from refgrad.estimators import ArcTan, ClippedSTE, Rectangular
from refgrad.optimizers import SGD, Adam, AdamW, Lion
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.equivalence import distinct, same
from refgrad.oracle.mutants import CASE_REWRITES, mutations
from refgrad.quantizers import Affine, Blockwise, Cast, EightBit
from refgrad.rule import Rule
from refgrad.sparsity import SET, Magnitude


def field(**values: object) -> Change:
    return Change(str(values), "", rule=values)


@pytest.mark.parametrize(
    ("rule", "change", "expected"),
    [
        (AdamW(), NONE, True),
        (AdamW(weight_decay=0.0), field(decay="fixed"), True),
        (AdamW(), field(decay="fixed"), False),
        (AdamW(), field(eps=2e-8), False),
        (Lion(), field(scalars="float32"), False),
        (AdamW(), Change("flush", "", "policy", policy={"subnormals": "flush"}), False),
        (ClippedSTE(), field(edge="exclusive"), False),
        (ArcTan(), field(alpha=3.7), False),
        (ArcTan(), field(alpha=ArcTan().alpha), True),
        (Affine(), field(bits=4), False),
        (Affine(), field(ties="even"), True),
        (Cast(), field(overflow="infinity"), False),
        (Magnitude(), field(granularity="together"), True),
        (Magnitude(), field(sparsity=0.7), False),
        (SET(), field(zeta=0.5), False),
        (EightBit(AdamW(weight_decay=0.0)), field(rule_decay="fixed"), True),
        (EightBit(AdamW()), field(rule_decay="fixed"), False),
        (EightBit(AdamW()), field(signed=Blockwise(map="linear")), False),
        (EightBit(), Change("first", "", how={"first": {"given": "new codes"}}), False),
        (AdamW(), field(lr=-1.0), False),
    ],
    ids=str,
)
def test_a_change_of_a_rule(rule: Rule, change: Change, expected: bool) -> None:
    assert same((rule, NONE), (rule, change)) is expected
    assert same((rule, change), (rule, NONE)) is expected


def test_two_rules() -> None:
    assert same((Adam(weight_decay=0.0), NONE), (AdamW(weight_decay=0.0), NONE))
    assert not same((Adam(), NONE), (AdamW(weight_decay=0.1), NONE))
    assert not same((SGD(momentum=0.9), NONE), (Lion(), NONE))
    assert not same((AdamW(), NONE), (ClippedSTE(), NONE))
    assert same((AdamW(weight_decay=0.0), Change("Adam", "", "rule", of=Adam())), (Adam(), NONE))


@pytest.mark.slow
def test_rewritten_graphs() -> None:
    rule = Rectangular(width=0.5)
    (*found,) = mutations([rule.plan((4, 4))], CASE_REWRITES)
    wrong = [m for m in found if "x_grad" in m.name]
    assert wrong
    assert not any(same((rule, NONE), (rule, Change(m.name, "", "mutant", mutations=(m,)))) for m in wrong)
    assert {m.name for m in distinct(AdamW(), mutations([AdamW().plan((3, 3), 1)]), 2)} >= {"m not updated"}
