"""Weights of workers by how far they spread: the step in fractions, the filter by its properties and byzfl, verdicts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.gradients import CovarianceFilterStep, covariance_filter
from tests.gradients.judged import verdict


@pytest.mark.parametrize("largest", ["weighted", "all"])
@pytest.mark.parametrize("seed", range(3))
def test_a_step_is_its_equations_in_fractions(seed: int, largest: str) -> None:
    random = np.random.default_rng(seed)
    rows, direction = random.integers(-8, 9, (5, 3)) / 4, random.integers(-4, 5, 3) / 4
    weights = random.integers(0, 5, 5) / 4
    weights[0] = 1.0
    found = CovarianceFilterStep(largest=largest)(rows, weights, direction)
    w, total = [Fraction(x) for x in weights], Fraction(float(weights.sum()))
    mean = [sum(a * Fraction(x) for a, x in zip(w, column, strict=True)) / total for column in rows.T]
    spread = [
        sum((Fraction(x) - m) * Fraction(v) for x, m, v in zip(row, mean, direction, strict=True)) ** 2 for row in rows
    ]
    most = max(s for s, a in zip(spread, w, strict=True) if a or largest == "all")
    kept = [a * max(1 - s / most, Fraction(0)) if most else a for a, s in zip(w, spread, strict=True)]
    np.testing.assert_allclose(found["mean"], np.array(mean, float), rtol=1e-14, atol=1e-15)
    np.testing.assert_allclose(found["weights"], np.array(kept, float), rtol=1e-13, atol=1e-15)
    assert found["variance"] == pytest.approx(float(sum(a * s for a, s in zip(w, spread, strict=True)) / total))


def test_the_largest_among_all_rows_may_end_no_weight() -> None:
    rows, weights, direction = np.array([[0.0], [1.0], [2.0], [9.0]]), np.array([1.0, 1.0, 1.0, 0.0]), np.ones(1)
    ended, slow = (CovarianceFilterStep(largest=each)(rows, weights, direction) for each in ("weighted", "all"))
    np.testing.assert_allclose(ended["weights"], [0, 1, 0, 0])
    np.testing.assert_allclose(slow["weights"], [1 - 1 / 64, 1, 1 - 1 / 64, 0])


@pytest.mark.parametrize("largest", ["weighted", "all"])
@pytest.mark.parametrize("faults", [0, 1, 3])
def test_the_filter_is_loops_over_eigenvectors(faults: int, largest: str) -> None:
    rows = np.random.default_rng(faults).standard_normal((9, 4))
    rows[:faults] += 40.0
    weights, least, wanted = np.ones(9), np.inf, None
    while wanted is None or weights.sum() > 9 - 2 * faults:
        mean = np.average(rows, axis=0, weights=weights)
        values, vectors = np.linalg.eigh(np.cov(rows.T, aweights=weights, ddof=0))
        if values[-1] < least:
            least, wanted = values[-1], mean
        spread = ((rows - mean) @ vectors[:, -1]) ** 2
        among = spread if largest == "all" else spread[weights > 0]
        weights = weights * np.maximum(1 - spread / among.max(), 0)
    found = covariance_filter(rows, faults, largest=largest)
    np.testing.assert_allclose(found.mean, wanted, rtol=1e-9, atol=1e-12)
    assert found.variance == pytest.approx(least, rel=1e-9)
    if faults:
        assert np.abs(found.mean).max() < 2  # the outliers weigh nothing


def test_the_filter_of_numbers_is_byzfls() -> None:
    """In one dimension its power step from a random vector is the direction itself."""
    byzfl = pytest.importorskip("byzfl")
    for seed in range(20):
        rows = np.random.default_rng(seed).standard_normal((9, 1))
        rows[:2] += seed % 7
        found = covariance_filter(rows, 2).mean
        np.testing.assert_allclose(found, byzfl.CAF(f=2)(rows), rtol=1e-12)


def test_the_filter_moves_and_turns_with_the_rows() -> None:
    random = np.random.default_rng(5)
    rows, turn = random.standard_normal((7, 3)), np.linalg.qr(random.standard_normal((3, 3)))[0]
    found = covariance_filter(rows, 2)
    np.testing.assert_allclose(covariance_filter(rows @ turn + 3.0, 2).mean, found.mean @ turn + 3.0, rtol=1e-10)
    np.testing.assert_allclose(covariance_filter(rows[::-1], 2).mean, found.mean, rtol=1e-10, atol=1e-13)
    same = covariance_filter(np.ones((5, 2)), 2)
    assert same.mean.tolist() == [1.0, 1.0]
    assert same.steps == 1
    with pytest.raises(ArgumentError, match="more than 4 rows"):
        covariance_filter(rows[:4], 2)


def stepped(
    gradients: np.ndarray, weights: np.ndarray, direction: np.ndarray, wrong: str = ""
) -> dict[str, np.ndarray]:
    total = np.float64(weights.sum())
    mean = weights.astype(float) @ gradients / (len(weights) if wrong == "plain" else total)
    spread = ((gradients - mean) @ direction.astype(float)) ** (1 if wrong == "no square" else 2)
    most = spread.max()
    kept = np.maximum(1 - spread / most, 0) if most else np.ones_like(spread)
    found = {
        "weights": kept if wrong == "anew" else weights * kept,
        "mean": mean,
        "variance": (weights * spread).sum() / total,
    }
    return {name: np.asarray(value).astype(np.float32) for name, value in found.items()}


def test_verdicts() -> None:
    assert verdict(stepped, CovarianceFilterStep()).conforms
    for wrong in ("plain", "no square", "anew"):
        found = verdict(lambda *arrays, wrong=wrong: stepped(*arrays, wrong), CovarianceFilterStep())
        assert not found.conforms, wrong
