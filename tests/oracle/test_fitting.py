"""What is told of what fits: one name for one function, the simplest first, and nothing that sets take in besides."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import Inputs
from refgrad.estimators import ClippedSTE
from refgrad.optimizers import LBFGS, SGD, AdamW, GaLore
from refgrad.oracle.hypotheses.search import Search
from refgrad.quantizers import Affine, EightBit
from refgrad.rule import Rule
from refgrad.sparsity import Magnitude
from tests.depth import at_depth

#: the module, whose name in its package is the function's
identify = importlib.import_module("refgrad.oracle.identify")


def titles(found: Any) -> list[str]:
    return [e.title for e in found.explanations]


@pytest.mark.thorough
@pytest.mark.slow
def test_what_a_simpler_rules_sets_take_in_is_no_other_explanation() -> None:
    """Another order of ties is acceptable of a mask, and codes beside a tie are of a quantizer."""
    for rule in (Magnitude(), Affine(), EightBit()):
        assert titles(refgrad.identify(rule, rule, steps=2)) == [str(rule).removesuffix("()")]


@pytest.mark.slow
def test_what_other_inputs_would_tell_apart_is_another_explanation() -> None:
    cases = refgrad.Cases.of(w=[[4.0, 3.0, 2.0, 1.0]])
    found = titles(refgrad.identify(Magnitude(), Magnitude(), inputs=cases))
    assert found[0] == "Magnitude"


@pytest.mark.thorough
@pytest.mark.slow
@pytest.mark.parametrize("rule", [GaLore(), pytest.param(LBFGS(), marks=pytest.mark.thorough)], ids=str)
def test_a_rule_that_is_searched_on_small_tensors_is_itself(rule: Rule) -> None:
    """Of small tensors its singular vectors cannot be judged; and what sees all leaves as one is searched no further."""
    found = refgrad.identify(rule, rule, steps=at_depth(quick=4, suite=4, thorough=10))
    assert titles(found) == [str(rule).removesuffix("()")]
    assert found.outcome == "identified"
    assert found.explanations[0].kind == "none"


@pytest.mark.slow
@pytest.mark.parametrize("rule", [AdamW(), LBFGS(), ClippedSTE(), Affine(), Magnitude()], ids=str)
def test_a_search_that_has_no_time_tells_the_claim(rule: Rule, monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock makes no other answer: the claim is judged whatever the time, and comes first where it fits."""
    monkeypatch.setattr(identify, "SECONDS", 0.0)
    found = refgrad.identify(rule, rule, steps=2)
    assert titles(found) == [str(rule).removesuffix("()")]
    assert (found.outcome, found.explanations[0].kind, found.explanations[0].sure) == ("identified", "none", "fact")


@pytest.mark.slow
def test_what_a_search_found_that_was_cut_short_is_no_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is simpler, and was not tried, may fit as well."""
    monkeypatch.setattr(Search, "stopped", property(lambda self: True, lambda self, value: None))
    found = refgrad.identify(AdamW(eps_placement="inside"), AdamW(), steps=3)
    assert found.outcome == "ambiguous"
    assert all(e.sure == "may be" and "not everything was tried" in e.doubt for e in found.explanations)


@pytest.mark.slow
def test_one_function_has_one_entry() -> None:
    found = refgrad.identify(AdamW(), AdamW(), steps=4)
    assert titles(found) == ["AdamW"]
    assert "AdamW(decay='corrected')" in found.explanations[0].aliases


@pytest.mark.slow
def test_one_interval_of_a_value_is_one_explanation() -> None:
    ones = np.ones(64, np.float32)
    found = refgrad.identify(AdamW(lr=2e-3), AdamW(), inputs=Inputs([ones * 0], [[ones], [ones]]))
    assert len({e.rule.partition("(")[0] for e in found.explanations}) == 1
    assert found.best is not None
    # with gradients of one, eps is far below the root: any eps that is small enough will do
    assert found.best.rule.startswith("AdamW(lr=0.002")


@pytest.mark.slow
def test_the_nearest_are_told_with_the_counts_of_the_whole_run() -> None:
    def bent(p: Any, g: Any, lr: float) -> Any:
        return p - p.dtype.type(lr) * np.tanh(g)

    found = refgrad.identify(bent, SGD(lr=0.1), steps=2)
    assert found.explanations == ()
    assert 0 < len(found.nearest) <= 3
    assert found.itself is not None
    assert {e.total for e in found.nearest} == {found.itself.total}
    assert [e.outside for e in found.nearest] == sorted(e.outside for e in found.nearest)


@pytest.mark.slow
def test_a_rewrite_has_the_line_that_it_changed() -> None:
    def doubled(g: Any, x: Any) -> Any:
        return 2 * g * (np.abs(x) <= 1)

    found = refgrad.identify((lambda x: np.where(x >= 0, 1, -1).astype(x.dtype), doubled), ClippedSTE())
    assert titles(found) == ["ClippedSTE with twice x_grad"]
    assert found.explanations[0].formula == ("x_grad = 2 (cotangent if abs(x) <= clip else 0)",)
