"""What is told as a fact, and what only may be: a hypothesis that fits the claimed rule as well says nothing of a candidate."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.estimators import ClippedSTE
from refgrad.kinds.table import MODULES, kind_of
from refgrad.optimizers import AdAdaGrad, Adam, AdamW
from refgrad.oracle.engine.outcomes import FACT, MAY_BE, NEAR, Departure
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.explanation import AMBIGUOUS
from refgrad.oracle.hypotheses.changes import NONE, Change, named
from refgrad.oracle.hypotheses.control import WIDER, Control, control_of
from refgrad.quantizers import Affine, EightBit
from refgrad.rule import Rule, rules
from refgrad.sparsity import SET, Magnitude
from tests.oracle.hypotheses.test_departures import claim_of

ONE_A_KIND: dict[str, Rule] = {
    rule.kind: rule for rule in (AdamW(), EightBit(Adam()), AdAdaGrad(), ClippedSTE(), Affine(), Magnitude(), SET())
} | {"scaling": next(cls() for cls in rules().values() if cls.kind == "scaling")}
#: a candidate that is another rule, and the named behaviour that says so
NAMED: list[tuple[Rule, Rule, str]] = [
    (AdamW(eps_placement="inside"), AdamW(), "eps_placement=inside"),
    (ClippedSTE(edge="exclusive"), ClippedSTE(), "edge=exclusive"),
    (Affine(ties="away"), Affine(), "ties=away"),
    (Magnitude(measure="square", sparsity=0.7), Magnitude(measure="square"), "sparsity=0.7"),
]


def cosine(p: Any, g: Any, m: Any, v: Any, t: int) -> Any:
    """AdamW whose rate falls along a cosine over a hundred steps."""
    f, rate = np.float32, 1e-3 * 0.5 * (1 + np.cos(np.pi * (t - 1) / 100))
    m, v = f(0.9) * m + f(1 - 0.9) * g, f(0.999) * v + f(1 - 0.999) * g * g
    root = np.sqrt(v / f(1 - 0.999**t)) + f(1e-8)
    return p - f(rate) * (m / f(1 - 0.9**t) / root + f(0.01) * p), m, v


def controlled(candidate: Any, rule: Rule) -> tuple[Claim, Control]:
    claim = claim_of(candidate, rule)
    control = control_of(claim, claim.driven(kind_of(rule).completed(rule, claim.cases())))
    assert control is not None
    return claim, control


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("kind", MODULES)
def test_the_control_is_the_rule_itself(kind: str) -> None:
    """The claim fits it, whatever the kind, and is as wide as itself; so that what is changed by nothing says nothing."""
    _, control = controlled(ONE_A_KIND[kind], ONE_A_KIND[kind])
    assert control.fits(NONE)
    assert control.may_fit(NONE)
    assert control.wider(NONE) == 1.0
    assert str(ONE_A_KIND[kind]) in control.doubt(Change("nothing", "nothing is changed"))


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("case", NAMED, ids=lambda case: f"{case[0]} as {case[1]}")
def test_what_could_have_failed_is_a_fact(case: tuple[Rule, Rule, str]) -> None:
    candidate, rule, name = case
    verdict = refgrad.verify(candidate, rule, steps=4, shrink=False)
    assert [d.name for d in verdict.departures] == [name]
    assert verdict.departures[0].sure == FACT
    found = refgrad.identify(candidate, rule, steps=4)
    assert [e.sure for e in found.explanations] == [FACT], str(found)


@pytest.mark.slow
def test_one_rounding_more_is_not_told_by_wider_sets() -> None:
    """What is multiplied by a reciprocal is rounded once more, which fits the rule itself too; where ties go does not."""
    _, control = controlled(Affine(ties="away"), Affine())
    changes = {c.name: c for c in named(Affine())}
    assert "would lie within its acceptance sets too" in control.doubt(changes["normalize=reciprocal"])
    assert not control.doubt(changes["zero_point_added=before"])
    assert not control.doubt(changes["ties=away"])


@pytest.mark.slow
def test_a_model_of_error_that_takes_in_everything_is_no_fact() -> None:
    """Sets of bfloat16 take in a schedule on ordinary cases; a situation refutes them, or they are offered as a doubt."""
    verdict = refgrad.verify(cosine, AdamW(), steps=6, shrink=False)
    assert verdict.outcome == "does not conform"
    assert [each.name for each in verdict.departures if each.sure != MAY_BE] == []
    assert "It agrees with" not in str(verdict)


@pytest.mark.thorough
def test_a_model_of_error_that_takes_in_everything_identifies_nothing() -> None:
    found = refgrad.identify(cosine, AdamW(), steps=6)
    assert found.outcome == AMBIGUOUS
    assert "may be AdamW with bfloat16 arithmetic inside" in str(found).splitlines()[0]
    assert "it is not so where it is driven through late steps" in found.explanations[0].doubt
    assert found.to_dict()["explanations"][0]["sure"] == MAY_BE


@pytest.mark.slow
def test_sets_that_are_wider_by_far_are_no_fact() -> None:
    _, control = controlled(AdamW(), AdamW())
    rough = Change("internals", "", "policy", {"lr": 0.002}, {"precision": "storage"})
    assert control.wider(Change("lr=0.002", "", "value", {"lr": 0.002})) < 2.0
    assert control.wider(rough) <= WIDER  # in float32 storage is what is computed in


def test_what_is_hidden_of_the_candidate_is_hidden_of_the_control() -> None:
    memory: dict[Any, Any] = {}

    def hidden(p: Any, g: Any, t: int) -> Any:
        m, v = memory.get((p.shape, t), (np.zeros_like(p), np.zeros_like(p)))
        p, state = AdamW().step(p, g, {"m": m, "v": v, "t": t - 1})
        memory[p.shape, t + 1] = state["m"], state["v"]
        return p

    _, control = controlled(hidden, AdamW())
    assert all(not set(state) & {"m", "v"} for seen in control.record.seen for state in seen.state)
    assert control.fits(NONE)


def test_how_sure_follows() -> None:
    assert Departure("a", "", 0, 9).sure == FACT
    assert Departure("a", "", 0, 9, "others fit").sure == MAY_BE
    assert Departure("a", "", 1, 9).sure == NEAR
