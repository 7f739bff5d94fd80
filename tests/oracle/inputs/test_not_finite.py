"""Inputs that are not finite: which outputs of a rule tell them, whatever way a legal program is written in."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.estimators import ClippedSTE, SoftSign
from refgrad.optimizers import SGD, AdamW, Lion, RMSprop
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.extremes import by_columns, extremes, large
from refgrad.oracle.inputs.not_finite import carrying, not_finite, special
from refgrad.rule import Rule


@pytest.mark.parametrize(
    ("rule", "nan", "infinite"),
    [
        (SGD(lr=0.1), {"p"}, {"p"}),
        (AdamW(), {"p", "m", "v"}, {"m", "v"}),  # the step divides infinity by infinity
        (Lion(), {"m"}, {"m"}),  # whose sign of NaN is 0 in torch
        (RMSprop(centered=True), {"v", "mean"}, {"v", "mean"}),  # the root's difference may be clamped
    ],
)
def test_which_outputs_are_driven(rule: Rule, nan: set[str], infinite: set[str]) -> None:
    found = {name: cases.outputs for name, cases in not_finite(rule, np.dtype("f4"), 0)}  # type: ignore[arg-type]
    assert found["NaN"] <= {"p", *rule.slots()}
    assert {"NaN": nan, "infinities": infinite}["infinities"] == set(found["infinities"])
    assert nan == set(found["NaN"])


def test_an_estimator_that_decides_is_not_driven() -> None:
    assert carrying(ClippedSTE().plan((2, 2)).graph, "x")[0] == frozenset()
    cases = Cases.of(x=np.ones((3, 4)), cotangent=np.ones((3, 4)))
    ((name, found), *_) = special(cases, SoftSign().plan((2, 2)).graph)
    assert name == "NaN"
    assert np.isnan(found.arrays[0]["x"]).sum() == 1


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_large_numbers_have_finite_powers(dtype: str) -> None:
    found = large(np.asarray([4.0], dtype))
    assert found.dtype == dtype
    assert found[0] > 16
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
