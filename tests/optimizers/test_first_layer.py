"""TrAct restated in sixty digits, against the authors' package where it is installed, and its laws.

A solved system is judged by its residual: elimination with partial pivoting in float64 solves a system whose matrix differs
by at most 3 n units roundoff of |L| |U| (Higham 2002, theorem 9.4), and forming the matrix and the right side differs by
what a sum of b terms may.
"""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from refgrad.errors import ArgumentError

mpmath.mp.dps = 60
U = mpf(2) ** -53
RANDOM = np.random.default_rng(8)
X, G = RANDOM.standard_normal((9, 4)), RANDOM.standard_normal((9, 3))
DAMPING = 0.125


def exactly(x: np.ndarray) -> mpmath.matrix:
    return mpmath.matrix([[mpf(float(v)) for v in row] for row in x])


def magnitudes(x: mpmath.matrix) -> mpmath.matrix:
    return x.apply(abs)


def eliminated(a: mpmath.matrix) -> mpmath.matrix:
    """|L| |U| of a matrix, with its rows back in their places."""
    packed, swaps = mpmath.mp.LU_decomp(a)
    n = a.rows
    lower = mpmath.matrix(n, n)
    upper = mpmath.matrix(n, n)
    for i in range(n):
        for j in range(n):
            lower[i, j] = 1 if i == j else (abs(packed[i, j]) if i > j else 0)
            upper[i, j] = abs(packed[i, j]) if i <= j else 0
    product = lower * upper
    for i in reversed(range(len(swaps))):
        mpmath.swap_row(product, i, swaps[i])
    return product


def check(x: np.ndarray, g: np.ndarray, got: np.ndarray) -> None:
    """D (X^T X / b + damping I) is G^T X, within what the steps to D may have lost."""
    b, n = x.shape
    xs, gs, d = exactly(x), exactly(g), exactly(got)
    system = xs.T * xs / b + DAMPING * mpmath.eye(n)
    residual = d * system - gs.T * xs
    formed = (b + 3) * U * (magnitudes(xs.T) * magnitudes(xs) / b + DAMPING * mpmath.eye(n))
    allowed = magnitudes(d) * (formed + 4 * n * U * eliminated(system)) + (b + 3) * U * magnitudes(gs.T) * magnitudes(
        xs
    )
    assert all(abs(r) <= a for r, a in zip(residual, allowed, strict=True))
    assert max(allowed) < mpf(10) ** -9


def test_the_linear_layer() -> None:
    check(X, G, o.TrActLinear(damping=DAMPING)(X, G))


def test_a_known_bound_refuses_another_matrix() -> None:
    with pytest.raises(AssertionError):
        check(X, G, o.TrActLinear(damping=DAMPING * (1 + 1e-9))(X, G))


@pytest.mark.parametrize("rows", [2, 4, 9])
def test_both_forms_are_the_same_number(rows: int) -> None:
    """Within the condition of the two systems, each at most (largest eigenvalue + damping) / damping."""
    x, g = X[:rows], G[:rows]
    inputs, batch = (o.TrActLinear(damping=DAMPING, form=form)(x, g) for form in ("inputs", "batch"))
    condition = 1 + np.sum(x * x) / rows / DAMPING
    bound = 8 * x.size * 2.0**-53 * condition * np.linalg.norm(x) * np.linalg.norm(g) / DAMPING
    assert np.max(np.abs(inputs - batch)) <= bound
    assert bound < 1e-9


def patches(x: np.ndarray, kernel: int, stride: int, padding: int) -> np.ndarray:
    batch, channels, height, width = x.shape
    rows = []
    for n in range(batch):
        for top in range(-padding, height + padding - kernel + 1, stride):
            for left in range(-padding, width + padding - kernel + 1, stride):
                seen = [
                    x[n, c, i, j] if 0 <= i < height and 0 <= j < width else 0.0
                    for c in range(channels)
                    for i in range(top, top + kernel)
                    for j in range(left, left + kernel)
                ]
                rows.append(seen)
    return np.asarray(rows)


@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 1, 0), (2, 2, 1), (3, 1, 1)])
def test_the_convolution_is_the_linear_layer_on_patches(kernel: int, stride: int, padding: int) -> None:
    x = RANDOM.standard_normal((2, 2, 5, 4))
    rule = o.TrActConvolution(damping=DAMPING, kernel=kernel, stride=stride, padding=padding)
    seen = patches(x, kernel, stride, padding)
    assert np.array_equal(rule.patches(x), seen)
    sizes = [(n + 2 * padding - kernel) // stride + 1 for n in x.shape[2:]]
    g = RANDOM.standard_normal((2, 3, *sizes))
    got = rule(x, g)
    assert got.shape == (3, 2, kernel, kernel)
    check(seen, g.transpose(0, 2, 3, 1).reshape(-1, 3), got.reshape(3, -1))


def test_laws() -> None:
    rule = o.TrActLinear(damping=DAMPING)
    base = rule(X, G)
    assert np.array_equal(o.TrActLinear(damping=16 * DAMPING)(4 * X, G), base / 4)  # powers of two: the same bits
    assert np.array_equal(rule(np.zeros_like(X), G), np.zeros((3, 4)))
    assert np.array_equal(rule(X, 2 * G), 2 * base)
    check(np.vstack([X, X]), np.vstack([G, G]) / 2, base)  # a batch that is there twice


def test_shapes_are_checked() -> None:
    with pytest.raises(ArgumentError, match=r"x.ndim is 1; legal: 2"):
        o.TrActLinear()(X[0], G)
    with pytest.raises(ArgumentError, match="as many rows as x"):
        o.TrActLinear()(X, G[:3])
    with pytest.raises(ArgumentError, match="what the convolution gives"):
        o.TrActConvolution()(np.zeros((1, 1, 5, 5)), np.zeros((1, 1, 5, 5)))
    with pytest.raises(ArgumentError, match="fits at least once"):
        o.TrActConvolution()(np.zeros((1, 1, 2, 2)), np.zeros((1, 1, 1, 1)))


def test_the_authors_package() -> None:
    tract = pytest.importorskip("torch_tract", reason="torch-tract is not installed", exc_type=ImportError)
    torch = pytest.importorskip("torch")
    layer = tract.TrActLinear(4, 3, lambda_=DAMPING).double()
    layer(torch.tensor(X)).backward(torch.tensor(G))
    check(X, G, o.TrActLinear(damping=DAMPING)(X, G))
    condition = 1 + np.sum(X * X) / len(X) / DAMPING
    bound = 8 * X.size * 2.0**-53 * condition * np.linalg.norm(X) * np.linalg.norm(G) / DAMPING
    assert np.max(np.abs(layer.weight.grad.numpy() - o.TrActLinear(damping=DAMPING)(X, G))) <= bound
    images, g = RANDOM.standard_normal((2, 2, 6, 5)), RANDOM.standard_normal((2, 3, 6, 5))
    convolution = tract.TrActConv2d(2, 3, 3, padding=1, lambda_=DAMPING, bias=False).double()
    convolution(torch.tensor(images)).backward(torch.tensor(g))
    mine: Any = o.TrActConvolution(damping=DAMPING, padding=1)(images, g)
    seen = patches(images, 3, 1, 1)
    condition = 1 + np.sum(seen * seen) / len(seen) / DAMPING
    bound = 8 * seen.size * 2.0**-53 * condition * np.linalg.norm(seen) * np.linalg.norm(g) / DAMPING
    assert np.max(np.abs(convolution.weight.grad.numpy() - mine)) <= bound


def test_the_authors_cholesky_form_inverts_another_matrix() -> None:
    tract = pytest.importorskip("torch_tract", reason="torch-tract is not installed", exc_type=ImportError)
    torch = pytest.importorskip("torch")
    layer = tract.TrActLinear(4, 3, lambda_=DAMPING, inv_type="cholesky_inverse").double()
    layer(torch.tensor(X)).backward(torch.tensor(G))
    with pytest.raises(AssertionError):
        check(X, G, layer.weight.grad.numpy())
    dilated = torch.nn.Conv2d(1, 1, 3, dilation=2)
    assert tract.TrAct(dilated)(torch.zeros(1, 1, 8, 8)).shape != dilated(torch.zeros(1, 1, 8, 8)).shape
