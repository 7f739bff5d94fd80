"""Natural compression, NUQSGD, DoReFa's gradients, WAGE: outcomes and their chances in rationals; first scales of LSQ."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.errors import ArgumentError
from refgrad.quantizers import (
    NUQSGD,
    DoReFaGradient,
    NaturalCompression,
    WAGEError,
    WAGEGradient,
    lsq_plus_scale,
    lsq_scale,
)
from refgrad.quantizers.stochastic import Random
from tests.depth import examples

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)


def outcome(rule: Random, x: float, uniform: float, dtype: type = np.float64) -> Fraction:
    """What one number becomes."""
    kept = rule.quantize(np.asarray([x], dtype), uniform=np.asarray([uniform]))
    return Fraction(float(rule.dequantize(kept)[0]))


@examples(300)
@given(FLOATS)
def test_natural_compression_has_the_number_for_its_mean_exactly(x: float) -> None:
    rule = NaturalCompression()
    low, high = outcome(rule, x, 1 - 2.0**-53), outcome(rule, x, 0.0)
    if x == 0:
        assert low == high == 0
        return
    chance = (abs(Fraction(x)) - abs(low)) / abs(low)  # with which it goes up; the next power is twice as far
    for uniform in (0.25, 0.5, 0.75, float(chance)):
        up = Fraction(uniform) < chance
        assert outcome(rule, x, uniform) == (2 * low if up else low)
    assert (1 - chance) * low + chance * 2 * low == Fraction(x)
    assert abs(low) <= abs(Fraction(x)) < 2 * abs(low)
    assert (1 - chance) * low**2 + chance * 4 * low**2 <= Fraction(9, 8) * Fraction(x) ** 2


def test_natural_compression_of_what_is_no_number() -> None:
    x = np.asarray([np.inf, -np.inf, np.nan, 1e-45, -0.0], np.float32)
    y = NaturalCompression().round_trip(x)
    assert y[0] == np.inf
    assert y[1] == -np.inf
    assert np.isnan(y[2])
    assert y[3] in (np.float32(1e-45), np.float32(2.8e-45))
    kept = NaturalCompression().quantize(x)
    kept.codes[0] = 3000
    with pytest.raises(ArgumentError, match="or -32768 for NaN"):
        NaturalCompression().dequantize(kept)


@examples(200)
@given(st.integers(-(2**20), 2**20), st.integers(0, 6))
def test_nuqsgd_has_the_number_for_its_mean_exactly(number: int, levels: int) -> None:
    """Of [n, 2**20] by the largest magnitude, so that shares are exact."""
    rule = NUQSGD(norm="max", levels=levels)
    x = np.asarray([float(number), 2.0**20])
    share = Fraction(abs(number), 2**20)
    steps = [Fraction(0), *(Fraction(1, 2**k) for k in range(levels, -1, -1))]
    low = max(s for s in steps if s <= share)
    high = min((s for s in steps if s > share), default=low)
    chance = (share - low) / (high - low) if high > low else Fraction(0)
    for uniform in (0.0, 0.3, 0.9, min(float(chance), 1 - 2.0**-53)):
        y = rule.dequantize(rule.quantize(x, uniform=np.asarray([uniform, 0.5])))
        expected = high if Fraction(uniform) < chance else low
        assert abs(Fraction(float(y[0]))) == expected * 2**20
        assert y[1] == 2.0**20
    assert low * (1 - chance) + high * chance == share


def test_dorefa_gradients_as_the_paper_says() -> None:
    rule = DoReFaGradient(bits=2)
    g = np.asarray([[1.0, -1.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0], [4.0, 2.0, -3.0, 1.0]])
    uniform = np.asarray([[0.5, 0.5, 0.5, 0.25]] * 3)
    y = rule.dequantize(rule.quantize(g, uniform=uniform))
    for row, noise, found in zip(g, uniform, y, strict=True):
        largest = Fraction(max(abs(v) for v in row))
        for value, u, result in zip(row, noise, found, strict=True):
            if not largest:
                assert result == 0
                continue
            share = Fraction(value) / (2 * largest) + Fraction(1, 2) + (Fraction(u) - Fraction(1, 2)) / 3
            code = round(3 * min(max(share, Fraction(0)), Fraction(1)))
            wanted = 2 * largest * (Fraction(code, 3) - Fraction(1, 2))
            assert abs(Fraction(float(result)) - wanted) <= 3 * Fraction(2) ** -53 * 2 * largest


@pytest.mark.parametrize("largest", [1.0, 1.4142135, 1.4142137, 1.999, 3.0])
def test_wage_shifts_by_the_nearest_power_of_the_logarithm(largest: float) -> None:
    """Squares decide in whole numbers: the power of two is 2**k with 2**(2k - 1) <= max**2 < 2**(2k + 1)."""
    e = np.asarray([largest, -largest / 3, largest / 7, 0.0], np.float32)
    top = Fraction(float(e[0]))
    k = next(k for k in range(-3, 4) if Fraction(2) ** (2 * k - 1) <= top * top < Fraction(2) ** (2 * k + 1))
    wanted = [min(max(round(Fraction(float(v)) / Fraction(2) ** k * 128), -127), 127) for v in e]
    assert WAGEError().quantize(e).codes.tolist() == wanted
    for u in (0.0, 0.4, 0.999):
        codes = WAGEGradient().quantize(e, uniform=np.full(4, u)).codes
        for value, code in zip(e, codes, strict=True):
            n = 8 * abs(Fraction(float(value))) / Fraction(2) ** k
            assert abs(int(code)) == n // 1 + (Fraction(u) < n % 1)
    assert WAGEGradient().round_trip(np.zeros(3)).tolist() == [0.0] * 3


def test_first_scales_of_lsq() -> None:
    x = np.asarray([1.0, -2.0, 3.0, 2.0], np.float32)
    assert lsq_scale(x, 4) == 2 * 2.0 / 2
    assert lsq_plus_scale(np.asarray([1.0, 1.0, 3.0, 3.0]), 4) == (2 + 3) / 8
    assert lsq_plus_scale(np.asarray([-1.0, -1.0, -3.0, -3.0]), 4) == 5 / 8
    with pytest.raises(ArgumentError, match="at least 1 element"):
        lsq_scale(np.zeros(0), 7)
    with pytest.raises(ArgumentError, match="highest"):
        lsq_scale(x, 0)
