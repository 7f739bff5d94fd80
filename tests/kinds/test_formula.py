"""Formulas and their gradients are a variant of the kind of transforms; what they alone have is asked of no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.examples import formulas as gallery
from refgrad.kinds import formula, opaque, transform
from refgrad.kinds.record import Driven
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD, WinsorizedMean
from refgrad.oracle.inputs.extremes import MAGNITUDES
from refgrad.testing import check_laws
from refgrad.testing.reports import BROKEN

KINDS = {
    "formula": (gallery.rmsnorm(), formula.KIND),
    "gradient": (gallery.rmsnorm().backward, formula.KIND),
    "opaque": (refgrad.opaque(abs, x="n")(), opaque.KIND),
    "transform": (WinsorizedMean(), transform.KIND),
}


@pytest.mark.parametrize("name", KINDS)
def test_the_variant_says_which_kind(name: str) -> None:
    rule, kind = KINDS[name]
    assert kind_of(rule) is kind
    assert kind.name == "transform"


def test_departures_of_a_formula_are_of_its_text_its_derivative_its_results_and_its_arrays() -> None:
    words = {words for words, _, _ in formula.KIND.rewritten(gallery.swiglu().backward)}
    assert {"grad_x is halved", "x and gate are exchanged", "grad_x and grad_gate are exchanged"} & words
    keywords = {next(iter(how)) for _, _, how in formula.KIND.rewritten(gallery.swiglu())}
    assert keywords == {formula.EXCHANGED, formula.SCALED, transform.REPLACED}
    assert {next(iter(how)) for _, _, how in transform.KIND.rewritten(WinsorizedMean())} == {transform.REPLACED}


def test_nan_is_driven_in_the_arrays_of_the_formula_alone() -> None:
    rule = gallery.rmsnorm().backward
    assert [n for n in rule.shapes if formula.KIND.is_driven(rule, n)] == ["x", "weight"]


@refgrad.formula(x="batch feature")
def softplus(x: Any) -> Any:
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0.0)


def linear_from(bound: float) -> Any:
    def softplus(x: Any) -> Any:
        return np.where(x > bound, x, np.log1p(np.exp(np.minimum(x, x.dtype.type(bound)))))

    return softplus


@pytest.mark.parametrize(("bound", "right"), [(20.0, True), (12.0, False), (10.0, False)])
def test_branches_between_ordinary_and_large_numbers_are_driven(bound: float, right: bool) -> None:
    verdict = refgrad.verify(linear_from(bound), softplus(), explain=False, shrink=False)
    assert (verdict.conforms, verdict.situation) == (right, "" if right else MAGNITUDES)


def first_three(x: Any) -> Any:
    return np.sum(x * np.where(np.arange(x.shape[-1]) < 3, 1.0, 0.0), axis=-1)


def sliced(x: Any) -> Any:
    return np.sum(x[:, :3], axis=-1)


def test_a_program_that_leaves_out_what_is_hidden_is_told_of_forms() -> None:
    rule = refgrad.formula(x="batch feature")(first_three)
    verdict = refgrad.verify(sliced, rule(), explain=False, shrink=False)
    assert verdict.situation == "NaN"
    assert formula.LEAVES_OUT in verdict.notes
    rule.form("sliced")(sliced)
    assert refgrad.verify(sliced, rule(), explain=False, shrink=False).conforms


def test_a_wrong_program_of_ordinary_numbers_is_not_told_of_forms() -> None:
    rule = refgrad.formula(x="batch feature")(first_three)
    verdict = refgrad.verify(lambda x: sliced(x) * x.dtype.type(1.5), rule(), explain=False, shrink=False)
    assert not verdict.conforms
    assert formula.LEAVES_OUT not in verdict.notes


@refgrad.formula(x="batch feature")
def of_threes(x: Any) -> Any:
    return np.sum(x[:, :, None, None] * x[:, None, :, None] * x[:, None, None, :], axis=(1, 2, 3))


def test_an_axis_that_is_long_in_no_case_is_told() -> None:
    shapes = {each.name: each for each in formula.KIND.situations(of_threes(), driven())}["shapes"]
    assert "feature longer than" in shapes.left_out
    assert not next(
        each for each in formula.KIND.situations(gallery.rmsnorm(), driven()) if each.name == "shapes"
    ).left_out


@refgrad.formula(q="token depth", k="token depth", v="token value")
def of_itself(q: Any, k: Any, v: Any) -> Any:
    return refgrad.softmax(q @ k.T) @ v


@refgrad.formula(x="row feature")
def products(x: Any) -> Any:
    return x @ x.T


@refgrad.formula(x="token head depth", c="token pair", s="token pair", lengths={"depth": 10, "pair": 3})
def turned(x: Any, c: Any, s: Any) -> Any:
    n = c.shape[-1]
    a, b = x[..., :n], x[..., n : 2 * n]
    c, s = c[:, None, :], s[:, None, :]
    return np.concatenate([a * c - b * s, a * s + b * c, x[..., 2 * n :]], axis=-1)


@refgrad.formula(table="word feature", tokens="token below:word")
def looked_up(table: Any, tokens: Any) -> Any:
    return table[tokens]


@pytest.mark.parametrize(("rule", "array"), [(of_itself, "q"), (products, "x"), (turned, "x"), (looked_up, "tokens")])
def test_every_axis_is_long_if_what_is_computed_allows_it(rule: Any, array: str) -> None:
    """One that meets itself, one beside an axis that is at least twice another, and one of a body that only moves numbers."""
    verdict = refgrad.verify(rule(), rule(), explain=False, shrink=False)
    assert verdict.conforms
    shapes = next(each for each in formula.KIND.situations(rule(), driven()) if each.name == "shapes")
    assert f"{rule().shapes[array].split()[0]} longer" not in shapes.left_out
    assert max(len(arrays[array]) for arrays in shapes.cases.arrays) >= 1031

    def off_from_300_on(*arrays: Any) -> Any:
        found = rule()(*arrays).copy()
        found[300:] *= 2
        return found

    assert not refgrad.verify(off_from_300_on, rule(), explain=False, shrink=False).conforms


@refgrad.formula(x="batch time", keep="batch time")
def carried(x: Any, keep: Any) -> Any:
    found = [x[:, 0]]
    for t in range(1, x.shape[1]):
        found.append(keep[:, t] * found[-1] + x[:, t])
    return np.stack(found, axis=-1)


def forgetting(x: Any, keep: Any, at: int) -> Any:
    found = [x[:, 0]]
    with np.errstate(all="ignore"):
        for t in range(1, x.shape[1]):
            found.append(keep[:, t] * found[-1] * x.dtype.type(bool(t % at)) + x[:, t])
    return np.stack(found, axis=-1)


def test_a_long_loop_is_decided_to_its_end_and_what_is_not_is_told() -> None:
    verdict = refgrad.verify(carried(), carried(), explain=False, shrink=False)
    assert verdict.conforms
    assert any("time = 4096 (81%) (so much of a result was not decided there)" in e for e in verdict.unexercised)
    text = str(verdict)
    assert text.index("Not exercised") < text.index("time = 4096 (81%)") < text.index("Elements")
    wrong = refgrad.verify(lambda x, keep: forgetting(x, keep, 1024), carried(), explain=False, shrink=False)
    assert (wrong.outcome, wrong.situation) == ("does not conform", "shapes")


@refgrad.formula(a="row depth", b="column depth")
def of_codes(a: Any, b: Any) -> Any:
    return np.rint(64.0 * a) @ np.rint(64.0 * b).T


@pytest.mark.parametrize(("most", "right"), [(2.0**20, False), (np.inf, True)])
def test_sums_are_driven_as_far_as_their_length_lets_them(most: float, right: bool) -> None:
    def saturating(a: Any, b: Any) -> Any:
        found = np.rint(64 * a.astype(np.float64)) @ np.rint(64 * b.astype(np.float64)).T
        return np.clip(found, -most, most).astype(a.dtype)

    verdict = refgrad.verify(saturating, of_codes(), explain=False, shrink=False)
    assert verdict.conforms == right


def test_nothing_is_driven_of_which_the_formula_has_no_result() -> None:
    for each in formula.KIND.situations(turned(), driven()):
        assert all(np.size(turned()(*arrays.values())) for arrays in each.cases.arrays)


def driven() -> Driven:
    return Driven(None, frozenset(), np.dtype(np.float32), 0)


@pytest.mark.parametrize("wrt", [False, True])
def test_a_body_that_rounds_is_told_of_places(wrt: bool) -> None:
    @refgrad.formula(x="batch feature", wrt="x")
    def rounded(x: Any) -> Any:
        return x.astype(np.float16) * 2.0

    rule = rounded().backward if wrt else rounded()
    with pytest.raises(refgrad.ArgumentError, match=r"rounded to float16; write refgrad.stored\(x, 'a name'\)"):
        refgrad.verify(lambda x, *more: 2 * x, rule, explain=False, shrink=False)


def of_another_eps(x: Any, weight: Any) -> Any:
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + x.dtype.type(1e-5)) * weight


def without_the_mean(x: Any, weight: Any) -> Any:
    return x / np.sqrt(np.sum(x * x, axis=-1, keepdims=True) + x.dtype.type(1e-6)) * weight


@pytest.mark.slow
@pytest.mark.parametrize(("candidate", "named"), [(of_another_eps, "eps"), (without_the_mean, "sum stands for mean")])
def test_identify_names_mutants_and_recovers_numbers(candidate: Any, named: str) -> None:
    found = refgrad.identify(candidate, gallery.rmsnorm())
    assert found.best is not None
    assert named in str(found)


def test_laws_hold_of_a_formula_and_of_its_gradient() -> None:
    for rule in (gallery.rmsnorm(), gallery.rmsnorm().backward):
        reports = check_laws(rule, rule, examples=5)
        assert reports
        assert not [report for report in reports if report.outcome == BROKEN]


@refgrad.formula(a="row depth", b="depth column")
def product(a: Any, b: Any) -> Any:
    return a @ b


def kept_wide(a: Any, b: Any) -> Any:
    return a.astype(np.float32) @ b.astype(np.float32)


def kept_narrow(a: Any, b: Any) -> Any:
    return kept_wide(a, b).astype(a.dtype)


def off_by_more_than_float32(a: Any, b: Any) -> Any:
    return kept_narrow(a, b).astype(np.float32)


@pytest.mark.parametrize(
    ("kernel", "result", "right"),
    [
        (kept_wide, "float32", True),
        (kept_narrow, "float32", False),
        (off_by_more_than_float32, "float32", False),
        (kept_wide, None, False),
        (kept_narrow, None, True),
    ],
    ids=["wide", "narrow where wide is wanted", "rounded first", "wide where nothing is said", "narrow"],
)
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_results_may_be_wider_than_arrays_where_that_is_said(
    kernel: Any, result: str | None, right: bool, dtype: str
) -> None:
    verdict = refgrad.verify(kernel, product(), dtype=dtype, result=result, explain=False, shrink=False)
    assert verdict.conforms == right, str(verdict)
    by_policy = {} if result is None else {"result": result}
    again = refgrad.verify(kernel, product(), dtype=dtype, policy=by_policy, explain=False, shrink=False)
    assert again.outcome == verdict.outcome


def test_the_fault_of_a_wide_result_says_what_lets_it() -> None:
    verdict = refgrad.verify(kept_wide, product(), dtype="bfloat16", explain=False)
    assert [fault.kind for fault in verdict.faults] == ["dtype"]
    assert "or float32 by the policy result='float32'" in verdict.faults[0].message


def test_the_dtype_of_results_is_of_formulas_alone() -> None:
    with pytest.raises(refgrad.ArgumentError, match=r"Policy.result for SGD.* is 'float32'; legal: own"):
        refgrad.verify(SGD(), SGD(), result="float32")
    with pytest.raises(refgrad.ArgumentError, match=r"Policy.result is 'int8'; legal"):
        refgrad.verify(kept_wide, product(), result="int8")


def test_a_set_in_a_wider_dtype_is_narrower() -> None:
    arrays = {"a": np.ones((1, 3), "float16") / 3, "b": np.ones((3, 1), "float16") / 7}
    narrow, wide = (refgrad.sets(product(), arrays, policy={"result": each})["result"] for each in ("own", "float32"))
    assert all(each.contains(each.reference).all() for each in (wide, narrow))
    assert not wide.contains(narrow.reference.astype(np.float32)).any()
