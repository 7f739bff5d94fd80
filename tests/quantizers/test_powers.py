"""Powers of two and sums of them against their definitions in rationals and in a logarithm of fifty digits."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.quantizers import INQ, APoT, LogQuantizer
from tests.depth import examples

magnitudes = st.one_of(
    st.floats(width=32, allow_nan=False, allow_infinity=False),
    st.floats(-4, 4, width=32),
    st.sampled_from([0.0, -0.0, 1.0, 0.75, 1.5, -0.375, 2.0**-149]),
    st.integers(-12, 4).map(lambda k: float(np.float32(2.0 ** (k + 0.5)))),
)
lists = st.lists(magnitudes, min_size=1, max_size=20)


@pytest.mark.parametrize("bits", [1, 3, 4, 6])
@pytest.mark.parametrize("full_scale", [-3, 0, 2])
@examples(40)
@given(values=lists)
def test_logarithmic(bits: int, full_scale: int, values: list[float]) -> None:
    rule = LogQuantizer(bits=bits, full_scale=full_scale)
    lowest = full_scale - 2**bits
    for v, got in zip(values, rule.round_trip(np.float32(values)), strict=True):
        with mpmath.workdps(50):
            k = int(mpmath.floor(mpmath.log(abs(v), 2) + mpmath.mpf(0.5))) if v else lowest
        want = 0.0 if k <= lowest else 2.0 ** min(k, full_scale - 1)
        assert got == (want if v >= 0 else -want)


@examples(60)
@given(values=lists)
def test_nearest_in_value(values: list[float]) -> None:
    rule = LogQuantizer(bits=4, full_scale=1, boundary="value")
    powers = [Fraction(2) ** k for k in range(-14, 1)]
    for v, got in zip(values, rule.round_trip(np.float32(values)), strict=True):
        size = abs(Fraction(v))
        if size >= Fraction(3, 4) * powers[0]:  # below lies the power that the format calls zero
            want = min(reversed(powers), key=lambda p: abs(p - size))
            assert abs(Fraction(float(got))) == want


def test_a_root_of_two_apart() -> None:
    """The float below the square root of two rounds down, the one above up, in either precision."""
    for dtype in (np.float32, np.float64):
        near = dtype(2) ** dtype(0.5)
        below, above = np.nextafter(near, dtype(0)), np.nextafter(near, dtype(2))
        rule = LogQuantizer(bits=3, full_scale=3)
        assert rule.round_trip(np.asarray([below, above])).tolist() == [1.0, 2.0]


@pytest.mark.parametrize("bits", [3, 5])
@examples(60)
@given(values=lists)
def test_inq(bits: int, values: list[float]) -> None:
    found = INQ(bits=bits).round_trip(np.float32(values))
    largest = max(abs(Fraction(v)) for v in values)
    if not largest:
        assert not found.any()
        return
    n1 = max(n for n in range(-152, 132) if Fraction(2) ** n <= Fraction(4, 3) * largest)
    n2 = n1 + 1 - 2 ** (bits - 1) // 2
    levels = [Fraction(0), *(Fraction(2) ** n for n in range(n2, n1 + 1))]
    for v, got in zip(values, found, strict=True):
        size = abs(Fraction(v))
        want = next((b for a, b in pairwise(levels) if (a + b) / 2 <= size < 3 * b / 2), Fraction(0))
        assert got == np.float32(float(want)) * (1 if v >= 0 else -1)


#: eq. 5 and 6 of the paper for 4 bits in two terms; the sums in the authors' code for 3 and 5
LEVELS: dict[int, list[Fraction]] = {
    2: [Fraction(v) for v in (0, 0.25, 0.5, 1)],
    3: [Fraction(k, 10) for k in (0, 1, 2, 3, 4, 6, 8, 10)],
    4: sorted(
        (Fraction(a) + Fraction(b)) / Fraction(3, 2)
        for a in (0, 1, Fraction(1, 4), Fraction(1, 16))
        for b in (0, Fraction(1, 2), Fraction(1, 8), Fraction(1, 32))
    ),
}


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
def test_apot_levels(bits: int) -> None:
    levels = APoT(bits=bits).levels
    assert levels[0] == 0
    assert levels[-1] == 1
    assert np.all(np.diff(levels) > 0)
    if bits in LEVELS:
        assert levels.tolist() == [float(v) for v in LEVELS[bits]]


@pytest.mark.parametrize("bits", [2, 3, 4, 5])
@examples(50)
@given(values=lists, data=st.data())
def test_apot_takes_the_nearest_level(bits: int, values: list[float], data: Any) -> None:
    rule = APoT(bits=bits, alpha=2.0)  # a power of two: dividing by it is exact
    levels = [Fraction(float(v)) for v in rule.levels.astype(np.float32)]
    halves = [float(np.float32(float(a + b))) for a, b in pairwise(levels)]
    values = [*values, *data.draw(st.lists(st.sampled_from(halves), max_size=5))]
    for v, code in zip(values, rule.quantize(np.float32(values)).codes, strict=True):
        share = min(abs(Fraction(v)) / 2, Fraction(1))
        want = min(range(len(levels)), key=lambda i: abs(levels[i] - share))  # the first, that is the lower, on ties
        assert code == (want if v >= 0 else -want)


def test_apot_gradients() -> None:
    rule = APoT(bits=2, alpha=2.0)
    x, g = np.float32([3.0, -5.0, 0.6, -1.9, 2.0]), np.float32([1, 2, 4, 8, 16])
    dx, d_alpha = rule.gradients(x, g)
    assert dx.tolist() == [0, 0, 4, 8, 16]
    assert rule.replace(clip_gradient=False).gradients(x, g)[0].tolist() == g.tolist()
    levels = rule.round_trip(x) / np.float32(2)
    inside = [0.0, 0.0, *(np.float32(v) for v in (g * (levels - x / np.float32(2)))[2:])]
    assert d_alpha == np.float32(1 - 2 + sum(inside))


def test_apot_beside_the_authors_projection() -> None:
    """Evaluated by torch on numbers that are no ties, where the order of the authors' set does not matter."""
    torch = pytest.importorskip("torch", reason="evaluates the authors' projection")
    x = np.random.default_rng(3).standard_normal(500).astype(np.float32)
    for bits in (2, 3, 4, 5):
        levels = torch.from_numpy(APoT(bits=bits).levels.astype(np.float32))
        t = (torch.from_numpy(x) / 3.0).clamp(-1, 1)
        want = levels[(t.abs()[None] - levels[:, None]).abs().min(dim=0)[1]] * t.sign() * 3.0
        got = APoT(bits=bits, alpha=3.0).round_trip(x)
        assert np.all(np.abs(got - want.numpy()) <= np.spacing(np.abs(got)))  # level * 3: two roundings against one


@pytest.mark.parametrize("rule", [LogQuantizer(), LogQuantizer(boundary="value"), INQ(), APoT()], ids=str)
def test_edges(rule: Any) -> None:
    assert np.isnan(rule.round_trip(np.float32([np.nan]))[0])
    assert not rule.round_trip(np.zeros((2, 2), np.float32)).any()
    assert rule.round_trip(np.zeros((0, 4), np.float32)).shape == (0, 4)
    assert rule.round_trip(np.asarray(-0.5, np.float32)).shape == ()
    x = np.float32([0.3, -0.6, 0.1])
    assert np.array_equal(rule.round_trip(-x), -rule.round_trip(x))
    again = rule.round_trip(rule.round_trip(x))
    assert np.array_equal(again, rule.round_trip(x))
    if not isinstance(rule, INQ):
        assert rule.round_trip(np.float32([np.inf]))[0] == rule.round_trip(np.float32([1e30]))[0]
