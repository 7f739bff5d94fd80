"""NaN among inputs, and which outputs tell it; numbers that are large, zero, or lie by columns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.estimators import EDE, ClippedSTE, SoftSign
from refgrad.kinds.kind import Asked
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD, SOAP, AdAdaGrad, AdamW, GhostBatchNorm, Lion, Perceptron, Rprop, Shampoo
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.extremes import by_columns, extremes, large
from refgrad.oracle.inputs.undefined import infinite_gradients, nan_gradients, nan_inputs
from refgrad.quantizers import MX, NF4, Q8_0, Blockwise, Cast
from refgrad.strength.situations import value_faults
from refgrad.strength.situations.planting import program


@pytest.mark.parametrize(
    ("rule", "outputs"),
    [
        (SGD(lr=0.1), {"p"}),
        (AdamW(), {"p", "m", "v"}),
        (Lion(), {"m"}),  # whose step is a sign: that of NaN is 0 in torch
        (Rprop(), set()),
    ],
)
def test_which_outputs_are_driven(rule: Optimizer, outputs: set[str]) -> None:
    found = nan_gradients(rule, np.dtype("f4"), 0)
    assert (set() if found is None else set(found.outputs)) == outputs
    if found is not None:
        assert [sum(int(np.isnan(leaf["g"]).sum()) for leaf in step) for step in found.steps] == [1, 1]


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


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize(
    ("rule", "kind", "situation"),
    [
        *((rule, "infinity", "infinities") for rule in (SGD(lr=0.1), AdamW(), Lion(), Rprop())),
        (Blockwise(), "NaN", "NaN"),
        (NF4(), "infinity", "infinities"),
        (EDE(), "NaN", "NaN"),
        (GhostBatchNorm(), "NaN", "NaN"),
        (AdAdaGrad(), "infinity", "infinities"),
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


@pytest.mark.parametrize("rule", [Q8_0(), MX(), Cast()], ids=str)
def test_of_scales_and_codes_that_programs_settle_in_several_ways_nothing_is_driven(rule: Any) -> None:
    asked = Asked(None, frozenset(), np.dtype("f4"), 0)
    assert not {"NaN", "infinities"} & {each.name for each in kind_of(rule).situations(rule, asked)}


def test_a_transform_that_compares_nan_is_not_driven_with_it() -> None:
    names = {
        type(rule): {each.name for each in kind_of(rule).situations(rule, Asked(None, frozenset(), np.dtype("f4"), 0))}
        for rule in (Perceptron(), GhostBatchNorm())
    }
    assert "NaN" not in names[Perceptron]
    assert "NaN" in names[GhostBatchNorm]


def test_an_estimator_that_decides_is_not_driven() -> None:
    cases = Cases.of(x=np.ones((3, 4)), cotangent=np.ones((3, 4)))
    assert nan_inputs(cases, ClippedSTE().plan((2, 2)).graph) is None
    found = nan_inputs(cases, SoftSign().plan((2, 2)).graph)
    assert found is not None
    assert np.isnan(found.arrays[0]["x"]).sum() == 1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_large_numbers_have_finite_powers(dtype: str) -> None:
    found = large(np.asarray([1.0], dtype))
    assert found.dtype == dtype
    assert found[0] > 4
    assert np.isfinite(found**5).all()


def test_extremes_are_of_one_array_and_of_those_that_are_taken() -> None:
    cases = Cases.of(x=np.arange(12.0).reshape(3, 4) - 3, scale=2.0)
    found = extremes(cases, "x", lambda arrays: bool(arrays["x"].any()))
    assert found is not None
    assert found.names == ["a row of zeros", "max = -min", "large"]
    symmetric = found.arrays[1]["x"]
    assert (symmetric.max(axis=1) == -symmetric.min(axis=1)).all()
    assert found.arrays[0]["scale"] == 2.0
    assert extremes(Cases.of(x=[1.0]), "x", lambda arrays: True) is None


def test_arrays_that_are_not_contiguous_hold_the_same_numbers() -> None:
    cases = Cases.of(x=np.arange(12.0).reshape(3, 4))
    x = by_columns(cases).arrays[0]["x"]
    assert not x.flags.c_contiguous
    assert (x == cases.arrays[0]["x"]).all()
