"""NaN and infinities among inputs, and which outputs tell them; numbers that are large, zero, or lie by columns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.arithmetic.dtypes import as_dtype
from refgrad.estimators import EDE, ClippedSTE, RoundingSTE, SoftSign, XNORWeights
from refgrad.estimators.base import Estimator
from refgrad.gradients import InvariantRisk, OpacityReset
from refgrad.kinds.kind import FAR
from refgrad.kinds.record import Driven
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD, SOAP, AdAdaGrad, AdamW, ClipByNorm, GhostBatchNorm, Lion, Rprop, Shampoo, ZLoss
from refgrad.optimizers.base import Optimizer
from refgrad.optimizers.transform import Transform
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, Judged, met
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.extremes import by_columns, extremes, large
from refgrad.oracle.inputs.undefined import (
    FEW,
    MOST,
    infinite_gradients,
    nan_gradients,
    not_finite,
    of_every_nan,
    undefined_inputs,
)
from refgrad.quantizers import MX, NF4, NVFP4, Q8_0, Affine, Blockwise, Cast, TernGrad, TopK
from refgrad.rule import rules
from refgrad.sparsity import RigL
from refgrad.strength.situations import value_faults
from refgrad.strength.situations.planting import program

Array = np.ndarray


def detached(x: Array) -> Array:
    """Fake quantization, rounded in the usual way past which a gradient goes."""
    v = x / x.dtype.type(0.0625)
    return np.clip(v + (np.rint(v) - v), -128, 127).astype(x.dtype) * x.dtype.type(0.0625)


def not_saturated(cotangent: Array, x: Array) -> Array:
    q = np.rint(x / x.dtype.type(0.0625))
    return np.where((q >= -128) & (q <= 127), cotangent, cotangent.dtype.type(0))


def averaged(p: Array, g: Array, m: Array) -> tuple[Array, Array]:
    """Lion whose average goes from its end to its beginning, as `torch.lerp` does where the weight is above a half."""
    f = p.dtype.type
    return p - f(1e-4) * np.sign(f(0.9) * m + f(1 - 0.9) * g), g - f(0.3) * (g - m)


#: programs that make NaN of an infinity of which their rule makes none
MEETING: dict[str, Any] = {
    "rounded straight through": (RoundingSTE(), (detached, not_saturated)),
    "averaged backwards": (Lion(beta2=0.3), averaged),
}


@pytest.mark.parametrize(
    ("rule", "outputs"),
    [(SGD(lr=0.1), {"p"}), (Lion(), {"m", "p"}), (Rprop(), {"p", "g_prev", "step_size"}), (Shampoo(), set())],
)
def test_which_outputs_are_driven(rule: Optimizer, outputs: set[str]) -> None:
    """All but those of operations on matrices: what is decided on NaN may go every way."""
    found = nan_gradients(rule, np.dtype("f4"), 0)
    assert (set() if found is None else set(found.outputs)) == outputs
    if found is not None:
        assert [sum(int(np.isnan(leaf["g"]).sum()) for leaf in step) for step in found.steps] == [1, 1]


def clipped(norm_is_large: Callable[[np.ndarray, np.ndarray], Any]) -> Callable[..., Array]:
    """SGD of a gradient that is clipped by its norm, which is asked about in a way of its own."""

    def step(p: Array, g: Array, max_norm: float) -> Array:
        norm = np.sqrt((g * g).sum())
        return np.asarray(
            p - np.float32(0.1) * (g * (np.float32(max_norm) / norm) if norm_is_large(norm, max_norm) else g)
        )

    return step


@pytest.mark.slow
@pytest.mark.sample(quick=1)
def test_gradients_without_numbers_are_made_for_every_rule_or_not_at_all() -> None:
    """Whatever a rule's scalars become of numbers that are chosen for them; what is kept of them may have no value there."""
    for rule in rules(Optimizer).values():
        for make in (nan_gradients, infinite_gradients):
            cases = make(rule(), np.dtype(np.float32), 0)
            assert cases is None or len(cases.steps) == 2


@pytest.mark.parametrize("large", [lambda n, m: n > m, lambda n, m: not n <= m], ids=["greater", "not less"])
def test_each_way_to_ask_about_nan_is_right(large: Callable[[Array, Array], Any]) -> None:
    rule = ClipByNorm(inner=SGD(lr=0.1))
    assert refgrad.verify(clipped(large), rule, steps=1).conforms
    lost = lambda p, g, max_norm: clipped(large)(p, np.nan_to_num(g), max_norm)  # noqa: E731
    verdict = refgrad.verify(lost, rule, steps=1, explain=False)
    assert (verdict.outcome, verdict.situation) == ("does not conform", "NaN")


@pytest.mark.parametrize(
    ("rule", "outputs"),
    [(Lion(), {"m", "p"}), (Rprop(), {"g_prev", "step_size"}), (SOAP(), {"m"}), (Shampoo(), set())],
)
def test_infinities_are_driven_past_decisions_but_not_through_matrices_nor_where_nan_is_decided_on(
    rule: Optimizer, outputs: set[str]
) -> None:
    found = infinite_gradients(rule, np.dtype("f4"), 0)
    assert (set() if found is None else set(found.outputs)) == outputs
    if found is not None:
        assert [sum(int(np.isinf(leaf["g"]).sum()) for leaf in step) for step in found.steps] == [0, 2]


@pytest.mark.sample(quick=1, suite=5)
@pytest.mark.parametrize(
    ("rule", "kind", "situation"),
    [
        *((rule, "infinity", "infinities") for rule in (SGD(lr=0.1), AdamW(), Lion(), Rprop())),
        (MX(), "NaN", "NaN"),
        (MX(format="int8"), "infinity", "infinities"),
        (NVFP4(), "infinity", "infinities"),
        (Blockwise(), "NaN", "NaN"),
        (NF4(), "infinity", "infinities"),
        (EDE(), "NaN", "NaN"),
        (Rprop(), "NaN", "NaN"),
        (ClipByNorm(), "NaN", "NaN"),
        (Affine(symmetric=True), "NaN", "NaN"),
        (TernGrad(), "NaN", "NaN"),
        (Cast(), "NaN", "NaN"),
        (RigL(), "NaN", "NaN"),
        (XNORWeights(), "infinity", "infinities"),
        (GhostBatchNorm(), "NaN", "NaN"),
        (AdAdaGrad(), "infinity", "infinities"),
        (OpacityReset(), "infinity", "infinities"),
        (InvariantRisk(), "infinity", "infinities"),
    ],
    ids=str,
)
def test_what_is_no_number_and_becomes_one_is_refused(rule: Any, kind: str, situation: str) -> None:
    """NaN that is turned into 0, which in an array is one that its largest magnitude ignores, and infinity into the largest."""
    primary = "g" if rule.kind == "optimizer" else rule.primary
    fault = next(each for each in value_faults.faults(primary, ("p",), rule.kind == "optimizer") if each.kind == kind)
    steps = {} if rule.kind == "quantizer" else {"steps": 1}
    verdict = refgrad.verify(program(rule, fault), rule, **steps, explain=False)
    assert (verdict.outcome, verdict.situation) == ("does not conform", situation)


@pytest.mark.parametrize("rule", [Q8_0(), TopK()], ids=str)
def test_of_scales_and_codes_that_programs_settle_in_several_ways_nothing_is_driven(rule: Any) -> None:
    asked = Driven(None, frozenset(), np.dtype("f4"), 0)
    assert not {"NaN", "infinities"} & {each.name for each in kind_of(rule).situations(rule, asked)}


def test_every_code_of_nan_is_one() -> None:
    """A format of eight bits has two, and the sign of NaN is nothing that a program keeps."""
    codes = lambda x: np.where(np.isnan(x), np.uint8(0xFF), Cast().quantize(x).arrays["codes"])  # noqa: E731
    assert refgrad.verify(codes, Cast()).conforms


def test_what_nan_is_decided_on_in_an_estimator_goes_every_way() -> None:
    cases = Cases.of(x=np.ones((3, 4)), cotangent=np.ones((3, 4)))
    for rule in (ClippedSTE(), SoftSign()):
        found = undefined_inputs(cases, rule.plan((2, 2)))["NaN"]
        assert np.isnan(found.arrays[0]["x"]).sum() == 1
        assert found.nan_open


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_large_numbers_have_finite_powers(dtype: str) -> None:
    found = large(np.asarray([1.0], dtype))
    assert found.dtype == dtype
    assert found[0] > 4
    assert np.isfinite(found**5).all()


def test_extremes_are_of_one_array_and_of_those_that_are_taken() -> None:
    cases = Cases.of(x=np.arange(12.0).reshape(3, 4) - 3, scale=2.0)
    found = extremes(cases, "x", lambda arrays: bool(arrays["x"].any()), lambda arrays: bool(arrays["x"].max() > 0))
    assert found is not None
    names = ["a row of zeros", "max = -min", "large", "small", "equal in each row", "all positive", "one alone"]
    assert found.names == [*names, *(f"{name}, few elements" for name in names)]
    symmetric = found.arrays[1]["x"]
    assert (symmetric.max(axis=1) == -symmetric.min(axis=1)).all()
    assert found.arrays[0]["scale"] == 2.0
    assert extremes(Cases.of(x=[1.0]), "x", lambda arrays: True, lambda arrays: True) is None


def test_a_second_array_of_extremes_has_few_elements() -> None:
    cases = Cases([{"x": np.ones((32, 32))}, {"x": np.ones((3, 4))}, {"x": np.ones((5, 5))}], ["", "", ""])
    found = extremes(cases, "x", lambda arrays: True, lambda arrays: True)
    assert found is not None
    assert {a["x"].shape for a in found.arrays} == {(32, 32), (3, 4)}
    assert all(
        (a["x"].shape == (3, 4)) == name.endswith("few elements")
        for name, a in zip(found.names, found.arrays, strict=True)
    )


@pytest.mark.parametrize(("most", "ends"), [(MOST, {np.inf}), (FEW, {np.inf, -np.inf})])
def test_infinities_are_driven_in_arrays_of_many_and_of_few_elements_and_of_both_signs_in_few(
    most: int, ends: set[float]
) -> None:
    asked = Driven(None, frozenset(), np.dtype("f4"), 0)
    found = [e.cases.arrays[0]["opacity"] for e in kind_of(OpacityReset()).situations(OpacityReset(), asked)]
    infinite = [a for a in found if np.isinf(a).any() and (a.size <= FEW) == (most == FEW)]
    assert {a[np.isinf(a)].min() for a in infinite} == ends
    assert len({(a.shape, a.tobytes()) for a in infinite}) == len(infinite)


def test_where_no_array_has_few_elements_one_of_more_is_driven() -> None:
    """An axis may be a multiple of 1024 alone."""
    cases = Cases.of(x=np.arange(200.0).reshape(2, 100))
    found = not_finite(cases, "x", lambda arrays: True, values={"infinities": -np.inf}, most=FEW)
    assert np.isneginf(found["infinities"].arrays[0]["x"]).sum() == 1


def test_arrays_that_are_not_contiguous_hold_the_same_numbers() -> None:
    cases = Cases.of(x=np.arange(12.0).reshape(3, 4))
    x = by_columns(cases).arrays[0]["x"]
    assert not x.flags.c_contiguous
    assert (x == cases.arrays[0]["x"]).all()


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(("rule", "program"), MEETING.values(), ids=MEETING)
def test_whether_infinities_meet_on_the_way_is_a_matter_of_how_a_program_is_written(rule: Any, program: Any) -> None:
    """An infinity less itself, or times a mask's zero, is NaN; other forms of the same number make none."""
    with np.errstate(all="ignore"):
        verdict = refgrad.verify(program, rule, steps=3, explain=False, shrink=False)
    assert verdict.conforms, str(verdict)


def test_nan_is_admitted_for_what_an_infinity_may_become_and_no_number_is_for_nan() -> None:
    truth = np.array([1.0, np.inf, np.nan, np.nan, 1.0])
    judged = Judged(np.full(5, OUTSIDE, np.uint8), truth, truth, truth)
    found = met(judged, np.array([np.nan, np.nan, -np.inf, 3.0, np.inf])).status
    assert found.tolist() == [INSIDE, INSIDE, INSIDE, OUTSIDE, OUTSIDE]


def softmax(logits: Array) -> Array:
    e: Any = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)  # type: ignore[no-any-return]


def above_zero(logits: Array) -> Array:
    """What is taken out is zero of a row below zero."""
    e = np.exp(logits - np.maximum(np.max(logits, axis=-1, keepdims=True), 0))
    return np.asarray(e / np.sum(e, axis=-1, keepdims=True))


def z_loss(logits: Array, coefficient: float, least: float) -> tuple[Array, Array]:
    top = np.maximum(np.max(logits, axis=-1, keepdims=True), np.float32(least))
    e = np.exp(logits - top)
    total = np.sum(e, axis=-1, keepdims=True)
    z = np.log(total) + top
    rate = np.float32(2 * coefficient / len(logits))
    return np.float32(coefficient) * np.mean(z * z), np.asarray(rate * z * (e / total))


def divergence(first: Array, second: Array) -> Array:
    """Of logits, row by row."""
    return np.sum(softmax(first) * (first - second), axis=-1)  # type: ignore[no-any-return]


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("candidate", "rule", "situation"),
    [
        (softmax, refgrad.formula(logits="n d")(softmax)(), ""),
        (above_zero, refgrad.formula(logits="n d")(softmax)(), FAR),
        (lambda logits, coefficient: z_loss(logits, coefficient, -np.inf), ZLoss(), ""),
        (lambda logits, coefficient: z_loss(logits, coefficient, 0.0), ZLoss(), FAR),
        (divergence, refgrad.formula(first="n d", second="n d")(divergence)(), ""),
        (
            lambda first, second: divergence(first, np.nan_to_num(second)),
            refgrad.formula(first="n d", second="n d")(divergence)(),
            "NaN",
        ),
    ],
    ids=["softmax", "softmax above zero", "z-loss", "z-loss above zero", "two arrays", "NaN of the second"],
)
def test_rows_far_from_zero_and_nan_of_every_array(candidate: Any, rule: Any, situation: str) -> None:
    verdict = refgrad.verify(candidate, rule, explain=False, shrink=False)
    assert verdict.conforms == (not situation), str(verdict)
    assert verdict.situation.startswith(situation)


@pytest.mark.sample(suite=40)
@pytest.mark.parametrize("rule", [each() for each in (*rules(Transform).values(), *rules(Estimator).values())], ids=str)
def test_whole_rows_far_from_zero_are_driven_where_a_rule_is_finite(rule: Any) -> None:
    kind: Any = kind_of(rule)
    cases = kind.sizes(rule, np.dtype(np.float32), 0)
    far = None if cases is None else kind.far(rule, cases)
    for name, arrays in zip(far.names, far.arrays, strict=True) if far is not None else ():
        moved, how = name.split(" ", 1)
        assert np.all(np.abs(arrays[moved]) > 104), name
        below = arrays[moved] < 0
        assert below.any() == ("below" in how)
        assert (~below).any() == ("above" in how)


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "bfloat16"])
def test_an_array_has_nan_of_every_kind_of_bits(dtype: str) -> None:
    found = of_every_nan(np.ones(9, as_dtype(dtype)))
    assert np.isnan(found).tolist() == [True] * 8 + [False]
    assert len({each.tobytes() for each in found[:8]}) == 8
    assert int(np.signbit(found).sum()) == 4


@pytest.mark.parametrize("keeps", [True, False])
def test_nan_of_which_a_cast_makes_an_infinity_is_found(keeps: bool) -> None:
    """Rounding by adding to the bits carries a fraction of few digits away, and one of all ones into the sign."""

    def rounded(x: Any) -> Any:
        bits = x.astype(np.float32).view(np.uint32).astype(np.uint64)
        codes = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
        return {"codes": (np.where(np.isnan(x), (bits >> 16) | 0x40, codes) if keeps else codes).astype(np.uint16)}

    verdict = refgrad.verify(rounded, Cast(format="bfloat16"), explain=False)
    assert verdict.conforms == keeps, verdict
    assert verdict.situation == ("" if keeps else "NaN")
    assert verdict.counterexample is None  # a text has one NaN for all
