"""The classifiers' steps restated in sixty digits, and what the paper proves and tabulates of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from tests.optimizers.tracked import Tracked, dot, exponential, holds, lift, total

RANDOM = np.random.default_rng(4)
Z = RANDOM.standard_normal((7, 3)) + 0.5
THETA = RANDOM.standard_normal(3)


def share(margin: Tracked) -> Tracked:
    """sigmoid(-margin)."""
    return 1.0 / (1.0 + exponential(margin))


def stepped(cls: Any, lr: float) -> list[Tracked]:
    margins = [dot(row, THETA) for row in Z]
    wrong = [1.0 if m < 0.0 else 0.0 for m in margins]
    weights: list[Any] = {
        o.LogisticDescent: [lr * share(m) / len(Z) for m in margins],
        o.NormalizedLogisticDescent: [lr * share(m) / total(share(k) for k in margins) for m in margins],
        o.BatchPerceptron: [lift(w) / len(Z) for w in wrong],
        o.NormalizedBatchPerceptron: [lift(w) / sum(wrong) for w in wrong],
        o.Perceptron: [1.0 if i == wrong.index(1.0) else 0.0 for i in range(len(Z))],
    }[cls]
    return [THETA_j + dot(weights, column) for THETA_j, column in zip(map(lift, THETA), Z.T.tolist(), strict=True)]


@pytest.mark.parametrize("lr", [0.25, 8.0])
@pytest.mark.parametrize("cls", [o.LogisticDescent, o.NormalizedLogisticDescent], ids=lambda c: c.__name__)
def test_descent(cls: Any, lr: float) -> None:
    holds(cls(lr=lr)(THETA, Z), stepped(cls, lr))


@pytest.mark.parametrize(
    "cls", [o.BatchPerceptron, o.NormalizedBatchPerceptron, o.Perceptron], ids=lambda c: c.__name__
)
def test_perceptrons(cls: Any) -> None:
    holds(cls()(THETA, Z), stepped(cls, 1.0))


def iterations(rule: Any, z: np.ndarray, most: int) -> int:
    """Steps from zero until every margin is positive."""
    theta = np.zeros(z.shape[1])
    for count in range(most):
        if np.all(z @ theta > 0):
            return count
        theta = rule(theta, z)
    return most


def test_the_papers_table() -> None:
    """Table 1: one example of class +1 and 999 of class -1, at the worst."""
    z = np.asarray([[0.5, -1.0], *([[0.5, 1.0]] * 999)])
    found = {lr: iterations(o.NormalizedLogisticDescent(lr=lr), z, 500) for lr in (100.0, 10.0, 1.0, 0.1)}
    assert found == {100.0: 2, 10.0: 2, 1.0: 16, 0.1: 157}
    assert iterations(o.LogisticDescent(lr=100.0), z, 500) == 308
    assert iterations(o.BatchPerceptron(), z, 500) == 301
    assert iterations(o.NormalizedBatchPerceptron(), z, 500) == 2


@pytest.mark.parametrize("seed", range(20))
def test_the_papers_bounds(seed: int) -> None:
    """Theorems 3.3, 5.2, 5.3 and 6.1: the numbers of iterations for data that can be separated with margin mu."""
    random = np.random.default_rng(seed)
    direction = np.asarray([0.6, 0.8])
    z = random.uniform(-1, 1, (20, 2))
    z = np.where((z @ direction < 0)[:, None], -z, z) + 0.125 * direction
    n, radius = len(z), np.max(np.linalg.norm(z, axis=1))
    mu = np.min(z @ direction)  # a lower bound of the largest margin
    size = radius**2 / mu**2
    assert iterations(o.BatchPerceptron(), z, 10**5) <= n * size
    assert iterations(o.NormalizedBatchPerceptron(), z, 10**5) <= size
    assert iterations(o.Perceptron(), z, 10**5) <= size
    assert iterations(o.NormalizedLogisticDescent(lr=1.0), z, 10**5) <= size + 2 * math.log(2 * n - 1) / mu**2


def test_large_steps_are_the_batch_perceptrons() -> None:
    """Theorem 3.2 for three steps: theta / lr tends to the perceptron's."""
    theta, lr = np.zeros(3), 1e8
    perceptron = np.zeros(3)
    for _ in range(3):
        theta, perceptron = o.LogisticDescent(lr=lr)(theta, Z), o.BatchPerceptron()(perceptron, Z)
        margins = np.abs(Z @ perceptron)
        # a share differs from 0 or 1 by exp(-lr margin) at most, besides rounding
        assert np.min(margins) * lr > 50
        assert np.max(np.abs(theta / lr - perceptron)) <= 64 * 2.0**-53 * np.max(np.abs(Z))


def test_margins_may_be_huge() -> None:
    far = o.NormalizedLogisticDescent(lr=1.0)(np.full(3, 1e6), np.abs(Z))
    assert np.all(np.isfinite(far))
    assert np.linalg.norm(far - 1e6) <= np.max(np.linalg.norm(Z, axis=1)) + 3 * 1e6 * 2.0**-52
    with pytest.raises(ArgumentError, match="one weight an input"):
        o.LogisticDescent()(np.zeros(2), Z)
