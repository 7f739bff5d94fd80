"""Centres of gradients: closed forms, properties, other programs that go there by other ways, and wrong ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.gradients import GeometricMedian, LeastDiameterMean, LeastSpreadMean
from refgrad.rule import Rule

#: four corners of a square and a far one, of which several sources tell what rules give
CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [10.0, 10.0]])


def weiszfeld(gradients: np.ndarray, steps: int = 3000) -> np.ndarray:
    """The fixed point that most programs go by."""
    x = gradients.astype(np.float64)
    at = x.mean(axis=0) + 1e-9
    for _ in range(steps):
        distance = np.maximum(np.linalg.norm(x - at, axis=1), 1e-12)
        at = (x / distance[:, None]).sum(axis=0) / (1 / distance).sum()
    return at.astype(gradients.dtype)


def least(size: Callable[[np.ndarray], float], last: bool = False) -> Callable[..., Any]:
    """A program that looks through all subsets, from the first or from the last."""

    def program(gradients: np.ndarray, faults: int) -> np.ndarray:
        rows = gradients.astype(np.float64)
        subsets = list(combinations(rows, len(rows) - faults))[:: -1 if last else 1]
        return np.mean(min(subsets, key=lambda each: size(np.array(each))), axis=0).astype(gradients.dtype)

    return program


def diameter(rows: np.ndarray) -> float:
    return max((float(np.linalg.norm(a - b)) for a, b in combinations(rows, 2)), default=0.0)


def spread(rows: np.ndarray) -> float:
    """The largest eigenvalue of the covariance, by the products of rows."""
    centred = rows - rows.mean(axis=0)
    return float(np.linalg.eigvalsh(centred @ centred.T)[-1]) / len(rows)


RIGHT: Mapping[str, tuple[Rule, Callable[..., Any]]] = {
    "GeometricMedian": (GeometricMedian(), weiszfeld),
    "LeastDiameterMean": (LeastDiameterMean(), least(diameter)),
    "the last of equal diameters": (LeastDiameterMean(), least(diameter, last=True)),
    "LeastSpreadMean": (LeastSpreadMean(), least(spread, last=True)),
}
WRONG: Mapping[str, tuple[Rule, Callable[..., Any]]] = {
    "three steps": (GeometricMedian(), lambda gradients: weiszfeld(gradients, 3)),
    "the median of coordinates": (GeometricMedian(), lambda gradients: np.median(gradients, axis=0)),
    "the mean": (GeometricMedian(), lambda gradients: gradients.mean(axis=0)),
    "the largest diameter": (LeastDiameterMean(), least(lambda rows: -diameter(rows))),
    "the least spread": (LeastDiameterMean(faults=2), LeastSpreadMean(faults=2)),
    "the least diameter": (LeastSpreadMean(faults=2), LeastDiameterMean(faults=2)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_another_way_there_is_accepted(name: str) -> None:
    rule, program = RIGHT[name]
    verdict = refgrad.verify(program, rule, explain=False)
    assert verdict.conforms, str(verdict)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_such_centre_is_refused(name: str) -> None:
    rule, program = WRONG[name]
    verdict = refgrad.verify(program, rule, explain=False, shrink=False)
    assert verdict.outcome == "does not conform", str(verdict)


def test_the_geometric_median_of_corners_is_in_closed_form() -> None:
    np.testing.assert_allclose(GeometricMedian()(CORNERS), (3 + np.sqrt(3)) / 6, rtol=1e-13)
    np.testing.assert_allclose(weiszfeld(CORNERS), (3 + np.sqrt(3)) / 6, rtol=1e-9)


@pytest.mark.parametrize("shape", [(1, 3), (2, 2), (5, 1), (4, 1), (7, 3), (3, 20), (40, 4)])
def test_the_geometric_medians_subgradient_holds_zero(shape: tuple[int, int]) -> None:
    """By the definition, in the arithmetic of the test: the unit vectors' sum is no longer than there are rows at the answer."""
    rows = np.random.default_rng(shape[0]).standard_normal(shape)
    away = GeometricMedian()(rows) - rows
    distance = np.sqrt((away * away).sum(axis=1))
    at = distance < 1e-12
    total = sum((a / d for a, d, here in zip(away, distance, at, strict=True) if not here), np.zeros(shape[1]))
    assert np.sqrt((total * total).sum()) <= at.sum() + 1e-9


def test_the_geometric_median_stays_where_a_row_moves_on_along_its_ray() -> None:
    rows = np.random.default_rng(1).standard_normal((6, 4))
    found = GeometricMedian()(rows)
    rows[2] = found + 50 * (rows[2] - found)
    np.testing.assert_allclose(GeometricMedian()(rows), found, rtol=1e-9)
    np.testing.assert_allclose(GeometricMedian()(3 * rows[::-1] + 1), 3 * found + 1, rtol=1e-9)
