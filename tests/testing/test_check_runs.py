"""Laws: every rule obeys them, a candidate that breaks one is told which, on the smallest inputs found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.kinds.laws.optimizer import BY_NAME
from refgrad.optimizers import AdamW, Lion, Rprop
from refgrad.optimizers.base import Optimizer
from refgrad.rule import rules
from refgrad.testing import LAWS, BrokenLawError, check_laws, raise_if_broken
from tests.depth import at_depth

EXAMPLES = at_depth(quick=2, suite=3, thorough=30)


@pytest.mark.sample(quick=3, suite=6)
@pytest.mark.parametrize("rule", [cls() for cls in rules(Optimizer).values()], ids=str)
def test_a_rule_obeys_its_laws_to_the_bit(rule: Optimizer) -> None:
    reports = check_laws(rule, rule, examples=EXAMPLES)
    # what a rule is in the limit, and a product of many terms, may be rounded otherwise
    rounded = [r.law for r in reports if r.outcome == "holds within rounding"]
    assert all(law.startswith("limit: ") or law == "orthogonal" for law in rounded), "\n".join(map(str, reports))
    assert not any(r.broken for r in reports), "\n".join(map(str, reports))


@pytest.mark.parametrize("rule", [cls() for cls in rules(Optimizer).values()], ids=str)
def test_exemptions_are_of_known_laws_and_have_reasons(rule: Optimizer) -> None:
    assert all(name in BY_NAME and reason for name, reason in rule.exempt().items())
    assert rule.scaling in ("", "linear", "invariant")


def broken(wrong: str) -> Any:
    """AdamW as a function, with one thing wrong."""

    def step(p: Any, g: Any, m: Any, v: Any, t: Any, lr: float, beta1: float, beta2: float, eps: float) -> Any:
        with np.errstate(all="ignore"):
            if wrong == "even":
                g = abs(g)
            if wrong == "leaks":
                g = g - g.mean()
            if wrong == "axis":
                g = g / g.shape[0]
            m = beta1 * m + (1 - beta1) * g
            v = beta2 * v + (1 - beta2) * g * g
            p = p - lr * (m / (1 - beta1**t) / (np.sqrt(v / (1 - beta2**t)) + eps) + 0.01 * p)
        return tuple(x.astype(np.float32) for x in (p, m, v))

    return step


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=2)
@pytest.mark.parametrize(("wrong", "law"), [("even", "odd"), ("leaks", "alone"), ("axis", "shape"), ("", None)])
def test_what_is_broken_is_named(wrong: str, law: str | None) -> None:
    laws, examples = ["odd", "permutation", "alone", "shape"], at_depth(quick=15, suite=50, thorough=50)
    reports = check_laws(broken(wrong), AdamW(), laws=laws, examples=examples)
    assert (law in [r.law for r in reports if r.broken]) == (law is not None), "\n".join(map(str, reports))
    if law is None:
        assert not any(r.broken for r in reports)
        return
    found = next(r for r in reports if r.law == law)
    assert found.counterexample is not None
    assert len(found.counterexample["p"]) <= 2
    with pytest.raises(BrokenLawError, match=law):
        raise_if_broken(reports)


class Momentum(Lion):
    """Lion that calls itself linear, which it is not."""

    scaling = "linear"


@pytest.mark.slow
def test_a_law_that_a_rule_claims_wrongly_is_broken() -> None:
    reports = {r.law: r for r in check_laws(Momentum, Momentum(), laws=["linearity", "odd"])}
    assert reports["linearity"].broken
    assert not reports["odd"].broken


def test_a_rule_is_exempt_from_the_laws_that_it_names_and_from_no_other() -> None:
    rule = Rprop()
    (exempt, reason), *others = rule.exempt().items()
    assert not others
    reports = {r.law: r for r in check_laws(rule, rule, laws=[exempt, "odd"], examples=2)}
    assert (reports[exempt].outcome, reports[exempt].message) == ("does not apply", reason)
    assert reports["odd"].outcome == "holds"


@pytest.mark.slow
def test_torch_adamw_obeys() -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    reports = check_laws(torch.optim.AdamW, AdamW(), examples=10)
    assert not any(r.broken for r in reports), "\n".join(map(str, reports))


def test_arguments() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'odd'"):
        check_laws(AdamW, AdamW(), laws=["od"])
    with pytest.raises(ArgumentError, match="a rule such as"):
        check_laws(AdamW, "AdamW")
    assert len({law.name for law in LAWS}) == len(LAWS)


def test_a_function_that_cannot_be_told_a_behaviour_is_asked_all_other_laws() -> None:
    """``decay`` is a word, and none of ``weight_decay``."""

    def lion(p: Any, g: Any, m: Any, lr: float, beta1: float, beta2: float) -> Any:
        mixed = np.float32(beta1) * m + np.float32(1 - beta1) * g
        return p - np.float32(lr) * np.sign(mixed), np.float32(beta2) * m + np.float32(1 - beta2) * g

    reports = {r.law: r for r in check_laws(lion, Lion(decay="fixed"), examples=2)}
    assert (
        reports["no rate"].message == "it sets lr=0.0, which the candidate does not take: legal are arguments named lr"
    )
    assert [r.law for r in reports.values() if r.outcome == "holds"]
    assert not any(r.broken for r in reports.values())
    plain = {r.law: r.message for r in check_laws(lion, Lion(), examples=2)}
    assert not any("decay" in message for message in plain.values())
