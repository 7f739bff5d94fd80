"""Narrow parameters: compensated sums, and sums rounded by chance."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refgrad.errors import ArgumentError
from refgrad.quantizers.low_precision import Compensated, kahan_update, stochastic_update

F = np.float32


def test_a_thousand_small_updates_are_not_lost() -> None:
    update = np.asarray([1e-4], F)
    kept, plain = Compensated(np.ones(1, F), np.zeros(1, F)), np.ones(1, ml_dtypes.bfloat16)
    for _ in range(1000):
        kept = kahan_update(kept, update)
        plain = plain + update.astype(ml_dtypes.bfloat16)
    exact = 1 + 1000 * Fraction(float(update.astype(ml_dtypes.bfloat16)[0]))
    assert plain[0] == 1
    assert kept.p[0] == 1.1015625
    assert abs(Fraction(float(kept.p[0])) - exact) < Fraction(1, 2**7)  # a unit in the last place


@given(st.floats(0.5, 2, width=16), st.floats(-0.25, 0.25, width=16))
@settings(max_examples=200, deadline=None)
def test_nothing_is_lost_but_by_the_rounding_of_what_is_lost(p: float, update: float) -> None:
    narrow = lambda x: np.asarray([x], ml_dtypes.bfloat16).astype(F)  # noqa: E731
    before = Compensated(narrow(p), np.zeros(1, F))
    after = kahan_update(before, narrow(update))
    gap = sum(Fraction(float(a[0])) for a in after) - Fraction(float(before.p[0])) - Fraction(float(narrow(update)[0]))
    # t - p is exact where p/2 <= t <= 2 p (Sterbenz), and so is y - (t - p)
    assert gap == 0


def test_chance_is_explicit_and_counted_exactly() -> None:
    p = np.full(4096, 1.0, F)
    update = np.full(4096, 2.0**-9, F)
    first = stochastic_update(p, update, step=1, seed=3)
    assert set(np.unique(first)) == {1.0, 1.0 + 2.0**-7}
    assert np.array_equal(first, stochastic_update(p, update, step=1, seed=3))
    assert not np.array_equal(first, stochastic_update(p, update, step=2, seed=3))
    part = stochastic_update(p[:100], update[:100], step=1, seed=3)
    assert np.array_equal(first[:100], part)
    # a quarter of a unit goes up with probability 1/4: six standard deviations of 4096 independent draws
    ups = int((first > 1).sum())
    assert abs(ups - 1024) <= 6 * (4096 * 0.25 * 0.75) ** 0.5
    special = np.asarray([np.inf, -np.inf, np.nan, 0.0], F)
    assert np.array_equal(stochastic_update(special, np.zeros(4, F), 1), special, equal_nan=True)


def test_shapes_must_fit() -> None:
    with pytest.raises(ArgumentError, match=r"update.shape is \(3,\); legal: \(2,\)"):
        kahan_update(Compensated(np.zeros(2, F), np.zeros(2, F)), np.zeros(3, F))
