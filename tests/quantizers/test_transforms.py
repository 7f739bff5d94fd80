"""Hadamard rotations and SmoothQuant's scales: exact on whole numbers, bounded elsewhere."""

from __future__ import annotations

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.errors import ArgumentError
from refgrad.quantizers import hadamard, smooth_scales
from tests.depth import examples


def entry(i: int, j: int) -> int:
    return -1 if bin(i & j).count("1") % 2 else 1


@pytest.mark.parametrize("n", [1, 2, 4, 16, 64])
def test_entries_are_by_the_ones_that_two_numbers_share(n: int) -> None:
    found = hadamard(np.eye(n), normalize=False)
    assert found.tolist() == [[entry(i, j) for j in range(n)] for i in range(n)]
    linalg = pytest.importorskip("scipy.linalg", reason="compares with SciPy's matrix")
    assert np.array_equal(found, linalg.hadamard(n))


@examples(40)
@given(
    x=hnp.arrays(np.float32, st.sampled_from([(3, 8), (1, 32)]), elements=st.integers(-1000, 1000).map(float)),
    data=st.data(),
)
def test_there_and_back_on_whole_numbers(x: np.ndarray, data: st.DataObject) -> None:
    n = x.shape[1]
    signs = np.float32(data.draw(st.lists(st.sampled_from([-1, 1]), min_size=n, max_size=n)))
    there = hadamard(x, signs=signs, normalize=False)
    assert np.array_equal(hadamard(there, signs=signs, normalize=False, inverse=True), n * x)
    assert np.array_equal((there.astype(np.float64) ** 2).sum(axis=1), n * (x.astype(np.float64) ** 2).sum(axis=1))


@examples(40)
@given(x=hnp.arrays(np.float32, 16, elements=st.floats(-(2.0**100), 2.0**100, width=32)))
def test_each_round_adds_one_rounding(x: np.ndarray) -> None:
    """|error| is at most ((1 + u)**log2(n) - 1) times the sum of magnitudes; sums are exact where they are subnormal."""
    found = hadamard(x, normalize=False)
    size = sum(abs(Fraction(float(v))) for v in x)
    bound = ((1 + Fraction(1, 2**24)) ** 4 - 1) * size
    for j, got in enumerate(found):
        wanted = sum(entry(i, j) * Fraction(float(v)) for i, v in enumerate(x))
        assert abs(Fraction(float(got)) - wanted) <= bound


def test_a_layer_does_not_notice() -> None:
    """With a power of four for n the factor is exact, and with whole numbers everything is."""
    random = np.random.default_rng(1)
    x, w = (random.integers(-9, 10, (5, 16)).astype(np.float64) for _ in range(2))
    signs = random.choice([-1.0, 1.0], 16)
    assert np.array_equal(hadamard(x, signs=signs) @ hadamard(w, signs=signs).T, x @ w.T)
    assert np.array_equal(hadamard(hadamard(x, signs=signs), signs=signs, inverse=True), x)


def test_hadamard_refuses() -> None:
    for x in (np.zeros((2, 6)), np.zeros(0), np.asarray(1.0)):
        with pytest.raises(ArgumentError, match=r"x\.shape"):
            hadamard(x)
    for signs in (np.ones(3), np.float64([1, 0.5])):
        with pytest.raises(ArgumentError, match="signs"):
            hadamard(np.zeros(2), signs=signs)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 0.75, 1.0])
def test_smooth_scales(alpha: float) -> None:
    random = np.random.default_rng(2)
    x, w = random.standard_normal((6, 5)), random.standard_normal((4, 5))
    w[:, 1], x[:, 2] = 0, 0
    found = smooth_scales(x, w, alpha=alpha)
    with mpmath.workdps(40):
        for c, got in enumerate(found):
            largest, weight = (
                mpmath.mpf(np.abs(x[:, c]).max()),
                max(mpmath.mpf(np.abs(w[:, c]).max()), mpmath.mpf(1e-5)),
            )
            wanted = max(largest ** mpmath.mpf(alpha) / weight ** (1 - mpmath.mpf(alpha)), mpmath.mpf(1e-5))
            assert (
                abs(mpmath.mpf(float(got)) - wanted) <= 4 * np.finfo(np.float64).eps * wanted
            )  # two powers, a division


def test_powers_of_two_leave_the_product_alone() -> None:
    random = np.random.default_rng(3)
    x, w = random.integers(-99, 100, (6, 8)).astype(np.float64), random.integers(-9, 10, (4, 8)).astype(np.float64)
    s = smooth_scales(x, w, powers_of_two=True)
    assert all(math.frexp(v)[0] == 0.5 for v in s)
    assert np.array_equal((x / s) @ (w * s).T, x @ w.T)
    exact = smooth_scales(x, w)
    assert np.all((s / exact <= math.sqrt(2) * (1 + 1e-15)) & (exact / s <= math.sqrt(2) * (1 + 1e-15)))


def test_smooth_scales_refuses() -> None:
    with pytest.raises(ArgumentError, match=r"weights\.shape"):
        smooth_scales(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(ArgumentError, match="alpha"):
        smooth_scales(np.ones((2, 3)), np.ones((2, 3)), alpha=1.5)
