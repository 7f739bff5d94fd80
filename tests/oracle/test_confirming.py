"""What `identify` names `verify` calls so too: on cases of its own, in every situation, and of enough answers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.optimizers import SGD
from refgrad.oracle.explanation import IDENTIFIED, MISBEHAVES, UNJUDGED
from refgrad.rule import Choice, Flag, rules
from refgrad.sparsity import Magnitude
from tests.kinds.candidates import tailless

F = np.float32


def downwards(w: Any) -> Any:
    """NaN counts as the smallest, and the count is rounded down, which shapes show alone."""
    kept = w.size - int(w.size * 0.5)
    with np.errstate(all="ignore"):
        order = np.argsort(-np.abs(w).ravel(), kind="stable")
    mask = np.zeros(w.size, bool)
    mask[order[:kept]] = True
    return mask.reshape(w.shape)


@pytest.mark.slow
def test_a_variant_that_a_situation_shows_besides() -> None:
    found = refgrad.identify(downwards, Magnitude())
    assert found.outcome == IDENTIFIED, str(found)
    assert found.explanations[0].title == "Magnitude(nan_rank='smallest', rounding='floor')"
    assert refgrad.verify(downwards, Magnitude(nan_rank="smallest", rounding="floor")).conforms
    assert any("is wrong where it is driven through shapes" in note for note in found.notes)


@pytest.mark.slow
def test_what_is_right_on_ordinary_cases_alone() -> None:
    found = refgrad.identify(tailless, SGD(lr=0.1), steps=2)
    assert found.outcome == MISBEHAVES
    assert str(found).splitlines()[0].endswith("is SGD(lr=0.2) on ordinary cases alone")
    verdict = refgrad.verify(tailless, SGD(lr=0.1), steps=2, shrink=False)
    assert verdict.explanation is not None
    assert verdict.explanation.sure == "may be"
    assert verdict.explanation.doubt == "it is not so where it is driven through shapes"


def after(count: int) -> Any:
    """SGD that raises from a step on."""

    def step(p: Any, g: Any, lr: float, t: int) -> Any:
        if t > count:
            raise ValueError("no more")
        return p - F(lr) * g

    return step


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(("count", "named"), [(0, False), (1, False), (2, False), (5, True), (9, True)])
def test_few_answers_are_named_nothing(count: int, named: bool) -> None:
    found = refgrad.identify(after(count), SGD(lr=0.1), steps=10)
    assert found.outcome == MISBEHAVES
    assert [e.title for e in found.explanations] == (["SGD(lr=0.1)"] if named else [])
    assert any("too little to say what it is" in note for note in found.notes) != named


@pytest.mark.slow
def test_codes_that_are_none_of_a_rule_that_was_tried_are_no_fault_of_the_candidate() -> None:
    found = refgrad.identify(lambda x: np.round(x * 7).astype(F), "quantizer")
    assert found.outcome == UNJUDGED, str(found)
    assert found.explanations == ()
    assert found.nearest == ()


#: searched for long where nothing fits
LONG = {"StraightThroughGumbel", "ReinMax"}
VARIANTS = [
    pytest.param(name, field, value, marks=[pytest.mark.thorough] if name in LONG else [])
    for name, cls in rules().items()
    if cls.kind in ("mask", "estimator", "scaling")
    for field, legal in cls().legal().items()
    for value in (legal.sentences if isinstance(legal, Choice) else (True, False) if isinstance(legal, Flag) else ())
    if value != getattr(cls(), field)
]


@pytest.mark.sample(quick=2, suite=4)
@pytest.mark.slow
@pytest.mark.parametrize(("name", "field", "value"), VARIANTS, ids=lambda value: str(value))
def test_a_variant_is_named_by_both_or_by_neither(name: str, field: str, value: Any) -> None:
    """Whatever tells it, `identify` calls it what `verify` accepts, and where `verify` refuses the default, so does it."""
    rule = rules()[name]()
    try:
        variant = rule.replace(**{field: value})
    except refgrad.ArgumentError:
        pytest.skip("that needs another field besides")
    if (
        field == "granularity" and rule.kind == "estimator"
    ):  # its scales have another shape, so that no input is one for both
        with pytest.raises(refgrad.ArgumentError, match="shape"):
            refgrad.verify(variant, rule, steps=3, shrink=False, explain=False)
        return
    verdict = refgrad.verify(variant, rule, steps=3, shrink=False, explain=False)
    found = refgrad.identify(variant, rule, steps=3)
    titles = [e.title for e in found.explanations]
    default = str(rule).removesuffix("()")
    if verdict.conforms:
        assert found.outcome in ("identified", "ambiguous"), str(found)
    else:  # it may be the default on ordinary cases, if that is said and no more
        alone = found.outcome == MISBEHAVES and str(found).splitlines()[0].endswith("on ordinary cases alone")
        assert alone or default not in titles[:1], str(found)
