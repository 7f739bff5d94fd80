"""Influence and scores of examples: derivatives by torch, exact numbers, properties and edges."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import refgrad
from refgrad.gradients import (
    CheckpointInfluence,
    ErrorNorm,
    ForgettingCount,
    ImportanceWeightedMean,
    LastLayerGradientNorm,
    LossChangeTerms,
    OppositionCosine,
    PathScore,
    ScoreSampling,
)
from tests.gradients.judged import verdict

RANDOM = np.random.default_rng(7)


@pytest.mark.parametrize("bias", [True, False])
def test_the_norm_of_a_last_layers_gradient_is_that_of_autograd(bias: bool) -> None:
    torch = pytest.importorskip("torch")
    features, labels = RANDOM.standard_normal((5, 3)), np.array([0, 3, 1, 1, 2])
    layer = torch.nn.Linear(3, 4, bias=bias, dtype=torch.float64)
    logits = layer(torch.from_numpy(features))
    expected = []
    for i in range(5):
        one = torch.nn.functional.cross_entropy(layer(torch.from_numpy(features[i])), torch.tensor(labels[i]))
        parts = torch.autograd.grad(one, list(layer.parameters()))
        expected.append(float(torch.sqrt(sum((p * p).sum() for p in parts))))
    found = LastLayerGradientNorm(bias=bias)(logits.detach().numpy(), features, labels)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_error_norm_is_between_zero_and_the_root_of_two_and_knows_no_shift() -> None:
    logits, labels = 20 * RANDOM.standard_normal((50, 6)), RANDOM.integers(0, 6, 50)
    found = ErrorNorm()(logits, labels)
    assert found.min() >= 0
    assert found.max() <= np.sqrt(2)
    np.testing.assert_allclose(ErrorNorm()(logits + 3.0, labels), found, rtol=1e-9, atol=1e-12)
    order = RANDOM.permutation(6)
    np.testing.assert_allclose(ErrorNorm()(logits[:, order], np.argsort(order)[labels]), found, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ErrorNorm(norm="manhattan")(np.zeros((1, 4)), np.array([2])), [1.5])


def test_checkpoint_influence_is_a_sum_of_products_in_fractions() -> None:
    train, test, rate = RANDOM.integers(-4, 5, (2, 3, 4)), RANDOM.integers(-4, 5, (2, 2, 4)), [0.5, 0.125]
    found = CheckpointInfluence()(train.astype(float), test.astype(float), np.array(rate))
    for i, q in np.ndindex(3, 2):
        exact = sum(Fraction(rate[c]) * int(train[c, i] @ test[c, q]) for c in range(2))
        assert Fraction(found[i, q]) == exact
    own = CheckpointInfluence()(train.astype(float), train.astype(float), np.array(rate))
    assert (np.diag(own) >= 0).all()
    assert np.array_equal(own, own.T)
    one = lambda train, test, rate: np.einsum("cnp,ctp->nt", train, test)  # noqa: E731
    assert not refgrad.verify(one, CheckpointInfluence(), explain=False, shrink=False).conforms  # a rate that is lost


def test_forgetting_counts_turns_from_right_to_wrong() -> None:
    margin = np.array([[1.0, -1.0, 1.0], [-1.0, -1.0, 1.0], [1.0, 0.0, 1.0], [-2.0, -1.0, 1.0]])
    assert ForgettingCount()(margin).tolist() == [2.0, np.inf, 0.0]


def test_loss_changes_terms_are_exact_of_quadratic_losses() -> None:
    roots, centres, at = RANDOM.standard_normal((4, 3, 3)), RANDOM.standard_normal((4, 3)), RANDOM.standard_normal(3)
    hessians = roots @ roots.transpose(0, 2, 1)
    losses = lambda p: np.array([(p - c) @ h @ (p - c) / 2 for c, h in zip(centres, hessians, strict=True)])  # noqa: E731
    gradients = np.stack([h @ (at - c) for c, h in zip(centres, hessians, strict=True)])
    first, second = LossChangeTerms(lr=0.1)(gradients, hessians)
    np.testing.assert_allclose(first + second, losses(at - 0.1 * gradients.mean(axis=0)) - losses(at), rtol=1e-10)
    np.testing.assert_allclose(first.mean(), -0.1 * np.sum(gradients.mean(axis=0) ** 2), rtol=1e-12)


def test_opposing_groups_have_the_cosine_minus_one() -> None:
    gradients = np.array([[2.0, 0.0], [-2.0, 0.0], [0.0, 1.0]])
    assert OppositionCosine(count=1)(np.array([1.0, -1.0, 0.0]), gradients) == -1.0
    change, many = RANDOM.standard_normal(9), RANDOM.standard_normal((9, 4))
    assert OppositionCosine(count=3)(change, many) == pytest.approx(OppositionCosine(count=3)(-change, many), rel=1e-14)
    assert OppositionCosine(count=1)(np.zeros(2), np.zeros((2, 3))) == 0.0


def test_sampling_adds_up_to_one_and_has_a_floor() -> None:
    scores = RANDOM.random(20)
    for share in (0.0, 0.3, 1.0):
        found = ScoreSampling(share=share)(scores)
        assert found.sum() == pytest.approx(1.0, rel=1e-14)
        assert found.min() >= (1 - share) / 20 * (1 - 1e-12)
        assert share == 0 or np.array_equal(np.argsort(found), np.argsort(scores))
    assert ScoreSampling()(np.zeros(4)).tolist() == [0.25] * 4
    assert np.isnan(ScoreSampling(empty="undefined")(np.zeros(4))).all()


def test_the_weighted_mean_has_the_mean_of_all_over_draws_and_the_authors_has_not() -> None:
    gradients, probability = RANDOM.standard_normal((5, 3)), np.array([0.1, 0.2, 0.3, 0.15, 0.25])
    for weights, same in (("inverse", True), ("none", False)):
        rule = ImportanceWeightedMean(examples=5, weights=weights)
        over_draws = sum(q * rule(gradients[i : i + 1], probability[i : i + 1]) for i, q in enumerate(probability))
        assert np.allclose(over_draws, gradients.mean(axis=0), rtol=1e-12) == same


def test_path_scores_are_mean_norms_averaged_with_the_last() -> None:
    """Five edges, three operations: of the first two edges, of the second one whose gradients are zero, of the third none."""
    weights = np.array([[3.0, 4.0], [0.0, 5.0], [0.0, 0.0], [6.0, 8.0], [0.0, 0.0]])
    biases = np.array([[1.0], [2.0], [0.0], [0.0], [0.0]])
    operation, score = np.array([0, 0, 1, 0, 1]), np.array([7.0, 3.0, 0.25])
    found = PathScore()(weights, biases, operation, score)
    assert found.tolist() == [(7 + (5 + 1 + 5 + 2 + 10) / 3) / 2, 3.0, 0.25]
    order = np.array([4, 2, 0, 1, 3])
    np.testing.assert_allclose(PathScore()(weights[order], biases[order], operation[order], score), found, rtol=1e-15)


def test_verdicts_of_path_scores() -> None:
    def scored(w: np.ndarray, b: np.ndarray, operation: np.ndarray, score: np.ndarray, wrong: str = "") -> np.ndarray:
        found = score.astype(float)
        for op in range(len(score)):
            there = operation == op
            norms = [*np.linalg.norm(w[there], axis=1), *np.linalg.norm(b[there], axis=1)]
            if there.any() and sum(norms):
                new = sum(norms) / (1 if wrong == "sum" else len(norms) if wrong == "each" else there.sum())
                found[op] = new if wrong == "forgotten" else (new + score[op]) / 2
        return found.astype(score.dtype)

    assert verdict(scored, PathScore()).conforms
    for wrong in ("sum", "each", "forgotten"):
        assert not verdict(lambda *a, wrong=wrong: scored(*a, wrong), PathScore()).conforms, wrong
