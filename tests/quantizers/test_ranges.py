"""Intervals that are searched for: what rounds otherwise is right, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.quantizers import Affine, ranges

RULES = [
    Affine(range="percentile"),
    Affine(range="percentile", symmetric=True, percentile=99.0),
    Affine(range="mean_square", bits=4, granularity="channel"),
    Affine(range="divergence", symmetric=True),
]
X = np.random.default_rng(0).standard_normal((4, 300)).astype(np.float32)
CASES = refgrad.Cases.of(x=X)


def with_scale(rule: Affine, changed: Callable[[np.ndarray], np.ndarray]) -> Callable[[Any], Any]:
    """A quantizer right but for its scales; its codes are made with these."""

    def quantize(x: np.ndarray) -> dict[str, np.ndarray]:
        parts = dict(rule.quantize(x).arrays)
        with np.errstate(all="ignore"):
            return {**parts, "scale": changed(parts["scale"]).astype(np.float32)}

    return quantize


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize(
    "changed",
    [
        lambda s: np.full_like(s, 123),
        lambda s: -s,
        lambda s: s * 2,
        lambda s: s * np.nan,
    ],
    ids=["a constant", "a sign flip", "a factor of two", "NaN"],
)
def test_another_scale_is_refused(rule: Affine, changed: Any) -> None:
    verdict = refgrad.verify(with_scale(rule, changed), rule, inputs=CASES, explain=False, shrink=False)
    assert verdict.counts["scale"].inside == 0


@pytest.mark.parametrize("rule", RULES[:3], ids=str)
def test_a_thousandth_more_is_refused(rule: Affine) -> None:
    """Of the divergence more thresholds may be the least, as numbers lie on the edges of bins."""
    quantize = with_scale(rule, lambda s: s * np.float32(1.001))
    verdict = refgrad.verify(quantize, rule, inputs=CASES, explain=False, shrink=False)
    assert verdict.counts["scale"].inside == 0


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rounding_more_is_right(rule: Affine) -> None:
    for changed in (lambda s: s, lambda s: np.nextafter(s, np.float32(9)), lambda s: np.nextafter(s, np.float32(0))):
        quantize = with_scale(rule, changed)
        verdict = refgrad.verify(quantize, rule, inputs=CASES, explain=False, shrink=False)
        assert (verdict.counts["scale"].outside, verdict.counts["scale"].undecided) == (0, 0)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_percentile_in_float32_is_within_the_ends(symmetric: bool) -> None:
    for row in X:
        low, high = ranges.percentile_ends(row, 99.9, symmetric, 3 * 2.0**-24)
        outside = np.float32((100 - 99.9) / 200)
        theirs = np.quantile(np.abs(row), np.float32(0.999)) if symmetric else np.quantile(row, np.float32(1) - outside)
        assert high[0] <= theirs <= high[1] < high[0] * 1.001
        assert low[0] <= ranges.percentile(row, 99.9, symmetric)[0] <= low[1]


def test_of_numbers_on_the_edges_of_bins_any_threshold_may_be_found() -> None:
    row = np.float32([1.0, 0.5, 0.25, 0.125, 0.75])
    (low, _), (least, most) = ranges.divergence_ends(row, 128, 3 * 2.0**-24)
    assert (low, most) == pytest.approx((-1.0, 1.0))
    assert least == pytest.approx(128.5 / 2048)


def test_of_equal_errors_any_interval_may_be_found() -> None:
    row = np.zeros(8, np.float32)
    assert ranges.mean_square_ends(row, lambda low, high: np.zeros(8, np.float32), 2.0**-22) == ((0, 0), (0, 0))
