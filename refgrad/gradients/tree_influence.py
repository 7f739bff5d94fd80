"""Influence of training examples on predictions of gradient-boosted trees, and by representer points.

Trees are handed in by the leaf that each example falls into and by the leaves' values as they are stored, ``lr`` times what a
Newton step gives. Predictions start at zero. The target of the logistic loss is from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.errors import bad_argument
from refgrad.gradients.solved import Conditions, Solved
from refgrad.optimizers.transform import Transform, check_axes, check_same
from refgrad.rule import Choice, Citation, Positive, Range, by

_BROPHY = Citation(
    "Brophy, Hammoudeh & Lowd 2023",
    "Adapting and Evaluating Influence-Estimation Methods for Gradient-Boosted Decision Trees",
    "JMLR, arXiv:2205.00359",
    read="authors' code",
    source="jjbrophy47/tree_influence a325794, by notes on it, and a derivation",
)
_SHARCHILEV = Citation(
    "Sharchilev, Ustinovskiy, Serdyukov & de Rijke 2018",
    "Finding Influential Training Samples for Gradient Boosted Decision Trees",
    "ICML, arXiv:1802.06640",
    source="independent notes on jjbrophy47/tree_influence a325794",
)
Loss = Annotated[
    str,
    Choice(squared="half the squared error", logistic="the logistic loss of a log odds"),
]


LeafWeight = Annotated[
    str,
    Choice(
        none=by("every leaf counts alike", "authors: BoostIn"),
        once=by("a leaf counts one over its number of training examples", "authors: BoostInW1"),
        twice=by("a leaf counts one over the square of its number of training examples", "authors: BoostInW2"),
    ),
]


class _OfTrees(Transform):
    """What influences by trees share."""

    lr: Positive = 0.1
    l2: Positive = 1.0
    loss: Loss = "squared"
    shapes: ClassVar[Mapping[str, str]] = {
        "values": "tree leaf",
        "target": "n",
        "test_target": "q",
        "leaves": "n tree below:leaf",
        "test_leaves": "q tree below:leaf",
    }
    lengths: ClassVar[Mapping[str, int]] = {"tree": 2, "leaf": 3, "n": 5, "q": 3}
    longest: ClassVar[Mapping[str, int]] = {"tree": 7, "leaf": 17, "n": 17, "q": 65}

    def check(self, *arrays: np.ndarray) -> None:
        values, target, test_target, leaves, test_leaves = arrays
        check_axes(values, "values", 2, "trees and leaves")
        for name, numbers, where in (("leaves", target, leaves), ("test_leaves", test_target, test_leaves)):
            check_axes(numbers, name.replace("leaves", "target"), 1, "examples")
            check_same(where, name, (len(numbers), len(values)), "one leaf an example and tree")
            if where.size and not 0 <= int(where.min()) <= int(where.max()) < values.shape[1]:
                raise bad_argument(name, where.tolist(), f"leaves from 0 to {values.shape[1] - 1}")


class BoostInfluence(_OfTrees):
    """The influence of training examples on test examples by derivatives of leaves' values by the examples' weights (BoostIn).

    Gives [example, test example]; positive lowers the test loss. Examples that never share a leaf have none. Source: Brophy,
    Hammoudeh & Lowd 2023, arXiv:2205.00359.
    """

    leaf_value: Annotated[
        str,
        Choice(
            unshrunk="the leaf's value before it is multiplied by lr, as the derivative has it",
            stored=by("the stored value, lr times too small, which turns signs", "authors"),
        ),
    ] = "unshrunk"
    counted: LeafWeight = "none"
    citation = _BROPHY
    unspecified = "the first prediction: zero"

    def apply(self, values: Any, target: Any, test_target: Any, leaves: Any, test_leaves: Any) -> Any:
        at, test_at = 0.0 * target, 0.0 * test_target
        found = 0.0 * (target[:, None] + test_target[None, :])
        for tree in range(len(values)):
            leaf, test_leaf, value = leaves[:, tree], test_leaves[:, tree], values[tree]
            g, h, _ = _derivatives(self.loss, at, target)
            test_g, _, _ = _derivatives(self.loss, test_at, test_target)
            theta = value / self.lr if self.leaf_value == "unshrunk" else value
            slope = self.lr * (g + theta[leaf] * h) / (_by_leaf(h, leaf, values.shape[1])[leaf] + self.l2)
            slope = slope * _leaf_weight(self.counted, leaf)
            together = leaf[:, None] == test_leaf[None, :]
            found = found + np.where(together, slope[:, None] * test_g[None, :], 0.0)
            at, test_at = at + value[leaf], test_at + value[test_leaf]
        return found


class RelabelInfluence(_OfTrees):
    """The influence of training examples on test examples if each were taken away and put back with another label (BoostInLE).

    ``other`` [example]: the labels that they would have. The leaf's derivative by the example, less that by the example with its
    other label, whose second derivative then stands in the leaf's sum. Gives [example, test example]; positive lowers the test
    loss. Source: Brophy, Hammoudeh & Lowd 2023, arXiv:2205.00359.
    """

    leaf_value: Annotated[
        str,
        Choice(
            unshrunk="the leaf's value before it is multiplied by lr, as the derivative has it",
            stored=by("the stored value, lr times too small, which turns signs", "authors"),
        ),
    ] = "unshrunk"
    counted: LeafWeight = "none"
    citation = Citation(
        _BROPHY.authors,
        _BROPHY.title,
        _BROPHY.where,
        read="authors' code",
        source="jjbrophy47/tree_influence a325794, explainers/boostinLE.py, boostinW1LE.py and boostinW2LE.py",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "values": "tree leaf",
        "target": "n",
        "other": "n",
        "test_target": "q",
        "leaves": "n tree below:leaf",
        "test_leaves": "q tree below:leaf",
    }
    unspecified = (
        "the first prediction: zero; which value of a leaf: either gives the same with these losses, whose second derivatives "
        "do not depend on the label"
    )

    def check(self, *arrays: np.ndarray) -> None:
        super().check(*arrays[:2], *arrays[3:])
        check_same(arrays[2], "other", arrays[1].shape, "the shape of target")

    def apply(self, values: Any, target: Any, other: Any, test_target: Any, leaves: Any, test_leaves: Any) -> Any:
        at, test_at = 0.0 * target, 0.0 * test_target
        found = 0.0 * (target[:, None] + test_target[None, :])
        for tree in range(len(values)):
            leaf, test_leaf, value = leaves[:, tree], test_leaves[:, tree], values[tree]
            g, h, _ = _derivatives(self.loss, at, target)
            new_g, new_h, _ = _derivatives(self.loss, at, other)
            test_g, _, _ = _derivatives(self.loss, test_at, test_target)
            theta = value[leaf] / self.lr if self.leaf_value == "unshrunk" else value[leaf]
            whole = _by_leaf(h, leaf, values.shape[1])[leaf] + self.l2
            slope = self.lr * ((g + theta * h) / whole - (new_g + theta * new_h) / (whole - h + new_h))
            slope = slope * _leaf_weight(self.counted, leaf)
            together = leaf[:, None] == test_leaf[None, :]
            found = found + np.where(together, slope[:, None] * test_g[None, :], 0.0)
            at, test_at = at + value[leaf], test_at + value[test_leaf]
        return found


class LeafInfluence(_OfTrees):
    """The influence of training examples by the derivatives of all leaves, each through the predictions of trees before it.

    Gives [example, test example]; positive lowers the test loss. Source: Sharchilev et al. 2018, arXiv:1802.06640.
    """

    update: Annotated[
        str,
        Choice(
            all="every example's prediction moves with its leaves",
            single=by("the example's own prediction alone moves", "tree_influence: an option"),
        ),
    ] = "all"
    citation = _SHARCHILEV
    unspecified = "the first prediction: zero"

    def apply(self, values: Any, target: Any, test_target: Any, leaves: Any, test_leaves: Any) -> Any:
        at, test_at, own = 0.0 * target, 0.0 * test_target, np.eye(len(target), dtype=bool)
        moved = 0.0 * (target[:, None] + target[None, :])
        test_moved = 0.0 * (target[:, None] + test_target[None, :])
        for tree in range(len(values)):
            leaf, test_leaf, value = leaves[:, tree], test_leaves[:, tree], values[tree]
            g, h, bent = _derivatives(self.loss, at, target)
            theta = value[leaf] / self.lr
            each = moved * (h + theta * bent)[None, :] + np.where(own, (g + theta * h)[None, :], 0.0)
            changed = -self.lr * _by_leaf(each, leaf, values.shape[1])
            changed = changed / (_by_leaf(h, leaf, values.shape[1]) + self.l2)[None, :]
            if self.update == "all":
                moved = moved + changed[:, leaf]
            else:
                moved = moved + np.where(own, changed[:, leaf], 0.0)
            test_moved = test_moved + changed[:, test_leaf]
            at, test_at = at + value[leaf], test_at + value[test_leaf]
        return -_derivatives(self.loss, test_at, test_target)[0][None, :] * test_moved


class LeafRefit(_OfTrees):
    """The change of each test example's loss where all leaves are computed anew without a training example.

    The trees' splits stay. Gives [example, test example]; positive where the loss rises without it. Source: Sharchilev et al.
    2018, arXiv:1802.06640.
    """

    gradients: Annotated[
        str,
        Choice(
            before="at the predictions before the tree, as it was grown",
            after=by("at the predictions after the tree, which is no leave-one-out", "tree_influence"),
        ),
    ] = "before"
    citation = _SHARCHILEV
    unspecified = "the first prediction: zero"

    def apply(self, values: Any, target: Any, test_target: Any, leaves: Any, test_leaves: Any) -> Any:
        at, test_at, others = 0.0 * target, 0.0 * test_target, ~np.eye(len(target), dtype=bool)
        moved = 0.0 * (target[:, None] + target[None, :])
        test_moved = 0.0 * (target[:, None] + test_target[None, :])
        for tree in range(len(values)):
            leaf, test_leaf, value = leaves[:, tree], test_leaves[:, tree], values[tree]
            point = at if self.gradients == "before" else at + value[leaf]
            g, h, _ = _derivatives(self.loss, point[None, :] + moved, target[None, :])
            sums = [_by_leaf(np.where(others, each, 0.0), leaf, values.shape[1]) for each in (g, h)]
            changed = -self.lr * sums[0] / (sums[1] + self.l2) - value[None, :]
            moved, test_moved = moved + changed[:, leaf], test_moved + changed[:, test_leaf]
            at, test_at = at + value[leaf], test_at + value[test_leaf]
        before = _loss(self.loss, test_at, test_target)
        return _loss(self.loss, test_at[None, :] + test_moved, test_target[None, :]) - before[None, :]


class RepresenterWeights(Solved):
    """The weights of training examples in a linear head that is trained to convergence on their features (TREX's alpha).

    The head is least of the mean loss plus ``l2`` times its squared norm, so that it is the sum of weights times features. Judged
    by that equation, example by example. The loss is logistic, ``target`` 0 or 1. Source: Brophy, Hammoudeh & Lowd 2023,
    arXiv:2205.00359; Yeh et al. 2018.
    """

    l2: Positive = 0.003
    tolerance: Annotated[float, Range(0.0, 1e-2)] = 1e-4
    citation = _BROPHY
    shapes: ClassVar[Mapping[str, str]] = {"features": "n p", "target": "n below:2"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 6, "p": 3}
    longest: ClassVar[Mapping[str, int]] = {"n": 33, "p": 33}
    unspecified = "how the head is trained: any way; with no bias"

    def check(self, *arrays: np.ndarray) -> None:
        check_axes(arrays[0], "features", 2, "examples and features")
        check_same(arrays[1], "target", arrays[0].shape[:1], "one an example")

    def apply(self, features: Any, target: Any) -> Any:
        x, n = np.asarray(features, np.float64), len(target)
        weights = np.zeros(x.shape[1])
        for _ in range(200):
            odds = x @ weights
            shares = _sigmoid(odds)
            slope = x.T @ (shares - target) / n + 2 * self.l2 * weights
            bent = (x * (shares * (1 - shares))[:, None]).T @ x / n + 2 * self.l2 * np.eye(x.shape[1])
            step, size = np.linalg.solve(bent, slope), 1.0
            now = self._objective(x, target, weights)
            while size > 1e-12 and not self._objective(x, target, weights - size * step) <= now:
                size /= 2
            weights = weights - size * step
            if size <= 1e-12 or np.linalg.norm(step) <= 1e-14 * (1 + np.linalg.norm(weights)):
                break
        return (target - _sigmoid(x @ weights)) / (2 * self.l2 * n)

    def condition(self, features: Any, target: Any, alpha: Any, unit: float) -> Conditions:
        n, kernel = len(target), features @ features.T
        known_to = 8 * unit * (np.abs(kernel) @ np.abs(alpha) + 2 * self.l2 * n * np.abs(alpha))
        return {
            "what the weight and the prediction's error differ by": (
                2 * self.l2 * n * alpha - (target - _sigmoid(kernel @ alpha)),
                self.tolerance + known_to,
            )
        }

    def _objective(self, x: np.ndarray, target: np.ndarray, weights: np.ndarray) -> float:
        return float(np.mean(_loss("logistic", x @ weights, target)) + self.l2 * np.sum(weights * weights))


class RepresenterInfluence(Transform):
    """The change of each test example's loss without a training example's part of a representer's prediction (TREX).

    ``alpha`` [example], ``kernel`` [example, test example], ``target`` [test example]. Gives [example, test example]. Source:
    Brophy, Hammoudeh & Lowd 2023, arXiv:2205.00359.
    """

    loss: Loss = "squared"
    citation = _BROPHY
    shapes: ClassVar[Mapping[str, str]] = {"alpha": "n", "kernel": "n q", "target": "q"}
    lengths: ClassVar[Mapping[str, int]] = {"n": 5, "q": 3}
    unspecified = "the bias of the head: none"

    def check(self, *arrays: np.ndarray) -> None:
        alpha, kernel, target = arrays
        check_axes(kernel, "kernel", 2, "examples and test examples")
        check_same(alpha, "alpha", kernel.shape[:1], "one an example")
        check_same(target, "target", kernel.shape[1:], "one a test example")

    def apply(self, alpha: Any, kernel: Any, target: Any) -> Any:
        parts = alpha[:, None] * kernel
        whole = np.sum(parts, axis=0)
        without = _loss(self.loss, whole[None, :] - parts, target[None, :])
        return without - _loss(self.loss, whole, target)[None, :]


def _leaf_weight(counted: str, leaf: np.ndarray) -> Any:
    """By what each example's part is multiplied: a power of one over the number of examples of its leaf."""
    if counted == "none":
        return 1.0
    count = np.sum(leaf[:, None] == leaf[None, :], axis=1).astype(np.float64)
    return 1.0 / (count if counted == "once" else count * count)


def _by_leaf(numbers: Any, leaf: np.ndarray, count: int) -> Any:
    """What is added up in each leaf, along the last axis."""
    inside = leaf[:, None] == np.arange(count)
    return np.sum(np.where(inside, numbers[..., :, None], 0.0), axis=-2)


def _sigmoid(x: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-x))


def _derivatives(loss: str, at: Any, target: Any) -> tuple[Any, Any, Any]:
    """The first, second and third derivatives of a loss by the prediction."""
    if loss == "squared":
        return at - target, 1.0 + 0.0 * at, 0.0 * at
    share = _sigmoid(at)
    return share - target, share * (1.0 - share), share * (1.0 - share) * (1.0 - 2.0 * share)


def _loss(loss: str, at: Any, target: Any) -> Any:
    if loss == "squared":
        return 0.5 * (at - target) * (at - target)
    return np.maximum(at, 0.0) + np.log1p(np.exp(-np.abs(at))) - target * at
