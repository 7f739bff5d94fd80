"""What laws of rules without steps are tried on: cases that the rule takes, tame ones of ordinary numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.axes import Axes
from refgrad.estimators import LSQ, ClippedSTE, Estimator
from refgrad.quantizers import NF4, Q4_0, Q4_K, Affine, Quantizer
from refgrad.sparsity import Magnitude, NOfM
from refgrad.testing import case_strategies
from refgrad.testing.case_strategies import shape_of, step_of, strategy_of, undrawable
from tests.depth import examples

F = np.dtype(np.float32)
RULES = [ClippedSTE(), LSQ(), Affine(), NF4(), Magnitude(), NOfM()]


@pytest.mark.parametrize("tame", [True, False])
@pytest.mark.parametrize("rule", RULES, ids=str)
@examples(30)
@given(data=st.data())
def test_every_case_is_one_that_the_rule_takes(rule: Any, tame: bool, data: st.DataObject) -> None:
    arrays = data.draw(strategy_of(rule, F, tame))
    assert all(a.dtype == F for a in arrays.values() if a.dtype.kind == "f")
    if isinstance(rule, Estimator):
        assert {"x", "cotangent"} <= set(arrays)
        rule.evaluate(arrays["x"], backend="numpy", **{n: a for n, a in arrays.items() if n != "x"})
    if isinstance(rule, Quantizer):
        assert arrays["x"].shape == shape_of(rule, F)
        rule.quantize(arrays["x"])
    if tame:
        assert all(np.isfinite(a).all() for a in arrays.values() if a.dtype.kind == "f")


@pytest.mark.parametrize(
    ("rule", "shape"),
    [(Affine(), (2, 6)), (NF4(), (2, 6)), (Q4_0(), (2, 32)), (Q4_K(), (2, 256))],
    ids=lambda each: str(each),
)
def test_the_shape_is_the_smallest_that_is_taken(rule: Quantizer, shape: tuple[int, ...]) -> None:
    assert shape_of(rule, F) == shape


def test_rows_are_as_long_as_a_rule_needs() -> None:
    assert step_of(ClippedSTE(), F) == 1


def test_a_rule_of_other_arrays_is_left_out_and_says_why() -> None:
    class Odd(ClippedSTE):
        def parameter_axes(self) -> dict[str, Axes]:
            return {"scale": ("block",)}

    assert undrawable(Odd()) == "it takes arrays that are not drawn"
    assert all(undrawable(rule) == "" for rule in RULES)


def test_parameters_are_legal_numbers() -> None:
    from refgrad.rule import Range

    assert case_strategies._legal(Range(0.4, 0.6)) == [0.5]
    assert case_strategies._legal(Range(10.0, 20.0)) == [15.0]
