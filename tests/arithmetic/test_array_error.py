"""Matrices with error bounds: the bound of a product holds what either factor may be off by."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic import array_error
from refgrad.arithmetic.running_error import Bounded
from refgrad.oracle.acceptance.judge import model_for
from refgrad.oracle.acceptance.policy import Policy

MODEL = model_for(Policy(), np.dtype(np.float32))


@pytest.mark.parametrize(("left", "right"), [(0.25, 0.0), (0.0, 0.25), (0.25, 0.5)])
def test_products_of_what_lies_within_the_bounds_lie_within_the_bound(left: float, right: float) -> None:
    random = np.random.default_rng(0)
    a, b = (random.standard_normal((3, 3)) for _ in range(2))
    found = array_error.product(Bounded(a, np.full((3, 3), left)), Bounded(b, np.full((3, 3), right)), MODEL)
    for _ in range(50):
        one = (a + left * np.sign(random.standard_normal((3, 3)))) @ (
            b + right * np.sign(random.standard_normal((3, 3)))
        )
        assert (np.abs(one - found.value) <= found.bound()).all()
    # which is reached, but for the roundings: all signs alike
    far = np.abs(a).sum(axis=1, keepdims=True) * right + left * np.abs(b).sum(axis=0) + 3 * left * right
    np.testing.assert_allclose(found.bound(), far, rtol=1e-5)


def test_a_product_with_zeros_is_zero() -> None:
    """Nothing underflows there, so that a comparison with zero is decided."""
    b = Bounded(np.full((3, 2), 2.0**-140))
    assert (array_error.product(Bounded(np.zeros((3, 3))), b, MODEL).bound() == 0.0).all()
    assert (array_error.product(Bounded(np.full((3, 3), 2.0**-100)), b, MODEL).bound() > 0.0).all()
