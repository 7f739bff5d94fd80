"""Distances between samples of features: equations in sixty digits, DomainBed's formulas, properties, verdicts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad import gradients as g
from refgrad.errors import ArgumentError
from tests.gradients.judged import drawn, verdict
from tests.optimizers.tracked import Tracked, exponential, holds, lift, mean, total

SHAPES = [(4, 3, 2), (2, 2, 1), (3, 5, 4)]


def two(shape: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng([*shape, seed])
    return random.standard_normal((shape[0], shape[2])), random.standard_normal((shape[1], shape[2]))


def covariance(rows: np.ndarray) -> list[list[Tracked]]:
    center = [mean(c) for c in rows.T]
    away = [[lift(x) - m for x, m in zip(r, center, strict=True)] for r in rows]
    return [
        [total(r[j] * r[k] for r in away) / (len(rows) - 1) for k in range(len(center))] for j in range(len(center))
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_coral(shape: tuple[int, int, int]) -> None:
    a, b = two(shape)
    apart = [x - y for p, q in zip(covariance(a), covariance(b), strict=True) for x, y in zip(p, q, strict=True)]
    squared = total(x * x for x in apart)
    holds(g.CorrelationAlignment()(a, b), squared / (4 * shape[2] ** 2))
    means = [mean(x) - mean(y) for x, y in zip(a.T, b.T, strict=True)]
    wanted = squared / shape[2] ** 2 + mean(x * x for x in means)
    holds(g.CorrelationAlignment(form="moments")(a, b), wanted)


def kernel(x: Any, y: Any, rates: list[float]) -> Tracked:
    square = total((lift(p) - q) * (lift(p) - q) for p, q in zip(x, y, strict=True))
    return total(exponential(-(rate * square)) for rate in rates)


@pytest.mark.parametrize("estimate", ["biased", "unbiased"])
@pytest.mark.parametrize("shape", SHAPES)
def test_mmd(shape: tuple[int, int, int], estimate: str) -> None:
    a, b = two(shape, 1)
    rates = [0.01, 0.01 * 4, 0.01 * 16]

    def within(rows: np.ndarray) -> Tracked:
        every = [(i, j) for i in range(len(rows)) for j in range(len(rows)) if i != j or estimate == "biased"]
        return mean([kernel(rows[i], rows[j], rates) for i, j in every])

    wanted = within(a) + within(b) - 2 * mean([kernel(x, y, rates) for x in a for y in b])
    holds(g.MaximumMeanDiscrepancy(gamma=0.01, ratio=4.0, kernels=3, estimate=estimate)(a, b), wanted)


def test_mmd_as_domainbed_writes_it() -> None:
    torch = pytest.importorskip("torch")
    a, b = map(torch.tensor, two((6, 5, 3), 2))

    def gram(x: Any, y: Any) -> Any:
        squares = (x.pow(2).sum(1, keepdim=True) + y.pow(2).sum(1) - 2 * x @ y.T).clamp_min(1e-30)
        return sum(torch.exp(-gamma * squares) for gamma in (0.001, 0.01, 0.1, 1, 10, 100, 1000))

    theirs = gram(a, a).mean() + gram(b, b).mean() - 2 * gram(a, b).mean()
    assert g.MaximumMeanDiscrepancy()(a.numpy(), b.numpy()) == pytest.approx(float(theirs), rel=1e-10)
    # of near rows in float32 the expanded square loses what tells them apart
    near = np.float32([[100.0, 100.0], [100.01, 100.0]])
    lost = (near**2).sum(1)[:, None] + (near**2).sum(1) - 2 * near @ near.T
    assert abs(lost[0, 1] - 1e-4) > 5e-5


def test_no_distance_of_a_sample_from_itself() -> None:
    a, b = two((4, 3, 2), 3)
    for rule in (g.CorrelationAlignment(), g.CorrelationAlignment(form="moments"), g.MaximumMeanDiscrepancy()):
        assert rule(a, a) == pytest.approx(0.0, abs=1e-15)
        assert rule(a, b) == pytest.approx(rule(b, a), rel=1e-14)
    assert g.CorrelationAlignment()(a + 2.0, b) == pytest.approx(g.CorrelationAlignment()(a, b), rel=1e-12)
    with pytest.raises(ArgumentError, match="at least 2"):
        g.CorrelationAlignment()(a[:1], b)


@pytest.mark.parametrize("kind", ["deep", "features"])
def test_deep_kernel(kind: str) -> None:
    rule = g.DeepKernelDiscrepancy(kernel=kind, feature_width=0.5, width=4.0, mixing=0.25)
    features, raw, point_features, point = drawn(rule, 5, d=3)

    def k(f: Any, x: Any, other: Any, y: Any) -> Tracked:
        deep = kernel(f, other, [2.0])
        return deep if kind == "features" else (0.75 * deep + 0.25) * kernel(x, y, [0.25])

    rows = list(zip(features, raw, strict=True))
    wanted = mean([k(*a, *b) for a in rows for b in rows]) - 2 * mean([k(*a, point_features, point) for a in rows]) + 1
    holds(rule(features, raw, point_features, point), wanted)
    assert rule(features, raw, point_features, point) >= 0


@pytest.mark.parametrize("pairs", ["without_own", "all"])
def test_one_sample_discrepancy(pairs: str) -> None:
    rule = g.OneSampleDiscrepancy(width=4.0, pairs=pairs)
    a, b = drawn(rule, 6)
    n = range(len(a))
    off = [(i, j) for i in n for j in n if i != j]

    def k(x: Any, y: Any) -> Tracked:
        return kernel(x, y, [0.25])

    between = [k(a[i], b[j]) for i, j in (off if pairs == "without_own" else [(i, j) for i in n for j in n])]
    wanted = mean([k(a[i], a[j]) for i, j in off]) - 2 * mean(between) + mean([k(b[i], b[j]) for i, j in off])
    rows = [mean([k(a[i], a[j]) + k(b[i], b[j]) - k(a[i], b[j]) - k(b[i], a[j]) for j in n]) for i in n]
    whole = mean(rows)
    found = rule(a, b)
    holds(found["discrepancy"], wanted)
    holds(found["variance"], 4 * (mean([row * row for row in rows]) - whole * whole))
    if pairs == "without_own":
        assert rule(a, a) == {"discrepancy": pytest.approx(0, abs=1e-15), "variance": pytest.approx(0, abs=1e-15)}


def averaged(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    def gram(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        squares = ((x[:, None] - y[None]) ** 2).sum(2)
        return np.mean([np.exp(-np.float32(gamma) * squares) for gamma in (1e-3, 1e-2, 0.1, 1, 10, 100, 1000)], axis=0)

    return gram(a, a).mean() + gram(b, b).mean() - 2 * gram(a, b).mean()


def test_verdicts() -> None:
    assert not verdict(averaged, g.MaximumMeanDiscrepancy()).conforms
    assert verdict(lambda a, b: 7 * averaged(a, b), g.MaximumMeanDiscrepancy()).conforms
    coral = lambda a, b: ((np.cov(a.T, ddof=0) - np.cov(b.T, ddof=0)) ** 2).mean().astype(np.float32) / 4  # noqa: E731
    assert not verdict(coral, g.CorrelationAlignment()).conforms

    for rule, other in (("without_own", "all"), ("all", "without_own")):
        assert not verdict(g.OneSampleDiscrepancy(pairs=other), g.OneSampleDiscrepancy(pairs=rule)).conforms
