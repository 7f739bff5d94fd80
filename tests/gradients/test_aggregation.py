"""Robust aggregation: plain loops over rows as second programs, golden points, properties, faults of published programs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.gradients import (
    AdaptiveClipping,
    Bucketing,
    Bulyan,
    CenteredClipping,
    CoordinateMedian,
    GradientElimination,
    Krum,
    MeanAroundMedian,
    MultiKrum,
    NeighborMixing,
    TrimmedMean,
    WeiszfeldSteps,
)
from refgrad.optimizers.transform import Transform
from tests.gradients.test_centers import CORNERS

Program = Callable[..., Any]


def krum_scores(rows: np.ndarray, nearest: int) -> list[float]:
    return [
        sum(sorted(float(((a - b) ** 2).sum()) for j, b in enumerate(rows) if j != i)[:nearest])
        for i, a in enumerate(rows)
    ]


def best(rows: np.ndarray, faults: int, keep: int, nearest: int | None = None) -> np.ndarray:
    scores = krum_scores(rows, len(rows) - faults - 2 if nearest is None else nearest)
    return rows[sorted(sorted(range(len(rows)), key=scores.__getitem__)[:keep])]


def around(rows: np.ndarray, keep: int) -> np.ndarray:
    columns = []
    for column in rows.T:
        middle = float(np.median(column))
        columns.append(np.mean(sorted(column, key=lambda v: abs(v - middle))[:keep], dtype=np.float64))
    return np.array(columns)


def bulyan(rows: np.ndarray, faults: int) -> np.ndarray:
    left, taken = list(rows), []
    for _ in range(len(rows) - 2 * faults):
        scores = krum_scores(np.array(left), max(len(left) - faults - 2, 1))
        taken.append(left.pop(int(np.argmin(scores))))
    return around(np.array(taken), len(taken) - 2 * faults)


def mixed(rows: np.ndarray, keep: int) -> np.ndarray:
    return np.array([np.mean(sorted(rows, key=lambda b: float(((a - b) ** 2).sum()))[:keep], axis=0) for a in rows])


def adaptively_clipped(rows: np.ndarray, faults: int) -> np.ndarray:
    lengths = sorted((float(np.linalg.norm(r)) for r in rows), reverse=True)
    most = lengths[int(2 * faults / len(rows) * (len(rows) - faults) + 1e-9)]
    return np.array([r * min(1.0, most / np.linalg.norm(r)) for r in rows])


#: each with a program that is written another way
SAME: list[tuple[Transform, Program]] = [
    (CoordinateMedian(), lambda g: [statistics.median(c) for c in g.T.tolist()]),
    (CoordinateMedian(even="lower"), lambda g: [statistics.median_low(c) for c in g.T.tolist()]),
    (TrimmedMean(faults=2), lambda g: [np.mean(sorted(c)[2:-2]) for c in g.T]),
    (MeanAroundMedian(faults=2), lambda g: around(g, len(g) - 2)),
    (Krum(faults=1), lambda g: best(g, 1, 1)[0]),
    (Krum(faults=2, neighbors="more"), lambda g: best(g, 2, 1, len(g) - 3)[0]),
    (MultiKrum(faults=2, keep=3), lambda g: best(g, 2, 3).mean(axis=0)),
    (MultiKrum(faults=2, keep=3, result="sum"), lambda g: best(g, 2, 3).sum(axis=0)),
    (Bulyan(faults=1), lambda g: bulyan(g, 1)),
    (GradientElimination(faults=2), lambda g: np.sum(sorted(g, key=lambda r: float((r * r).sum()))[:-2], axis=0)),
    (NeighborMixing(faults=2), lambda g: mixed(g, len(g) - 2)),
    (NeighborMixing(faults=2, kept="twice", rounds=2), lambda g: mixed(mixed(g, len(g) - 4), len(g) - 4)),
    (AdaptiveClipping(faults=2), lambda g: adaptively_clipped(g, 2)),
]


@pytest.mark.parametrize(("rule", "program"), SAME, ids=[str(rule) for rule, _ in SAME])
def test_a_program_that_is_written_otherwise_gives_the_same(rule: Transform, program: Program) -> None:
    random = np.random.default_rng(3)
    for n, d in ((7, 1), (8, 4), (11, 3), (9, 0)):
        rows = random.standard_normal((n, d))
        if d:
            np.testing.assert_allclose(rule(rows), program(rows), rtol=1e-12, atol=1e-14)
        assert np.shape(rule(rows))[-1] == d


#: rules that are given a function of float32 that is right, or has a fault
RIGHT: Mapping[str, tuple[Transform, Program]] = {
    "median": (CoordinateMedian(), lambda gradients: np.median(gradients, axis=0)),
    "trimmed": (TrimmedMean(), lambda gradients: np.mean(np.sort(gradients, axis=0)[1:-1], axis=0)),
    "krum": (Krum(), lambda gradients: best(gradients.astype(np.float64), 1, 1)[0].astype(gradients.dtype)),
}
WRONG: Mapping[str, tuple[Transform, Program]] = {
    "the lower median": (CoordinateMedian(), lambda gradients: np.sort(gradients, axis=0)[(len(gradients) - 1) // 2]),
    "subtracted extremes": (
        TrimmedMean(),
        lambda gradients: (
            (gradients.sum(axis=0) - gradients.max(axis=0) - gradients.min(axis=0)) / np.float32(len(gradients) - 2)
        ),
    ),
    "one neighbour more": (Krum(), Krum(neighbors="more")),
    "distances": (Krum(), Krum(distance="distances")),
    "a sum": (MultiKrum(), MultiKrum(result="sum")),
    "no clipping": (CenteredClipping(), lambda gradients, start: gradients.mean(axis=0)),
    "from zero": (WeiszfeldSteps(), WeiszfeldSteps(start="zero")),
    "buckets in their own order": (Bucketing(), lambda gradients, order: Bucketing()(gradients, np.sort(order))),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", RIGHT)
def test_a_right_program_is_accepted(name: str) -> None:
    rule, program = RIGHT[name]
    verdict = refgrad.verify(program, rule, explain=False)
    assert verdict.conforms, str(verdict)


@pytest.mark.parametrize("name", WRONG)
def test_a_published_fault_is_refused(name: str) -> None:
    rule, program = WRONG[name]
    cases = None
    if name == "subtracted extremes":  # rows that are thrown away, and are large
        cases = refgrad.Cases.of("float32", gradients=[[1.0], [2.0], [3.0], [1e20], [-1e20]])
    verdict = refgrad.verify(program, rule, inputs=cases, explain=False, shrink=False, steps=30)
    assert verdict.outcome == "does not conform", str(verdict)


def test_what_an_attacker_does_by_rounding_to_a_difference_of_sums() -> None:
    one, two = np.float32([[1], [2], [3], [1e20], [-1e20]]), np.float32([[1], [2], [3], [1e20], [1e20]])
    assert TrimmedMean(faults=1)(one) == [2.0]
    assert TrimmedMean(faults=2)(two) == [3.0]
    assert TrimmedMean(faults=1, form="difference")(one) != [2.0]
    assert TrimmedMean(faults=2, form="difference")(two) != [3.0]


def test_points_of_which_all_is_known() -> None:
    assert krum_scores(CORNERS, 2) == [2.0, 2.0, 2.0, 2.0, 343.0]
    assert Krum()(CORNERS).tolist() == [0.0, 0.0]  # a tie of four, and the first is taken
    np.testing.assert_allclose(WeiszfeldSteps(start="zero")(CORNERS), 0.566476637579, rtol=1e-11)
    np.testing.assert_allclose(CenteredClipping()(CORNERS, np.zeros(2)), 0.482842712475, rtol=1e-11)


def test_a_row_with_nan_is_not_selected() -> None:
    rows = np.random.default_rng(0).standard_normal((7, 3))
    rows[2, 1] = np.nan
    for rule in (Krum(), MultiKrum(), GradientElimination()):
        assert np.isfinite(rule(rows)).all(), rule
    assert np.isfinite(np.delete(NeighborMixing()(rows), 2, axis=0)).all()


def test_neighbour_mixing_gives_means_of_rows_without_nan_or_nan() -> None:
    for lost in range(8):
        rows = np.ones((7, 2))
        rows[:lost, 0] = np.nan
        mixed_rows = NeighborMixing(faults=2)(rows)
        assert (mixed_rows[:, 1] == 1.0).all()
        assert np.isnan(mixed_rows[:, 0]).all() == (lost > 2)


def test_a_row_with_nan_is_clipped_to_nan() -> None:
    rows = np.array([[np.nan, 1.0], [1.0, 2.0]])
    assert np.isnan(CenteredClipping()(rows, np.zeros(2))).all()


#: those that do: norms follow no shifts, and among Bulyan's last rows two that are nearest to each other are always a tie
FOLLOWING = [r for r, _ in SAME if not isinstance(r, AdaptiveClipping | GradientElimination | Bulyan)]


@pytest.mark.parametrize("rule", FOLLOWING, ids=str)
def test_it_follows_permutations_shifts_and_scales(rule: Transform) -> None:
    random = np.random.default_rng(5)
    rows, order = random.standard_normal((9, 4)), random.permutation(9)
    found, moved = rule(rows), rule(3.0 * rows[order] + 2.0)
    scale = 27.0 if getattr(rule, "result", "") == "sum" else 3.0
    if scale == 3.0:
        expected = 3.0 * (found[order] if found.ndim == 2 else found) + 2.0
        np.testing.assert_allclose(moved, expected, rtol=1e-10, atol=1e-12)


def test_clipped_steps_are_no_longer_than_the_radius_and_without_one_give_the_mean() -> None:
    rows, start = 100 * np.random.default_rng(1).standard_normal((6, 3)), np.zeros(3)
    assert np.linalg.norm(CenteredClipping(radius=0.5)(rows, start)) <= 0.5
    np.testing.assert_allclose(CenteredClipping(radius=1e9)(rows, start), rows.mean(axis=0), rtol=1e-12)
    assert np.array_equal(CenteredClipping()(np.ones((3, 2)), np.ones(2)), np.ones(2))


def test_equal_rows_are_returned_as_they_are() -> None:
    rows = np.repeat(np.random.default_rng(4).standard_normal((1, 3)), 9, axis=0)
    rows[8] = 1e6
    for rule in (CoordinateMedian(), Krum(), TrimmedMean(), MeanAroundMedian(), Bulyan()):
        np.testing.assert_allclose(rule(rows), rows[0], rtol=1e-15)


def test_too_few_workers_are_refused() -> None:
    for rule in (Krum(faults=2), TrimmedMean(faults=3), Bulyan(faults=1)):
        with pytest.raises(ArgumentError, match="enough workers for faults="):
            rule(np.zeros((6, 2)))
    with pytest.raises(ArgumentError, match="numbers of rows, from 0 to 2"):
        Bucketing()(np.zeros((3, 2)), np.array([0, 1, 3]))
    assert Bucketing(size=2)(np.arange(3.0)[:, None], np.array([2, 1, 0])).tolist() == [[1.5], [0.0]]
