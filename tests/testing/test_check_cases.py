"""Laws of rules without state: every rule obeys what it says that it obeys, and what breaks one is told which."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.estimators import ArcTan, ClippedSTE, StochasticBinarization
from refgrad.estimators.base import Estimator
from refgrad.kinds.laws.estimator import LAWS as CASE_LAWS
from refgrad.optimizers import BatchScaledRate
from refgrad.quantizers import NF4, Affine, Quantizer
from refgrad.rule import Rule, rules
from refgrad.sparsity import Magnitude, NOfM
from refgrad.sparsity.base import Mask
from refgrad.testing import BrokenLawError, check_cases, check_laws, known_laws, raise_if_broken
from tests.depth import at_depth
from tests.oracle import quantizer_programs as programs

#: they take seconds an array
SLOW = {"GPTQ", "OptimalCodebook", "AWQ", "HQQ", "Q3_K", "Q6_K", "Q2_K", "Q4_K", "Q5_K", "KMeans", "ProductQuantizer"}
EXAMPLES = at_depth(quick=2, suite=2, thorough=20)
ALL = [cls() for kind in (Estimator, Quantizer, Mask) for name, cls in rules(kind).items() if name not in SLOW]

#: laws that hold of a rule, or of any ("*"), within rounding alone on numbers that depth thorough alone draws, and why
WITHIN_ROUNDING = at_depth(
    quick={},
    suite={},
    thorough={
        ("*", "linear in the cotangent"): "a subnormal product is rounded at another place than four times as much",
        ("DSQ", "idempotent"): "between bounds such as -500 and 0.3 a value is rounded off the grid that it lies on",
        ("EWGS", "along the cotangent"): "the discretization error of numbers near the largest overflows",
    },
)


@pytest.mark.sample(quick=5, suite=20)
@pytest.mark.filterwarnings("ignore::hypothesis.errors.HypothesisWarning")
@pytest.mark.parametrize("rule", ALL, ids=lambda rule: type(rule).__name__)
def test_a_rule_obeys_its_laws_to_the_bit(rule: Rule) -> None:
    reports = check_laws(rule, rule, examples=EXAMPLES)
    known = [r for r in reports if {(type(rule).__name__, r.law), ("*", r.law)} & set(WITHIN_ROUNDING)]
    assert all(r.outcome != "broken" for r in known), "\n".join(map(str, reports))
    others = {r.outcome for r in reports if r not in known}
    assert others <= {"holds", "does not apply"}, "\n".join(map(str, reports))


def test_elements_are_compared_under_one_draw() -> None:
    """A row of draws that differ makes a stochastic value fall where x grows, and that is no fault."""
    law = next(law for law in CASE_LAWS if law.name == "monotone")
    rule = StochasticBinarization()
    x = np.array([[-0.1, 0.1]], np.float32)
    arrays = {"x": x, "cotangent": np.ones_like(x), "u": np.array([[0.3, 0.75]], np.float32)}
    assert rule.both(arrays["cotangent"], x, u=arrays["u"])["y"].tolist() == [[1.0, -1.0]]
    (claim,) = law.claims(lambda given: rule.both(given["cotangent"], given["x"], u=given["u"]), rule, arrays)
    assert not claim.broken()


def test_most_rules_say_what_they_obey() -> None:
    """A rule says which laws it does not obey, and why; of one that says nothing only the universal ones are asked."""
    said = [rule for rule in ALL if rule.exempt_laws is not None]
    assert len(said) > len(ALL) / 2
    for rule in said:
        assert all(name in known_laws(rule) and reason for name, reason in rule.exempt().items()), rule


def sign(x: Any) -> Any:
    return np.where(x >= 0, 1, -1).astype(x.dtype)


def gradients(**wrong: bool) -> Any:
    """A clipped straight-through estimator, with one thing wrong."""

    def backward(cotangent: Any, x: Any) -> Any:
        inside = x <= 1 if wrong.get("one_sided") else np.abs(x) <= 1
        factor = np.sign(cotangent) if wrong.get("nonlinear") else cotangent
        return (factor * (inside + wrong.get("leaks", False) * 0.5)).astype(x.dtype)

    return sign, backward


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("wrong", "law"),
    [("one_sided", "even surrogate"), ("nonlinear", "linear in the cotangent"), ("leaks", "saturation"), ("", None)],
)
def test_an_estimator_that_breaks_a_law(wrong: str, law: str | None) -> None:
    reports = check_laws(gradients(**{wrong: True}), ClippedSTE(), laws=law and [law], examples=20)
    assert (law in [r.law for r in reports if r.broken]) == (law is not None), "\n".join(map(str, reports))
    if law is None:
        assert not any(r.broken for r in reports)
        return
    found = next(r for r in reports if r.law == law)
    assert found.counterexample is not None
    assert set(found.counterexample) == {"x", "cotangent"}
    with pytest.raises(BrokenLawError, match=law):
        raise_if_broken(reports)


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("options", "law"), [({"middle": 0.7}, "half a step"), ({"shift": 1}, "idempotent"), ({}, None)]
)
def test_a_quantizer_that_breaks_a_law(options: dict[str, Any], law: str | None) -> None:
    reports = check_laws((programs.nf4, programs.nf4_back), NF4(), laws=law and [law], options=options, examples=10)
    broken = [r.law for r in reports if r.broken]
    assert (law in broken) if law else not broken, "\n".join(map(str, reports))


def test_a_quantizer_with_floor_for_rounding() -> None:
    (report,) = check_laws(
        (programs.affine, programs.affine_back), Affine(), laws=["half a step"], options={"floor": True}
    )
    assert report.broken
    assert "nearer" in report.message


def pruned(w: Any, sparsity: float = 0.5, *, more: int = 0, signed: bool = False) -> Any:
    order = np.argsort((w if signed else np.abs(w)).ravel(), kind="stable")
    mask = np.ones(w.size, bool)
    mask[order[: round(w.size * sparsity) + more]] = False
    return mask.reshape(w.shape)


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("options", "law"), [({"more": -1}, "count"), ({"more": 1}, "count"), ({"signed": True}, "sign"), ({}, None)]
)
def test_a_mask_that_breaks_a_law(options: dict[str, Any], law: str | None) -> None:
    reports = check_laws(pruned, Magnitude(), options=options, examples=10)
    broken = [r.law for r in reports if r.broken]
    assert (law in broken) if law else not broken, "\n".join(map(str, reports))


@pytest.mark.parametrize("sparsity", [0.5, 0.3, 0.77])
@pytest.mark.parametrize("rounded", [math.floor, math.ceil], ids=["down", "up"])
def test_a_count_that_is_rounded_otherwise_breaks_a_law(rounded: Callable[[float], int], sparsity: float) -> None:
    def otherwise(w: Any, sparsity: float) -> Any:
        mask = np.ones(w.size, bool)
        mask[np.argsort(np.abs(w).ravel(), kind="stable")[: rounded(w.size * sparsity)]] = False
        return mask.reshape(w.shape)

    (report,) = check_laws(otherwise, Magnitude(sparsity=sparsity), laws=["count"], examples=3)
    assert report.broken


def test_groups_of_m_keep_n() -> None:
    (report,) = check_laws(lambda w: pruned(w), NOfM(), laws=["n of m"], examples=5)
    assert report.broken
    assert "a group of 4 keeps" in report.message


def test_arguments() -> None:
    with pytest.raises(ArgumentError, match="did you mean 'odd'"):
        check_laws(ArcTan(), ArcTan(), laws=["od"])
    assert "linear in the cotangent" in known_laws(ArcTan())


def test_a_law_of_numbers_is_broken_and_no_error() -> None:
    """A scaling is handed numbers, which are no arrays."""
    reports = {r.law: r for r in check_laws(lambda size, lr, batch: lr * batch / size, BatchScaledRate(), examples=2)}
    assert reports["grows"].broken
    assert "falls" in reports["grows"].message


def test_a_law_of_what_is_not_shown_does_not_hold() -> None:
    """Codes alone say nothing of the numbers that they stand for."""

    def codes(x: Any) -> dict[str, Any]:
        return {"codes": Affine().quantize(x).arrays["codes"]}

    reports = check_laws(codes, Affine(), examples=3)
    unreached = {r.law for r in reports if r.message == check_cases.UNREACHED}
    assert unreached
    assert all(r.outcome == "does not apply" for r in reports if r.law in unreached)
    assert not unreached & {r.law for r in check_laws(Affine(), Affine(), examples=3) if r.message}
