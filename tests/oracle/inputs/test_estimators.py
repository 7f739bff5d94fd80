"""Generated inputs of estimators: those that are aimed lie on both sides of where the rule decides."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic import dtypes
from refgrad.estimators import ClippedSTE
from refgrad.estimators.base import Estimator
from refgrad.oracle.inputs.estimators import NEAR, SHAPE, generate


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("rule", "edge"), [(ClippedSTE(), 1.0), (ClippedSTE(clip=0.75), 0.75)])
def test_the_neighbours_of_a_threshold_are_met(rule: Estimator, edge: float, dtype: str) -> None:
    made = generate(rule, 3, dtype, 0)
    assert list(made.names) == ["aimed", "ordinary", "scaled"]
    aimed, ordinary, _ = (arrays["x"].astype(np.float64) for arrays in made.arrays)
    assert aimed.shape == SHAPE
    for sign in (-1.0, 1.0):
        close = NEAR * dtypes.ulp(np.asarray(edge), np.dtype(made.arrays[0]["x"].dtype))
        near = aimed[np.abs(aimed - sign * edge) <= close]
        assert near.size > 100
        assert (near > sign * edge).any()
        assert (near == sign * edge).any()
        assert (near < sign * edge).any()
        assert np.count_nonzero(np.abs(ordinary - sign * edge) <= close) < near.size / 4
    assert np.count_nonzero(aimed == 0) > 10
