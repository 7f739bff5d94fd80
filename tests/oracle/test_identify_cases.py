"""What a candidate without state is: variants, numbers and faults are named, and what is unknown is said to be."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.estimators import ApproxSign, ArcTan, ClippedSTE
from refgrad.optimizers import BatchScaledRate, NormalizedBatchPerceptron
from refgrad.oracle.explanation import AMBIGUOUS, IDENTIFIED, MISBEHAVES, UNKNOWN
from refgrad.quantizers import Affine
from refgrad.rule import Rule, rules
from refgrad.sparsity import SET, Magnitude
from tests.oracle import quantizer_programs as programs


def sign(x: Any) -> Any:
    return np.where(x >= 0, 1, -1).astype(x.dtype)


def clipped(strict: bool = False, factor: float = 1.0, root: bool = False) -> Any:
    def backward(cotangent: Any, x: Any) -> Any:
        inside = np.abs(x) < 1 if strict else np.abs(x) <= 1
        g = np.sign(cotangent) * np.sqrt(np.abs(cotangent)) if root else cotangent
        return (g * inside * factor).astype(x.dtype)

    return sign, backward


def pruned(w: Any, sparsity: float) -> Any:
    mask = np.ones(w.size, bool)
    mask[np.argsort(np.abs(w).ravel(), kind="stable")[: round(w.size * sparsity)]] = False
    return mask.reshape(w.shape)


@pytest.mark.sample(quick=1, suite=3)
@pytest.mark.parametrize(
    ("candidate", "claim", "options", "title"),
    [
        (clipped(), ClippedSTE(), {}, "ClippedSTE"),
        (clipped(strict=True), ClippedSTE(), {}, "ClippedSTE(edge='exclusive')"),
        (clipped(factor=2.0), ClippedSTE(), {}, "ClippedSTE with twice x_grad"),
        (ArcTan(alpha=3.7), ArcTan(), {}, "ArcTan(alpha=3.7)"),
        (
            (programs.affine, programs.affine_back),
            Affine(),
            {"before": True},
            "Affine(zero_point_added='before')",
        ),
        (lambda w: pruned(w, 0.7), Magnitude(), {}, "Magnitude(sparsity=0.7)"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
def test_what_it_is(candidate: Any, claim: Any, options: dict[str, Any], title: str) -> None:
    found = refgrad.identify(candidate, claim, options=options)
    assert found.outcome == IDENTIFIED, str(found)  # where the zero point is added first, it is by what becomes of ties
    assert found.best is not None
    assert found.best.title == title
    assert found.best.outside == 0
    assert found.best.total > 1000
    if title != str(claim).removesuffix("()"):
        assert found.itself is not None
        assert found.itself.outside > 0
    if title == "ArcTan(alpha=3.7)":  # a number has its interval
        (told,) = found.best.recovered
        assert told.name == "alpha"
        assert told.low <= 3.7 <= told.high
        assert told.high - told.low < 1e-5 * 3.7


@pytest.mark.thorough
def test_nothing_that_is_known() -> None:
    found = refgrad.identify(clipped(root=True), ClippedSTE())
    assert found.outcome == UNKNOWN
    assert found.nearest
    assert "nothing that I know" in str(found)


SLOW = {"GPTQ"}
EVERY = [
    pytest.param(n, marks=pytest.mark.slow) if n in SLOW or "optimizer" in c.kind else n for n, c in rules().items()
]


@pytest.mark.sample(quick=1, suite=6)
@pytest.mark.parametrize("name", EVERY)
def test_every_rule_is_itself(name: str) -> None:
    rule = rules()[name]()
    found = refgrad.identify(rule, rule, steps=3)
    assert found.outcome == IDENTIFIED, str(found)
    assert found.best is not None
    assert (found.best.title, found.best.kind) == (str(rule).removesuffix("()"), "none")


@pytest.mark.thorough
@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize(
    "rule",
    [
        ArcTan(alpha=3.7),
        Affine(bits=4),
        Magnitude(sparsity=0.7),
        SET(zeta=0.6),
        NormalizedBatchPerceptron(),
        BatchScaledRate(lr=0.35),
    ],
    ids=str,
)
def test_what_it_is_among_all_of_its_kind(rule: Rule) -> None:
    found = refgrad.identify(rule, steps=3)  # a rule is tried as its own kind where nothing is said
    assert found.claim is None
    assert str(rule).removesuffix("()") in [e.title for e in found.explanations], str(found)
    assert found.exit_code == 0


@pytest.mark.slow
def test_a_kind_by_its_name() -> None:
    found = refgrad.identify(lambda w: pruned(w, 0.7), "mask")
    assert [e.title for e in found.explanations] == ["Magnitude(sparsity=0.7)"], str(found)
    assert len(found.rules) > 10
    asked = found.hypotheses
    assert asked > len(found.rules)


@pytest.mark.slow
def test_ranges_that_are_searched_for_are_no_agreement() -> None:
    """Their scale and zero point are judged like any other."""
    found = refgrad.identify(Affine(bits=4), Affine())
    assert [e.title for e in found.explanations] == ["Affine(bits=4)"], str(found)
    itself = found.itself
    assert itself is not None
    assert set(found.explanations[0].counts) == set(itself.counts) >= {"scale", "codes"}


def test_inputs_that_do_not_tell_leave_it_open() -> None:
    inputs = refgrad.Cases.of(x=[0.25, -0.5], cotangent=[1.0, 1.0])
    found = refgrad.identify(ClippedSTE(), ClippedSTE(), inputs=inputs)
    assert found.outcome == AMBIGUOUS, str(found)
    assert found.best is not None
    assert found.best.title == "ClippedSTE"
    assert "ClippedSTE(edge='exclusive')" in [e.title for e in found.explanations]
    assert found.steps == 1


@pytest.mark.slow
def test_what_a_candidate_must_not_do_stands_first() -> None:
    """It destroys its input where that has a NaN, and is right besides."""

    def rude(w: Any, sparsity: float) -> Any:
        mask = Magnitude(sparsity=0.7).mask(w)
        if np.isnan(w).any():
            w[...] = 0
        return mask

    found = refgrad.identify(rude, Magnitude())
    assert found.outcome == MISBEHAVES
    assert found.exit_code == 1
    assert [f.kind for f in found.faults] == ["mutated"]
    assert [e.title for e in found.explanations] == ["Magnitude(sparsity=0.7)"]
    lines = str(found).splitlines()
    assert lines[0].endswith("what it gives besides is that of Magnitude(sparsity=0.7)")
    assert lines.index("Faults") < lines.index("Why")
    assert json.loads(found.to_json())["outcome"] == MISBEHAVES


@pytest.mark.slow
def test_another_rule_is_named_if_the_claim_with_other_numbers_is_not_it() -> None:
    found = refgrad.identify(ClippedSTE(), ApproxSign())
    assert found.best is not None
    assert (found.best.title, found.best.kind) == ("ClippedSTE", "rule")
    assert found.claim == "ApproxSign()"


def test_a_kind_that_is_none() -> None:
    with pytest.raises(ArgumentError, match="'estimator'"):
        refgrad.identify(ArcTan(), "estimators")


@pytest.mark.slow
def test_a_quantizer_that_ruins_its_input_misbehaves_among_rules_that_take_other_things_besides() -> None:
    def zeros(x: Any) -> Any:
        x[...] = 0
        return np.zeros(x.shape, np.int8)

    found = refgrad.identify(zeros, "quantizer")
    assert found.outcome == MISBEHAVES
    assert found.faults[0].kind == "mutated"
