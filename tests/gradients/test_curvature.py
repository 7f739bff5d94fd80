"""Traces, Lanczos quadrature, densities, damping and rates: equations in sixty digits, NumPy's eigenvalues, properties."""

from __future__ import annotations

from itertools import product

import mpmath
import numpy as np
import pytest

import refgrad
from refgrad import gradients as g
from refgrad.errors import ArgumentError
from tests.gradients.judged import drawn, verdict
from tests.optimizers.tracked import dot, exponential, holds, lift, mean, root, total


def symmetric(count: int, seed: int = 0) -> np.ndarray:
    matrix = np.random.default_rng([count, seed]).standard_normal((count, count))
    return matrix + matrix.T


@pytest.mark.parametrize("shape", [(4, 5), (1, 1), (2, 3)])
def test_hutchinson(shape: tuple[int, int]) -> None:
    probes, products = np.random.default_rng(sum(shape)).standard_normal((2, *shape))
    found = g.HutchinsonEstimates()(probes, products)
    holds(
        found["diagonal"],
        [mean(lift(z) * x for z, x in zip(*pair, strict=True)) for pair in zip(probes.T, products.T, strict=True)],
    )
    holds(found["trace"], mean([dot(z, x) for z, x in zip(probes, products, strict=True)]))


def test_hutchinson_over_every_sign_is_exact() -> None:
    matrix, signs = symmetric(4), np.array(list(product([-1.0, 1.0], repeat=4)))
    found = g.HutchinsonEstimates()(signs, signs @ matrix)
    np.testing.assert_allclose(found["diagonal"], np.diag(matrix), rtol=1e-14)
    spread = np.var(signs * (signs @ matrix), axis=0)
    np.testing.assert_allclose(spread, np.sum(matrix**2, axis=1) - np.diag(matrix) ** 2, rtol=1e-13)
    assert g.HutchinsonEstimates()(signs[:1], signs[:1] * [1.0, 2, 3, 4])["diagonal"].tolist() == [1, 2, 3, 4]


def lanczos(matrix: np.ndarray, start: np.ndarray, steps: int) -> tuple[list[mpmath.mpf], list[mpmath.mpf]]:
    """By the three-term recurrence alone, which sixty digits keep orthogonal."""
    a, v = mpmath.matrix(matrix.tolist()), mpmath.matrix(start.tolist())
    v, before, beta, diagonal, beside = v / mpmath.norm(v), v * 0, mpmath.mpf(0), [], []
    for _ in range(steps):
        w = a * v
        diagonal.append((v.T * w)[0])
        w = w - diagonal[-1] * v - beta * before
        beta = mpmath.norm(w)
        before, v = v, w / beta if beta > 1e-50 else w * 0
        beside.append(beta)
    return diagonal, beside[:-1]


@pytest.mark.parametrize(("count", "steps"), [(5, 1), (5, 3), (6, 6)])
def test_lanczos(count: int, steps: int) -> None:
    matrix, start = symmetric(count), np.random.default_rng(steps).standard_normal(count)
    found = g.LanczosTridiagonal(steps=steps)(matrix, start)
    for got, want in zip(found.values(), lanczos(matrix, start, steps), strict=True):
        np.testing.assert_allclose(got, np.array(want, float), rtol=1e-11)
    nodes, weights = g.quadrature(*found.values())
    assert np.all(weights >= 0)
    assert weights.sum() == pytest.approx(1.0, rel=1e-14)
    ends = np.linalg.eigvalsh(matrix)
    assert ends[0] - 1e-12 <= nodes[0] <= nodes[-1] <= ends[-1] + 1e-12
    unit = start / np.linalg.norm(start)
    moment = lambda k: unit @ np.linalg.matrix_power(matrix, k) @ unit  # noqa: E731
    for k in range(2 * steps):
        assert np.sum(weights * nodes**k) == pytest.approx(moment(k), rel=1e-10)
    if steps < count:
        assert np.sum(weights * nodes ** (2 * steps)) != pytest.approx(moment(2 * steps), rel=1e-3)
    else:
        np.testing.assert_allclose(nodes, ends, rtol=1e-10)
    moved = g.quadrature(*g.LanczosTridiagonal(steps=steps)(3.0 * matrix + np.eye(count), start).values())
    np.testing.assert_allclose(moved[0], 3.0 * nodes + 1, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(moved[1], weights, rtol=1e-8, atol=1e-11)


def padded(matrix: np.ndarray, start: np.ndarray, steps: int) -> tuple[list[mpmath.mpf], list[mpmath.mpf]]:
    """As PyHessian has it, in sixty digits: norms have 1e-6 added where vectors are divided by them."""
    a, w = mpmath.matrix(matrix.tolist()), mpmath.matrix(start.tolist())
    basis, diagonal, beside = [], [], []
    for _ in range(steps):
        for earlier in basis:
            w = w - (earlier.T * w)[0] * earlier
        basis.append(w / (mpmath.norm(w) + mpmath.mpf(1e-6)))
        w = a * basis[-1]
        diagonal.append((basis[-1].T * w)[0])
        w = w - diagonal[-1] * basis[-1] - (beside[-1] * basis[-2] if beside else 0 * w)
        beside.append(mpmath.norm(w))
    return diagonal, beside[:-1]


@pytest.mark.parametrize("size", [1.0, 1e-5])
def test_padded_lanczos_is_another_where_curvature_is_small(size: float) -> None:
    matrix, start = size * symmetric(5), np.ones(5)
    rule = g.LanczosTridiagonal(norms="padded")
    found, own = rule(matrix, start), g.LanczosTridiagonal()(matrix, start)
    for got, want in zip(found.values(), padded(matrix, start, 3), strict=True):
        np.testing.assert_allclose(got, np.array(want, float), rtol=1e-9)
    apart = np.max(np.abs(found["diagonal"] - own["diagonal"])) / size
    assert (apart > 0.05) == (size < 1)
    assert not refgrad.verify(own_lanczos, rule, explain=False).conforms


def own_lanczos(matrix: np.ndarray, start: np.ndarray) -> dict[str, np.ndarray]:
    """The rule with norms that are exact."""
    return g.LanczosTridiagonal()(matrix, start)


def test_lanczos_ends_early_with_zeros() -> None:
    found = g.LanczosTridiagonal(steps=3)(np.diag([2.0, 3.0, 4.0]), np.array([1.0, 0.0, 0.0]))
    assert found["diagonal"].tolist() == [2.0, 0.0, 0.0]
    assert found["beside"].tolist() == [0.0, 0.0]
    with pytest.raises(ArgumentError, match="steps=3"):
        g.LanczosTridiagonal(steps=3)(np.eye(2), np.ones(2))
    with pytest.raises(ArgumentError, match="one less"):
        g.quadrature(np.ones(3), np.ones(3))


@pytest.mark.parametrize("width", ["fixed", "ranged"])
def test_density(width: str) -> None:
    rule = g.SpectralDensity(width=width, variance=0.25, margin=0.5)
    nodes, weights, points = drawn(rule, 3)
    variance = lift(0.25)
    if width == "ranged":
        variance = variance * (mean(nodes.max(1)) - mean(nodes.min(1)) + 1)
    over = root(2 * lift(np.pi) * variance)  # the float that stands for pi is four digits off a bound at most
    want = [
        mean(
            total(
                w * exponential(-((x - lift(n)) * (x - lift(n))) / (2 * variance)) / over
                for n, w in zip(*pair, strict=True)
            )
            for pair in zip(nodes, weights, strict=True)
        )
        for x in points
    ]
    np.testing.assert_allclose(rule(nodes, weights, points), [float(x.value) for x in want], rtol=1e-13)
    grid = np.linspace(-9, 9, 4001)
    assert np.sum(rule(nodes, weights / weights.sum(1, keepdims=True), grid)) * (grid[1] - grid[0]) == pytest.approx(
        1.0, abs=1e-6
    )


@pytest.mark.parametrize("scale", ["identity", "diagonal"])
@pytest.mark.parametrize("shape", [(5, 3), (1, 2), (4, 4)])
def test_damping(shape: tuple[int, int], scale: str) -> None:
    random = np.random.default_rng(sum(shape))
    factors, gradient = random.standard_normal(shape), random.standard_normal(shape[1])
    f = mpmath.matrix(factors.tolist())
    matrix = f.T * f / shape[0]
    for j in range(shape[1]):
        matrix[j, j] += mpmath.mpf(0.5) * (1 if scale == "identity" else matrix[j, j])
    want = mpmath.lu_solve(matrix, mpmath.matrix(gradient.tolist()))
    found = g.DampedDirection(damping=0.5, scale=scale)(factors, gradient)
    np.testing.assert_allclose(found, np.array(want.tolist(), float).ravel(), rtol=1e-12)
    still = g.DampedDirection(damping=0.5, scale=scale)(0 * factors, gradient)
    np.testing.assert_array_equal(still, 2 * gradient)
    if scale == "diagonal":  # whatever units parameters have
        units = 2.0 ** np.arange(shape[1])
        again = g.DampedDirection(damping=0.5, scale=scale)(factors * units, gradient * units)
        np.testing.assert_allclose(again * units, found, rtol=1e-10)


@pytest.mark.parametrize(("low", "high"), [(0.5, 8.0), (1.0, 1.0), (8.0, 0.5), (0.0, 2.0)])
def test_quadratic_rates(low: float, high: float) -> None:
    found = g.QuadraticRates(momentum=0.5)(np.array(low), np.array(high))
    low, high = min(low, high), max(low, high)

    def radius(rate: float, momentum: float) -> float:
        return max(
            np.abs(np.linalg.eigvals([[1 + momentum - rate * x, -momentum], [1.0, 0.0]])).max() for x in (low, high)
        )

    assert radius(found["rate"], found["momentum"]) == pytest.approx(found["momentum"] ** 0.5, abs=1e-6)
    stable = found["largest_stable_rate"]
    if low > 0:
        assert radius(stable * 0.999, 0.5) < 1 < radius(stable * 1.001, 0.5)


def without_half(probes: np.ndarray, products: np.ndarray) -> dict[str, np.ndarray]:
    diagonal = (probes * products).sum(0)
    return {"diagonal": diagonal, "trace": diagonal.sum()}


def test_verdicts() -> None:
    assert not verdict(without_half, g.HutchinsonEstimates()).conforms
    ridge = lambda f, x: np.linalg.solve(f.T @ f + np.eye(len(x), dtype=f.dtype), x[:, None])[:, 0]  # noqa: E731
    assert not verdict(ridge, g.DampedDirection()).conforms
