"""What an estimator's parameters may be: legal one by one, and no wider than the input."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.estimators import LSQ
from refgrad.estimators.base import check_legal
from refgrad.rule import Range


def test_one_illegal_number_among_legal_ones_is_refused() -> None:
    check_legal("scale", Range(0.0, 1.0, open_low=False, open_high=False), np.asarray([0.0, 1.0]))
    for wrong in (-0.5, 2.0, np.nan):
        with pytest.raises(ArgumentError, match=f"scale is {wrong}; legal: numbers in"):
            check_legal("scale", Range(0.0, 1.0, open_low=False, open_high=False), np.asarray([0.5, wrong, 1.0]))


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e4m3fn])
def test_a_parameter_that_is_wider_than_the_input_is_refused(dtype: type) -> None:
    x = np.ones(3, dtype)
    with pytest.raises(ArgumentError, match=r"scale\.dtype is 'float64'; legal: float32 or narrower"):
        LSQ().evaluate(x, scale=np.asarray([0.5]))
    assert LSQ().evaluate(x, scale=np.asarray([0.5], np.float32), backend="numpy").dtype == dtype
