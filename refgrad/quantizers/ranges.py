"""Which interval of numbers a uniform quantizer covers: by percentile, by squared error, by divergence of histograms."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

Pair = tuple[float, float]
#: the lowest and the highest that each end may be in a program that rounds otherwise
Ends = tuple[Pair, Pair]


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
    found = _divergences(np.histogram(magnitudes, bins=BINS, range=(0.0, top))[0].tobytes(), levels)
    # the first of the least ones; all of the bins where none is finite
    best = min(levels, BINS) + int(np.argmin(found)) if np.isfinite(found).any() else BINS
    high = min((best + 0.5) * top / BINS, top)
    return -high, high


@lru_cache(maxsize=256)
def _divergences(histogram: bytes, levels: int) -> np.ndarray:
    """The divergence of each number of bins, from ``levels`` on; asked for again where the interval is judged."""
    counts = np.frombuffer(histogram, np.int64).astype(np.float64)
    beyond = counts.sum() - np.cumsum(counts)
    tried = range(min(levels, BINS), BINS + 1)
    return np.asarray([_kullback_leibler(counts[:i], float(beyond[i - 1]), levels) for i in tried])


def _kullback_leibler(kept: np.ndarray, beyond: float, levels: int) -> float:
    """The divergence of the bins with what is beyond them from their quantized form."""
    if beyond > 0 and kept[-1] == 0:  # it falls on an empty bin: no quantized form can make up for it
        return float(np.inf)
    group = np.minimum(np.arange(kept.size) * levels // kept.size, levels - 1)
    filled = kept > 0
    sums = np.bincount(group, kept, levels)
    members = np.bincount(group, filled, levels)
    spread = np.where(filled, sums[group] / np.maximum(members[group], 1), 0.0)
    reference = kept.copy()
    reference[-1] += beyond
    p, q = reference / reference.sum(), spread / max(spread.sum(), 1.0)
    if ((p > 0) & (q == 0)).any():
        return float(np.inf)
    inside = p > 0
    return float(np.sum(p[inside] * np.log(p[inside] / q[inside])))


def percentile_ends(row: np.ndarray, percent: float, symmetric: bool, unit: float) -> Ends:
    """What other programs may give for `percentile`: the place among the ordered numbers is rounded, and the interpolation.

    Args:
        row: finite numbers.
        percent, symmetric: as of `percentile`.
        unit: the unit roundoff of the working dtype, times the roundings of an operation.
    """
    if symmetric:
        low, high = _quantile_ends(np.abs(row), percent / 100, unit)
        return (-high, -low), (low, high)
    outside = (100 - percent) / 200
    return _quantile_ends(row, outside, unit), _quantile_ends(row, 1 - outside, unit)


def _quantile_ends(numbers: np.ndarray, fraction: float, unit: float) -> Pair:
    ordered = np.sort(numbers.astype(np.float64))
    place, value = (ordered.size - 1) * fraction, float(np.quantile(numbers, fraction))
    off = 2 * (ordered.size - 1) * unit  # of the fraction, and of its product
    first, last = int(max(np.floor(place - off), 0)), int(min(np.ceil(place + off) + 1, ordered.size))
    near = ordered[first:last]
    reach = off * float(np.diff(near).max(initial=0.0)) + unit * 2 * float(np.abs(near).max(initial=0.0))
    return value - reach, value + reach


def mean_square_ends(row: np.ndarray, round_trip: Callable[[float, float], np.ndarray], unit: float) -> Ends:
    """What other programs may give for `mean_square`: any of the intervals whose error may be the least, as sums are rounded.

    Args:
        row: finite numbers.
        round_trip: as of `mean_square`.
        unit: as of `percentile_ends`.
    """
    low, high = min(float(row.min(initial=0)), 0.0), max(float(row.max(initial=0)), 0.0)
    factors = [1 - MSE_STEP * i for i in range(MSE_TRIES)]
    sums, errors = [], []
    for factor in factors:
        back = round_trip(low * factor, high * factor).astype(np.float64)
        off, rounded = np.abs(back - row), 2 * unit * np.abs(back)
        sums.append(float(np.sum(off**2)))
        errors.append(float(np.sum(2 * off * rounded + rounded**2) + (row.size + 4) * unit * np.sum(off**2)))
    return _hull_of_least(np.asarray(sums), np.asarray(errors), [(low * f, high * f) for f in factors], unit)


def divergence_ends(row: np.ndarray, levels: int, unit: float) -> Ends:
    """What other programs may give for `divergence`: any threshold whose divergence may be the least.

    Where a number lies on the edge of a bin it may be counted in either, and any threshold may be given.

    Args:
        row: finite numbers.
        levels: as of `divergence`.
        unit: as of `percentile_ends`.
    """
    magnitudes = np.abs(row.astype(np.float64))
    top = float(magnitudes.max(initial=0.0))
    if not top > 0:
        return (-top, -top), (top, top)
    found = _divergences(np.histogram(magnitudes, bins=BINS, range=(0.0, top))[0].tobytes(), levels)
    tried = range(min(levels, BINS), BINS + 1)
    places = magnitudes[(magnitudes > 0) & (magnitudes < top)] * (BINS / top)
    on_edge = bool((np.abs(places - np.rint(places)) <= unit * places).any())
    size = (BINS + 16) * unit * (np.log(max(magnitudes.size, 2)) + 1.0)  # no term's logarithm is larger
    errors = np.full(found.size, np.inf if on_edge else size)
    highs = [min((i + 0.5) * top / BINS, top) for i in tried]
    return _hull_of_least(found, errors, [(-high, high) for high in highs], unit)


def _hull_of_least(found: np.ndarray, errors: np.ndarray, intervals: list[Pair], unit: float) -> Ends:
    """The ends of all intervals that may have the least of some numbers."""
    with np.errstate(invalid="ignore"):
        may = ~(found - errors > np.min(found + errors))
    lows, highs = np.asarray([intervals[i] for i in np.flatnonzero(may)]).T
    wider = lambda x, sign: float(x + sign * 4 * unit * abs(x))  # noqa: E731
    return (wider(lows.min(), -1), wider(lows.max(), 1)), (wider(highs.min(), -1), wider(highs.max(), 1))
