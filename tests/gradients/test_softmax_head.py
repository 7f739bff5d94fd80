"""Softmax heads: equations in sixty digits, torch's automatic differentiation, properties, verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad import gradients as g
from refgrad.errors import ArgumentError
from tests.gradients.judged import drawn, verdict
from tests.optimizers.tracked import dot, exponential, holds, lift, mean, total

SIZES = [{"example": n, "feature": d, "class": k} for n, d, k in ((5, 3, 3), (1, 1, 1), (4, 2, 5))]


def shares(features: np.ndarray, weight: np.ndarray) -> list[list[Any]]:
    found = []
    for z in features:
        logits = [dot(z, w) for w in weight]
        powers = [exponential(x - float(max(y.value for y in logits))) for x in logits]
        found.append([power / total(powers) for power in powers])
    return found


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_the_equations(sizes: dict[str, int]) -> None:
    features, weight, labels = drawn(g.SoftmaxHeadGradient(), 1, **sizes)
    direction = np.random.default_rng(2).standard_normal(weight.shape)
    p, (classes, count) = shares(features, weight), weight.shape
    r = [[x - (k == y) for k, x in enumerate(row)] for row, y in zip(p, labels, strict=True)]
    own = [[[r[i][k] * z[j] for i, z in enumerate(features)] for j in range(count)] for k in range(classes)]
    holds(g.SoftmaxHeadGradient()(features, weight, labels), [[mean(each) for each in row] for row in own])
    centred = [[[(x - mean(each)) * (x - mean(each)) for x in each] for each in row] for row in own]
    holds(g.SoftmaxHeadGradientVariance()(features, weight, labels), [[mean(e) for e in row] for row in centred])
    diagonal = [
        [mean(p[i][k] * (1 - p[i][k]) * lift(z[j]) * z[j] for i, z in enumerate(features)) for j in range(count)]
        for k in range(classes)
    ]
    holds(g.SoftmaxHeadHessianDiagonal()(features, weight), diagonal)
    u = [[dot(z, v) for v in direction] for z in features]
    s = [[p[i][k] * (u[i][k] - dot(p[i], u[i])) for k in range(classes)] for i in range(len(features))]
    product = [[mean(s[i][k] * z[j] for i, z in enumerate(features)) for j in range(count)] for k in range(classes)]
    holds(g.SoftmaxHeadHessianProduct()(features, weight, direction), product)


@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_what_torch_differentiates(sizes: dict[str, int]) -> None:
    torch = pytest.importorskip("torch")
    features, weight, labels = drawn(g.SoftmaxHeadGradient(), 3, **sizes)
    direction = np.random.default_rng(4).standard_normal(weight.shape)
    z, y = torch.tensor(features), torch.tensor(labels)

    def loss(w: Any, rows: Any = slice(None)) -> Any:
        return torch.nn.functional.cross_entropy(z[rows] @ w.T, y[rows])

    w = torch.tensor(weight)
    gradient = torch.autograd.functional.jacobian(loss, w).numpy()
    hessian = torch.autograd.functional.hessian(loss, w).numpy().reshape(weight.size, weight.size)
    own = [torch.autograd.functional.jacobian(lambda w, i=i: loss(w, [i]), w).numpy() for i in range(len(features))]
    near = {"rtol": 1e-12, "atol": 1e-14}
    np.testing.assert_allclose(g.SoftmaxHeadGradient()(features, weight, labels), gradient, **near)
    product = g.SoftmaxHeadHessianProduct()(features, weight, direction)
    np.testing.assert_allclose(product.ravel(), hessian @ direction.ravel(), **near)
    np.testing.assert_allclose(g.SoftmaxHeadHessianDiagonal()(features, weight).ravel(), np.diag(hessian), **near)
    np.testing.assert_allclose(g.SoftmaxHeadGradientVariance()(features, weight, labels), np.var(own, axis=0), **near)


def test_its_hessian_bends_upwards_and_no_class_is_told_from_all() -> None:
    features, weight, direction = drawn(g.SoftmaxHeadHessianProduct(), 5)
    product = g.SoftmaxHeadHessianProduct()(features, weight, direction)
    assert np.sum(product * direction) > 0
    np.testing.assert_allclose(product.sum(axis=0), 0.0, atol=1e-15)
    with pytest.raises(ArgumentError, match="one label an example"):
        g.SoftmaxHeadGradient()(features, weight, np.zeros(2, int))


def shares32(features: np.ndarray, weight: np.ndarray) -> np.ndarray:
    powers = np.exp(features @ weight.T - (features @ weight.T).max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def gradient(features: np.ndarray, weight: np.ndarray, labels: np.ndarray) -> np.ndarray:
    taken = shares32(features, weight)
    taken[np.arange(len(labels)), labels] -= 1
    return np.einsum("ik,ij->kj", taken, features) / np.float32(len(labels))


def added_up(features: np.ndarray, weight: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return gradient(features, weight, labels) * np.float32(len(labels))


def without_the_mean(features: np.ndarray, weight: np.ndarray, direction: np.ndarray) -> np.ndarray:
    return (shares32(features, weight) * (features @ direction.T)).T @ features / np.float32(len(features))


def test_verdicts() -> None:
    assert verdict(gradient, g.SoftmaxHeadGradient()).conforms
    assert not verdict(added_up, g.SoftmaxHeadGradient()).conforms
    assert not verdict(without_the_mean, g.SoftmaxHeadHessianProduct()).conforms
