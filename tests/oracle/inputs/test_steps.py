"""Generated inputs of optimizers: what each leaf is there for is in it."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic import dtypes
from refgrad.errors import ArgumentError
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.steps import FAMILIES, generate
from refgrad.oracle.inputs.written import Inputs


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "float64"])
def test_each_leaf_has_what_it_is_there_for(dtype: str) -> None:
    made, facts = generate(4, dtype, 0), dtypes.format_of(dtype)
    assert list(made.names) == list(FAMILIES) == ["normal", "scaled", "edges"]
    normal, scaled, edges = (
        np.stack([g[leaf].astype(np.float64) for g in (made.p, *made.g)]) for leaf in range(len(FAMILIES))
    )
    assert 0.8 < normal.std() < 1.2
    sizes = np.log2(np.abs(scaled[scaled != 0]))
    assert np.ptp(sizes) > 0.4 * (np.log2(facts.largest) - np.log2(facts.smallest_normal)) / 2
    subnormal = (edges != 0) & (np.abs(edges) < facts.smallest_normal)
    assert 0.2 < subnormal.mean() < 0.5
    for special in (facts.smallest_subnormal, facts.smallest_normal, 1.0):
        assert {-special, special} <= set(edges.reshape(-1))
    zeros = edges[edges == 0]
    assert np.signbit(zeros).any()
    assert not np.signbit(zeros).all()


def test_gradients_repeat_vanish_and_nearly_cancel() -> None:
    (before, *_), (after, *_) = (g for g in generate(2, "float32", 0).g)
    for related in (after == before, after == -before, after == 0.0):
        assert related.mean() > 0.1


@pytest.mark.parametrize(
    ("text", "number"), [("10", 10.0), ("0x10", 16.0), ("-0x1.8p+1", -3.0), ("inf", np.inf), ("1e-3", np.float32(1e-3))]
)
def test_numbers_in_strings_are_decimal_but_for_those_with_0x(text: str, number: float) -> None:
    assert Inputs.of([text], [["0.5"]]).arrays[0]["p"].tolist() == [number]


@pytest.mark.parametrize("values", ["a", ["x"], [[1.0], [1.0, 2.0]]], ids=["a letter", "letters", "ragged"])
def test_what_is_no_number_is_refused(values: object) -> None:
    with pytest.raises(ArgumentError, match=r"^x is .*; legal: numbers, or strings such as"):
        Cases.of(x=values)
