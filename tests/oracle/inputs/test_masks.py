"""Weights that masks are judged on: families that hit ties and classes of numbers, and shapes that a rule takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from refgrad.oracle.inputs import masks
from refgrad.oracle.inputs.sizes import (
    DECIDED_AT_THE_END,
    DECIDED_IN_ROWS,
    EXACT,
    MATRICES,
    ROWS_OF_BLOCKS,
    SHAPES,
    TILED,
    TILED_ROWS,
    WHOLE_BLOCKS,
)
from refgrad.rule import rules
from refgrad.sparsity import L1Filters, Magnitude, NOfM, NormalizedMagnitude, SoftMovement, Wanda
from refgrad.sparsity.base import Mask

F32 = np.dtype(np.float32)


@pytest.mark.sample(quick=5)
@pytest.mark.parametrize("name", sorted(rules(Mask)))
def test_every_case_is_one_that_the_rule_takes(name: str) -> None:
    rule = rules(Mask)[name]()
    made = masks.generate(rule, F32, 0)
    assert list(made.names) == list(masks.families(rule))
    assert all(set(arrays) == set(rule.takes()) and arrays["w"].dtype == F32 for arrays in made.arrays)
    odd = masks.sizes(rule, F32, 0)
    assert odd is not None
    for arrays in odd.arrays:
        assert rule.mask(**arrays).shape == arrays["w"].shape


def test_numbers_follow_from_the_seed() -> None:
    one, same, other = (masks.generate(Magnitude(), F32, seed).arrays[0]["w"] for seed in (0, 0, 1))
    assert one.tobytes() == same.tobytes() != other.tobytes()


def test_a_threshold_and_a_small_number_that_is_added_are_met() -> None:
    """Scores lie on both sides of a threshold, unless they are to be equal; beside some weights 1e-8 counts."""
    made = masks.generate(SoftMovement(), F32, 0)
    for name, arrays in zip(made.names, made.arrays, strict=True):
        assert 0.1 < SoftMovement().mask(**arrays).mean() < 0.9 or name in masks.TIED
    made = masks.generate(NormalizedMagnitude(), F32, 0)
    assert made.names[1] == "around 1e-08"
    w = made.arrays[1]["w"].astype(np.float64)
    assert 1.0 < np.sqrt((w * w).sum()) / 1e-8 < 100.0


def test_families_reach_what_they_are_called() -> None:
    made = dict(zip(masks.FAMILIES, masks.generate(Magnitude(), F32, 0).arrays, strict=True))
    assert np.unique(np.abs(made["few magnitudes"]["w"])).size <= 4
    assert np.isnan(made["NaN and infinities"]["w"]).any()
    assert np.isinf(made["NaN and infinities"]["w"]).any()
    assert (np.abs(made["subnormals"]["w"]) < np.finfo(np.float32).smallest_normal).all()


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize(("rule", "shapes"), [(Magnitude(), SHAPES), (Wanda(), MATRICES), (L1Filters(), MATRICES)])
def test_rules_of_rows_and_units_are_driven_in_two_axes(rule: Mask, shapes: Sequence[tuple[int, ...]]) -> None:
    made = masks.sizes(rule, F32, 0)
    assert made is not None
    found = {arrays["w"].shape for arrays in made.arrays}
    flat = shapes is SHAPES
    ends, tiled = (DECIDED_AT_THE_END, TILED) if flat else (DECIDED_IN_ROWS, TILED_ROWS)
    assert found <= {*shapes, *ends, *tiled, *ROWS_OF_BLOCKS, masks.MANY_BLOCKS, *EXACT, *WHOLE_BLOCKS}
    assert {masks.MANY_BLOCKS, *tiled} <= found
    assert flat or {len(shape) for shape in found} == {2}
    assert ((3, 4, 5) in found) == flat


def test_shapes_that_a_rule_refuses_are_left_out() -> None:
    made = masks.sizes(NOfM(n=2, m=4), F32, 0)
    assert made is not None
    shapes = {arrays["w"].shape for arrays in made.arrays}
    assert (17, 33) not in shapes
    assert set(ROWS_OF_BLOCKS) <= shapes


@pytest.mark.parametrize("name", sorted(rules(Mask)))
def test_every_rule_is_driven_in_odd_shapes(name: str) -> None:
    made = masks.sizes(rules(Mask)[name](), F32, 0)
    assert made is not None
    assert len({arrays["w"].shape for arrays in made.arrays if arrays["w"].size > 1}) >= 4
