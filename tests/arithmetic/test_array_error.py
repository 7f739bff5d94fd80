"""Matrices with error bounds: the bound of a product holds what either factor may be off by."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.arithmetic import array_error
from refgrad.arithmetic.running_error import Bounded
from refgrad.oracle.acceptance.comparing import model_for
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


def by_elimination(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Thomas' algorithm, in the dtype of the arrays."""
    upper, right = np.zeros_like(b), np.zeros_like(b)
    for i in range(len(b)):
        below = a[i, i - 1] if i else a.dtype.type(0)
        divisor = a[i, i] - below * (upper[i - 1] if i else a.dtype.type(0))
        upper[i] = a[i, i + 1] / divisor if i + 1 < len(b) else 0
        right[i] = (b[i] - below * (right[i - 1] if i else a.dtype.type(0))) / divisor
    for i in range(len(b) - 2, -1, -1):
        right[i] -= upper[i] * right[i + 1]
    return right


@pytest.mark.parametrize("n", [1, 2, 5, 33, 129])
def test_solutions_of_systems_of_three_diagonals_lie_within_the_bound(n: int) -> None:
    """By LAPACK, by elimination along the diagonal, and by a product with the inverse, each in float32."""
    from scipy.linalg import solveh_banded

    random = np.random.default_rng(n)
    for weight in (0.1, 1.0, (n + 1.0) ** 2):
        a = np.float32((1 + 2 * weight) * np.eye(n) - weight * (np.eye(n, k=1) + np.eye(n, k=-1)))
        b = random.standard_normal(n).astype(np.float32)
        found = array_error.solution(Bounded(np.float64(a)), Bounded(np.float64(b)), MODEL)
        banded = np.float32([np.append(0, np.diag(a, 1)) if n > 1 else [0.0], np.diag(a)])
        for solution in (
            np.linalg.solve(a, b),
            by_elimination(a, b),
            np.linalg.inv(a) @ b,
            solveh_banded(banded, b) if n > 1 else b / a[0],
        ):
            assert solution.dtype == np.float32
            assert (np.abs(np.float64(solution) - found.value) <= found.bound()).all()
        assert np.isfinite(found.bound()).all()


def test_a_system_of_three_diagonals_is_known_better_than_one_whose_zeros_are_not_known() -> None:
    a = 4.0 * np.eye(33) - np.eye(33, k=1) - np.eye(33, k=-1)
    known = array_error.solution(Bounded(a), Bounded(np.ones(33)), MODEL)
    unknown = array_error.solution(Bounded(a, np.full((33, 33), 1e-30)), Bounded(np.ones(33)), MODEL)
    assert np.max(known.bound()) < np.max(unknown.bound()) / 20


def a_column_after_the_other(a: np.ndarray) -> np.ndarray:
    """Cholesky's factor with sums in turn, in the dtype of the matrix."""
    lower = np.zeros_like(a)
    for j in range(len(a)):
        column = a[j:, j].copy()
        for k in range(j):
            column -= lower[j:, k] * lower[j, k]
        lower[j:, j] = column / np.sqrt(column[0])
    return lower


@pytest.mark.parametrize("n", [1, 2, 5, 33])
def test_cholesky_factors_lie_within_the_bound(n: int) -> None:
    """By LAPACK and by columns, of matrices that are off too, against mpmath; what cannot be told is open."""
    random = np.random.default_rng(n)
    for ridge in (0.01, 1.0, 100.0):
        x = random.standard_normal((n, n))
        a = np.float32(x @ x.T + ridge * n * np.eye(n))
        error = np.abs(np.float64(a)) * 2.0**-24
        found = array_error.cholesky(Bounded(np.float64(a), error), MODEL)
        assert np.isfinite(found.bound()).all()
        assert (found.bound()[np.triu_indices(n, 1)] == 0.0).all()
        moved = np.sign(random.standard_normal((n, n)))
        other = np.float64(a) + error * (np.tril(moved) + np.tril(moved, -1).T)
        for factor in (np.linalg.cholesky(a), a_column_after_the_other(a), np.linalg.cholesky(other)):
            assert (np.abs(np.float64(factor) - found.value) <= found.bound()).all()
    singular = array_error.cholesky(Bounded(np.array([[1.0, 1.0], [1.0, 1.0 + 1e-7]])), MODEL)
    assert np.isinf(singular.bound()[1, 1])
    stacked = array_error.cholesky(Bounded(np.stack([np.eye(2), np.full((2, 2), np.nan)])), MODEL)
    assert np.isfinite(stacked.bound()[0]).all()
    assert np.isinf(stacked.bound()[1]).all()


def test_a_bound_of_cholesky_factors_is_not_slack() -> None:
    """Of a matrix that is off as far as its bound says, the factor is off by a third of its bound somewhere."""
    a, off = np.array([[4.0, 1.0], [1.0, 3.0]]), 1e-3
    found = array_error.cholesky(Bounded(a, np.full((2, 2), off)), MODEL)
    ends = [np.linalg.cholesky(a + off * np.array([[s, t], [t, u]])) for s in (-1, 1) for t in (-1, 1) for u in (-1, 1)]
    reached = np.max([np.abs(end - found.value) for end in ends], axis=0)
    assert (reached[np.tril_indices(2)] > found.bound()[np.tril_indices(2)] / 3).all()
