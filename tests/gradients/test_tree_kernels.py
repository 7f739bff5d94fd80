"""Kernels of trees: inner products of the vectors that they are of, scikit-learn's trees, properties, verdicts."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from refgrad.gradients import LeafKernel, PathKernel, TreeOutputKernel
from tests.gradients.judged import verdict


def forest(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return random.integers(-8, 9, (2, 3)) / 8, random.integers(0, 3, (5, 2)), random.integers(0, 3, (3, 2))


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("entry", ["path", "output"])
def test_a_leaf_kernel_is_a_product_of_vectors_of_leaves(entry: str, weighted: bool) -> None:
    values, leaves, test_leaves = forest()
    count = {(t, leaf): int((leaves[:, t] == leaf).sum()) for t, leaf in product(range(2), range(3))}

    def vector(own: np.ndarray) -> list[Fraction]:
        found = [Fraction(0)] * 6
        for t, leaf in enumerate(own):
            value = Fraction(values[t, leaf]) if entry == "output" else Fraction(1)
            found[3 * t + leaf] = value / max(count[t, leaf], 1) if weighted else value
        return found

    found = LeafKernel(entry=entry, weighted=weighted)(values, leaves, test_leaves)
    for i, q in product(range(5), range(3)):
        wanted = sum(a * b for a, b in zip(vector(leaves[i]), vector(test_leaves[q]), strict=True))
        assert found[i, q] == pytest.approx(float(wanted), rel=1e-15)


def test_kernels_of_a_tree_that_was_grown() -> None:
    """Paths of a tree of scikit-learn: a tree of depth one has a root and two leaves."""
    tree = pytest.importorskip("sklearn.tree")
    x, y = np.arange(6.0)[:, None], np.array([0.0, 0, 0, 3, 3, 3])
    grown = tree.DecisionTreeRegressor(max_depth=1).fit(x, y)
    paths, nodes = grown.decision_path(x).toarray(), grown.tree_
    leaf, values = (nodes.children_left < 0).astype(int), nodes.value.ravel()
    same = y[:, None] == y[None]
    np.testing.assert_allclose(PathKernel(weighted=False)(values, leaf, paths, paths), 1.0 + same)
    np.testing.assert_allclose(PathKernel()(values, leaf, paths, paths), 1 / 36 + same / 9)
    np.testing.assert_allclose(
        PathKernel(entry="output", weighted=False)(values, leaf, paths, paths), 1 + 9 * same * (y > 0)
    )
    np.testing.assert_allclose(PathKernel(entry="output")(values, leaf, paths, paths), 1 / 36 + same * (y > 0))
    leaves = np.unique(grown.apply(x), return_inverse=True)[1][:, None]
    of_leaves = LeafKernel(entry="output")(np.sort(values[leaf == 1])[None], leaves, leaves)
    np.testing.assert_allclose(PathKernel(entry="output")(values, leaf, paths, paths) - of_leaves, 1 / 36)
    outputs = grown.predict(x)[:, None]
    np.testing.assert_array_equal(TreeOutputKernel()(outputs, outputs), np.outer(y, y))


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("entry", ["path", "output"])
def test_a_path_kernel_is_a_product_of_vectors_of_nodes(entry: str, weighted: bool) -> None:
    random = np.random.default_rng(3)
    values, leaf = random.integers(-8, 9, 5) / 8, random.integers(0, 2, 5)
    paths, test_paths = random.integers(0, 2, (4, 5)), random.integers(0, 2, (3, 5))
    found = PathKernel(entry=entry, weighted=weighted)(values, leaf, paths, test_paths)
    for i, q in product(range(4), range(3)):
        wanted = Fraction(0)
        for node in range(5):
            number = Fraction(values[node]) if entry == "output" and leaf[node] else Fraction(1)
            number = number / int(paths[:, node].sum() or 1) if weighted else number
            wanted += number * number * int(paths[i, node]) * int(test_paths[q, node])
        assert found[i, q] == pytest.approx(float(wanted), rel=1e-15)


def test_kernels_are_positive_semidefinite_and_know_no_order_of_trees() -> None:
    values, leaves, _ = forest(4)
    for rule in (LeafKernel(), LeafKernel(entry="output"), LeafKernel(weighted=False)):
        square = rule(values, leaves, leaves)
        np.testing.assert_array_equal(square, square.T)
        assert np.linalg.eigvalsh(square).min() > -1e-12
        np.testing.assert_allclose(rule(values[::-1], leaves[:, ::-1], leaves[:, ::-1]), square, rtol=1e-15)


def test_a_leaf_without_training_examples_adds_nothing() -> None:
    values, leaves, test_leaves = np.ones((1, 3)), np.array([[0], [0]]), np.array([[2], [0]])
    np.testing.assert_array_equal(LeafKernel()(values, leaves, test_leaves), [[0, 0.25], [0, 0.25]])


def test_verdicts() -> None:
    def leaf_kernel(values: np.ndarray, leaves: np.ndarray, test_leaves: np.ndarray, wrong: str = "") -> np.ndarray:
        found = np.zeros((len(leaves), len(test_leaves)))
        for t in range(len(values)):
            same = leaves[:, t, None] == test_leaves[None, :, t]
            count = (leaves[:, t, None] == leaves[None, :, t]).sum(1)
            found += (
                same / (count if wrong == "once" else np.ones_like(count) if wrong == "none" else count**2)[:, None]
            )
        return found.astype(values.dtype)

    assert verdict(leaf_kernel, LeafKernel()).conforms
    for wrong in ("once", "none"):
        assert not verdict(lambda *a, wrong=wrong: leaf_kernel(*a, wrong), LeafKernel()).conforms, wrong
