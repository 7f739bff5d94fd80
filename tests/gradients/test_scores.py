"""Scores: equations in sixty digits, fields whose gauge is known, dimensions of flat data, properties, verdicts."""

from __future__ import annotations

from itertools import product
from typing import Any

import mpmath
import numpy as np
import pytest

from refgrad import gradients as g
from refgrad.errors import ArgumentError
from tests.gradients.judged import drawn, verdict
from tests.optimizers.tracked import dot, holds, lift, mean, root, total


@pytest.mark.parametrize("d", [1, 2, 5])
def test_asymmetry(d: int) -> None:
    jacobian = np.random.default_rng(d).standard_normal((d, d))
    apart = [lift(jacobian[j, k]) - jacobian[k, j] for j in range(d) for k in range(d)]
    if d > 1:
        holds(g.JacobianAsymmetry()(jacobian), root(dot(apart, apart)) / root(dot(jacobian.ravel(), jacobian.ravel())))
        assert g.JacobianAsymmetry()(jacobian - jacobian.T) == pytest.approx(2.0, rel=1e-14)
    assert g.JacobianAsymmetry()(jacobian + jacobian.T) == 0.0
    assert g.JacobianAsymmetry()(0 * jacobian) == 0.0
    signs = np.array(list(product([-1.0, 1.0], repeat=d)))
    probed = g.AsymmetryProbe()(signs @ jacobian.T, signs @ jacobian)
    np.testing.assert_allclose(probed, float(total(x * x for x in apart).value), rtol=1e-13, atol=1e-16)
    forward, backward = np.random.default_rng(d).standard_normal((2, 3, d))
    rows = [[lift(x) - y for x, y in zip(*pair, strict=True)] for pair in zip(forward, backward, strict=True)]
    holds(g.AsymmetryProbe()(forward, backward), mean(dot(r, r) for r in rows))


def test_a_gradient_by_finite_differences_is_symmetric_to_second_order() -> None:
    def score(x: np.ndarray) -> np.ndarray:  # of log p = -sum x**4 / 4 - x_0 x_1 x_2
        return -(x**3) - np.array([x[1] * x[2], x[0] * x[2], x[0] * x[1]])

    x, found = np.array([0.3, -0.7, 1.1]), []
    for h in (1e-2, 5e-3):
        columns = [(score(x + h * e) - score(x - h * e)) / (2 * h) for e in np.eye(3)]
        found.append(g.JacobianAsymmetry()(np.stack(columns, axis=1)))
    assert max(found) < 1e-12


@pytest.mark.parametrize("shape", [(4, 3), (1, 1), (2, 5)])
def test_gauge(shape: tuple[int, int]) -> None:
    jacobians, field, scores = drawn(g.GaugeResidual(), 1, point=shape[0], d=shape[1])
    found = g.GaugeResidual()(jacobians, field, scores)
    traces = [total(np.diag(j)) for j in jacobians]
    along = [dot(r, s) for r, s in zip(field, scores, strict=True)]
    holds(found["divergence"], traces)
    holds(found["along"], along)
    holds(found["residual"], [a + b for a, b in zip(traces, along, strict=True)])
    holds(g.FieldOverlap()(field, scores), mean(along))


@pytest.mark.parametrize("d", [2, 4])
def test_a_normal_distributions_gauge(d: int) -> None:
    factor, skew, points = drawn(g.GaussianGaugeField(), 2, d=d)
    covariance, turn = factor @ factor.T, (skew - skew.T) / 2
    field = g.GaussianGaugeField()(factor, skew, points)
    np.testing.assert_allclose(field, points @ (covariance @ turn).T, rtol=1e-11, atol=1e-13)
    scores = -np.linalg.solve(covariance, points.T).T
    found = g.GaugeResidual()(np.stack([covariance @ turn] * len(points)), field, scores)
    for part in found.values():
        np.testing.assert_allclose(part, 0.0, atol=1e-9)


@pytest.mark.parametrize("times", [1, 4])
def test_perturbed(times: int) -> None:
    rule = g.GaussianPerturbationScore(deviation=0.75)
    x, noise, center = drawn(rule, 3, time=times)
    points, scores = [], []
    for k in range(1, times + 1):
        t = mpmath.mpf(k) / 1000
        alpha = mpmath.exp(-(t**2) * (mpmath.mpf(20) - mpmath.mpf(0.1)) / 4 - t * mpmath.mpf(0.1) / 2)
        variance = 1 - alpha**2
        row = [
            alpha * (2 * mpmath.mpf(a) - 1) + mpmath.sqrt(variance) * mpmath.mpf(z)
            for a, z in zip(x, noise[k - 1], strict=True)
        ]
        points.append(row)
        scores.append(
            [
                -(y - alpha * mpmath.mpf(m)) / (alpha**2 * mpmath.mpf(0.75) ** 2 + variance)
                for y, m in zip(row, center, strict=True)
            ]
        )
    near: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(g.PerturbedPoints()(x, noise), np.array(points, float), **near)
    want = [sum(column) / times for column in zip(*scores, strict=True)]
    np.testing.assert_allclose(rule(x, noise, center), np.array(want, float), **near)


@pytest.mark.parametrize(("d", "flat"), [(4, 1), (5, 3), (3, 0), (6, 5)])
def test_dimension(d: int, flat: int) -> None:
    random = np.random.default_rng(d)
    scores = random.standard_normal((4 * d, d)) * np.where(np.arange(d) < flat, 1e-3, 1.0)
    turn = np.linalg.qr(random.standard_normal((d, d)))[0]
    for used in (scores @ turn, 100 * scores):
        found, values = g.score_dimension(used)
        if flat:
            assert found == flat
        assert np.all(np.diff(values) <= 0)
        assert values.shape == (d,)
    moved = scores + 1e3 * np.eye(d)[0]  # a common part, which the authors' code takes away
    if flat:
        assert g.score_dimension(moved)[0] == flat
        assert g.score_dimension(moved, centred=False)[0] == d - 1
        if 1 < flat < d - 1:  # the common part stands in for one of the normal directions
            assert g.score_dimension(moved, centred=False, skipped=1)[0] == flat - 1
    with pytest.raises(ArgumentError, match="as many copies"):
        g.score_dimension(scores[: d - 1])


def summed(x: np.ndarray, noise: np.ndarray, center: np.ndarray) -> np.ndarray:
    return g.GaussianPerturbationScore()(x, noise, center) * np.float32(len(noise))


def test_verdicts() -> None:
    assert not verdict(summed, g.GaussianPerturbationScore()).conforms

    def halved(j: np.ndarray) -> np.ndarray:
        return np.where((j * j).sum() == 0, 0, np.linalg.norm(j - j.T) / np.maximum(np.linalg.norm(j), 1e-30) / 2)

    assert not verdict(halved, g.JacobianAsymmetry()).conforms
