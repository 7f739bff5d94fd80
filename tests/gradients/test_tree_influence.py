"""Influence by trees: derivatives by finite differences, leave-one-out by refitting, and the faults of published programs."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.gradients import (
    BoostInfluence,
    LeafInfluence,
    LeafRefit,
    RelabelInfluence,
    RepresenterInfluence,
    RepresenterWeights,
)

LR, L2 = 0.1, 0.7


def derivatives(loss: str, at: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    share = 1 / (1 + np.exp(-at))
    return (at - target, np.ones_like(at)) if loss == "squared" else (share - target, share * (1 - share))


def loss_of(loss: str, at: np.ndarray, target: np.ndarray) -> np.ndarray:
    return (at - target) ** 2 / 2 if loss == "squared" else np.log1p(np.exp(at)) - target * at


class Boosted:
    """Trees of given leaves, whose values are fitted to weighted examples one after the other."""

    def __init__(self, loss: str, seed: int, trees: int = 3) -> None:
        random = np.random.default_rng(seed)
        self.loss, self.trees = loss, trees
        self.leaves, self.test_leaves = random.integers(0, 3, (8, trees)), random.integers(0, 3, (4, trees))
        self.target, self.test_target = random.random(8).round(), random.random(4).round()

    def fitted(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The stored values, and the test examples' predictions."""
        values, at, test_at = np.zeros((self.trees, 3)), np.zeros(8), np.zeros(4)
        for tree in range(self.trees):
            g, h = derivatives(self.loss, at, self.target)
            for leaf in range(3):
                inside = self.leaves[:, tree] == leaf
                values[tree, leaf] = -LR * (weights * g)[inside].sum() / ((weights * h)[inside].sum() + L2)
            at = at + values[tree][self.leaves[:, tree]]
            test_at = test_at + values[tree][self.test_leaves[:, tree]]
        return values, test_at

    def arrays(self) -> tuple[np.ndarray, ...]:
        return self.fitted(np.ones(8))[0], self.target, self.test_target, self.leaves, self.test_leaves


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("seed", range(3))
def test_leaf_influence_is_the_derivative_of_predictions_by_weights(loss: str, seed: int) -> None:
    model = Boosted(loss, seed)
    found = LeafInfluence(lr=LR, l2=L2, loss=loss)(*model.arrays())
    _, at = model.fitted(np.ones(8))
    slope = derivatives(loss, at, model.test_target)[0]
    for i in range(8):
        more, less = (model.fitted(np.ones(8) + sign * 1e-5 * np.eye(8)[i])[1] for sign in (1, -1))
        np.testing.assert_allclose(found[i], -slope * (more - less) / 2e-5, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("seed", range(3))
def test_leaf_refit_is_leaving_one_out(loss: str, seed: int) -> None:
    model = Boosted(loss, seed)
    found = LeafRefit(lr=LR, l2=L2, loss=loss)(*model.arrays())
    before = loss_of(loss, model.fitted(np.ones(8))[1], model.test_target)
    for i in range(8):
        after = loss_of(loss, model.fitted(1 - np.eye(8)[i])[1], model.test_target)
        np.testing.assert_allclose(found[i], after - before, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_boost_influence_of_one_tree_is_the_derivative_of_its_leaf(loss: str) -> None:
    model = Boosted(loss, 5, trees=1)
    found = BoostInfluence(lr=LR, l2=L2, loss=loss)(*model.arrays())
    slope = derivatives(loss, np.zeros(4), model.test_target)[0]
    for i in range(8):
        more, less = (model.fitted(np.ones(8) + sign * 1e-5 * np.eye(8)[i])[1] for sign in (1, -1))
        np.testing.assert_allclose(found[i], -slope * (more - less) / 2e-5, rtol=1e-6, atol=1e-10)
    apart = model.leaves[:, 0, None] != model.test_leaves[None, :, 0]
    assert not found[apart].any()


def test_the_stored_value_turns_the_sign_of_boost_influence() -> None:
    """One leaf, y = (1, 2, 4), lr 0.1, l2 1: theta is 7/4, and D = lr (g + theta) / 4, in fractions."""
    target = np.array([1.0, 2.0, 4.0])
    arrays = np.array([[0.175]]), target, np.array([-1.0]), np.zeros((3, 1), int), np.zeros((1, 1), int)
    right, wrong = (BoostInfluence(leaf_value=each)(*arrays)[:, 0] for each in ("unshrunk", "stored"))
    exact = [Fraction(1, 10) * (-Fraction(y) + Fraction(7, 4)) / 4 for y in (1, 2, 4)]
    assert list(map(float, exact)) == [0.01875, -0.00625, -0.05625]
    np.testing.assert_allclose(right, [float(e) for e in exact], rtol=1e-14)
    np.testing.assert_allclose(wrong, [-0.020625, -0.045625, -0.095625], rtol=1e-14)
    assert np.sum(right) == pytest.approx(-0.1 * 1.75 / 4)  # of a leaf: -lr l2 theta / (H + l2)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_leaves_count_by_their_examples(loss: str) -> None:
    """BoostInW1 and W2: of one tree each leaf's part over the number of its examples, and over its square."""
    model = Boosted(loss, 5, trees=1)
    plain, once, twice = (
        BoostInfluence(lr=LR, l2=L2, loss=loss, counted=each)(*model.arrays()) for each in ("none", "once", "twice")
    )
    count = (model.leaves[:, 0, None] == model.leaves[None, :, 0]).sum(1)[:, None]
    np.testing.assert_allclose(once * count, plain, rtol=1e-14)
    np.testing.assert_allclose(twice * count**2, plain, rtol=1e-14)


@pytest.mark.parametrize("counted", ["none", "once"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_relabelled_influence_is_one_derivative_less_another(loss: str, counted: str) -> None:
    """Of one tree: the derivative of its leaf by an example's weight, less that by its weight with the other label."""
    model, other = Boosted(loss, 6, trees=1), 1 - Boosted(loss, 6, trees=1).target
    values, target, test_target, leaves, test_leaves = model.arrays()
    found = RelabelInfluence(lr=LR, l2=L2, loss=loss, counted=counted)(
        values, target, other, test_target, leaves, test_leaves
    )
    slope = derivatives(loss, np.zeros(4), test_target)[0]
    for i in range(8):
        moved = np.zeros(4)
        for labels, sign in ((target, 1.0), (np.where(np.arange(8) == i, other, target), -1.0)):
            g, h = derivatives(loss, np.zeros(8), labels)
            inside = leaves[:, 0] == leaves[i, 0]
            # theta is that of the leaf as it stands; the example's own part is taken with either label
            theta = values[0, leaves[i, 0]] / LR
            part = sign * LR * (g[i] + theta * h[i]) / (h[inside].sum() + L2)
            moved += np.where(test_leaves[:, 0] == leaves[i, 0], part / (inside.sum() if counted == "once" else 1), 0)
        np.testing.assert_allclose(found[i], moved * slope, rtol=1e-12, atol=1e-15)
    same = RelabelInfluence(lr=LR, l2=L2, loss=loss)(values, target, target, test_target, leaves, test_leaves)
    assert not same.any()


def test_leaf_refit_at_the_predictions_after_the_tree_is_no_leave_one_out() -> None:
    model = Boosted("logistic", 1, trees=1)
    rules = [LeafRefit(lr=LR, l2=L2, loss="logistic", gradients=each) for each in ("before", "after")]
    before, after = (rule(*model.arrays()) for rule in rules)
    assert np.abs(before - after).max() > 1e-3


def gradient_descent(features: np.ndarray, target: np.ndarray, l2: float) -> np.ndarray:
    """Another way to the head: many small steps."""
    x = features.astype(np.float64)
    weights, scale = np.zeros(x.shape[1]), np.abs(x).max(initial=0.0) or 1.0
    rate = 1 / (0.25 * np.square(x).sum() / max(len(x), 1) + 2 * l2)
    for _ in range(20_000 if scale < 10 else 0):
        weights -= rate * (x.T @ (1 / (1 + np.exp(-(x @ weights))) - target) / len(x) + 2 * l2 * weights)
    return ((target - 1 / (1 + np.exp(-(x @ weights)))) / (2 * l2 * len(x))).astype(features.dtype)


def test_representer_weights_by_another_way_and_by_half_of_them() -> None:
    features = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    cases = refgrad.Cases([{"features": features, "target": np.array([0, 1, 1, 0, 1, 0])}])
    verdict = refgrad.verify(gradient_descent, RepresenterWeights(l2=0.05), inputs=cases, explain=False)
    assert verdict.conforms, str(verdict)
    half: Any = lambda features, target, l2: gradient_descent(features, target, l2) / np.float32(2)  # noqa: E731
    assert not refgrad.verify(half, RepresenterWeights(l2=0.05), inputs=cases, explain=False, shrink=False).conforms
    alpha = RepresenterWeights(l2=0.05)(features.astype(float), cases.arrays[0]["target"])
    weights = features.T.astype(float) @ alpha
    slope = features.T @ (1 / (1 + np.exp(-(features @ weights))) - cases.arrays[0]["target"]) / 6 + 0.1 * weights
    np.testing.assert_allclose(slope, 0, atol=1e-7)


def test_representer_influence_is_the_loss_without_a_part() -> None:
    random = np.random.default_rng(2)
    alpha, kernel, target = random.standard_normal(4), random.standard_normal((4, 2)), random.random(2)
    for loss in ("squared", "logistic"):
        found = RepresenterInfluence(loss=loss)(alpha, kernel, target)
        for i in range(4):
            less = np.delete(alpha, i) @ np.delete(kernel, i, axis=0)
            expected = loss_of(loss, less, target) - loss_of(loss, alpha @ kernel, target)
            np.testing.assert_allclose(found[i], expected, rtol=1e-12, atol=1e-14)
