"""Which interval of numbers a uniform quantizer covers: by percentile, by squared error, by divergence of histograms."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Pair = tuple[float, float]


def percentile(row: np.ndarray, percent: float, symmetric: bool) -> Pair:
    """The interval that leaves (100 - percent) of the numbers outside, half on each side; of magnitudes where symmetric.

    Order statistics are interpolated linearly.
    """
    if symmetric:
        high = float(np.quantile(np.abs(row), percent / 100))
        return -high, high
    outside = (100 - percent) / 200
    return float(np.quantile(row, outside)), float(np.quantile(row, 1 - outside))


#: how many intervals a search for the least squared error tries, and how much narrower each is
MSE_TRIES, MSE_STEP = 80, 0.01


def mean_square(row: np.ndarray, round_trip: Callable[[float, float], np.ndarray]) -> Pair:
    """Of the intervals (1 - i / 100) [min, max], i from 0 to 79, that with the least squared error; the first of equals.

    Frantar et al. 2022 (arXiv:2210.17323) search so, with a power of 2.4 in place of 2.
    """
    low, high = min(float(row.min(initial=0)), 0.0), max(float(row.max(initial=0)), 0.0)
    best, least = (low, high), np.inf
    for i in range(MSE_TRIES):
        shrunk = (low * (1 - MSE_STEP * i), high * (1 - MSE_STEP * i))
        error = float(np.sum((round_trip(*shrunk).astype(np.float64) - row) ** 2))
        if error < least:
            best, least = shrunk, error
    return best


#: bins of the histogram of magnitudes
BINS = 2048


def divergence(row: np.ndarray, levels: int) -> Pair:
    """The threshold of magnitudes at which the histogram and its quantized form diverge least (Kullback-Leibler).

    For i from ``levels`` to 2048 bins: P is the first i bins, those beyond added to the last of them; Q is the same bins
    without those beyond, merged into ``levels`` groups, each spread over its bins that are not empty. The first least one
    is taken, at the middle of bin i. Migacz 2017, "8-bit Inference with TensorRT".
    """
    magnitudes = np.abs(row.astype(np.float64))
    top = float(magnitudes.max(initial=0.0))
    if not top > 0 or not np.isfinite(top):
        return -top, top
    counts = np.histogram(magnitudes, bins=BINS, range=(0.0, top))[0].astype(np.float64)
    beyond = counts.sum() - np.cumsum(counts)
    best, least = BINS, np.inf
    for i in range(min(levels, BINS), BINS + 1):
        found = _kullback_leibler(counts[:i], float(beyond[i - 1]), levels)
        if found < least:
            best, least = i, found
    high = min((best + 0.5) * top / BINS, top)
    return -high, high


def _kullback_leibler(kept: np.ndarray, beyond: float, levels: int) -> float:
    """The divergence of the bins with what is beyond them from their quantized form."""
    group = np.minimum(np.arange(kept.size) * levels // kept.size, levels - 1)
    filled = kept > 0
    sums = np.bincount(group, kept, levels)
    members = np.bincount(group, filled, levels)
    spread = np.where(filled, sums[group] / np.maximum(members[group], 1), 0.0)
    reference = kept.copy()
    reference[-1] += beyond
    p, q = reference / reference.sum(), spread / max(spread.sum(), 1.0)
    if ((p > 0) & (q == 0)).any():  # what is beyond fell on an empty bin: no quantized form can make up for it
        return float(np.inf)
    inside = p > 0
    return float(np.sum(p[inside] * np.log(p[inside] / q[inside])))
