"""What an estimator's parameters may be: legal one by one, and no wider than the input."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.arithmetic.reverse import run_backwards
from refgrad.errors import ArgumentError
from refgrad.estimators import LSQ, Estimator
from refgrad.estimators.base import check_legal
from refgrad.rule import Range, rules


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


def _quadratic(x: Any) -> Any:
    return np.where(x < -1, -1.0, np.where(x < 0, 2 * x + x * x, np.where(x < 1, 2 * x - x * x, 1.0)))


def _swish(x: Any) -> Any:
    gate = 1.0 / (1.0 + np.exp(-5.0 * x))
    return 2 * gate * (1 + 5.0 * x * (1 - gate)) - 1


#: estimators whose written backward is a derivative, each with what it is the derivative of; None for their own forward
DERIVATIVES: list[tuple[str, Any]] = [
    ("IdentitySTE", lambda x: 1.0 * x),
    ("ClippedSTE", lambda x: np.clip(x, -1, 1)),
    ("ApproxSign", _quadratic),
    ("EDE", lambda x: 10 * np.tanh(0.1 * x)),
    ("SwishSign", _swish),
    ("ArcTan", lambda x: np.arctan(np.pi * x) / np.pi),
    ("Powerpropagation", None),
    ("ProxQuant", None),
]


@pytest.mark.parametrize(("name", "function"), DERIVATIVES, ids=[name for name, _ in DERIVATIVES])
def test_backwards_that_are_derivatives_are_those_of_reverse_mode(name: str, function: Any) -> None:
    rule: Any = rules(Estimator)[name]()
    random = np.random.default_rng(1)
    x, cotangent = (random.standard_normal((3, 5)) for _ in range(2))
    own = function or rule.forward
    (found,) = run_backwards(own, {"x": x}, ["x"], lambda y: [(y, cotangent)])[1]
    np.testing.assert_allclose(found, rule.backward(cotangent, x), rtol=1e-13, atol=1e-14)
