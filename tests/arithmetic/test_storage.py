"""Rounding onto the grid of a narrow dtype: against ml_dtypes, in rationals, by chance with every random number."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.arithmetic import philox
from refgrad.arithmetic.running_error import Bounded, rounded
from refgrad.arithmetic.storage import Grid
from refgrad.backends import philox_kernel
from tests.depth import examples

FORMATS = ("bfloat16", "float16")
EVERY = np.arange(1 << 16)
floats = st.floats(width=32, allow_nan=False, allow_infinity=False)


def spread(count: int = 40_000) -> np.ndarray:
    """Numbers of every exponent of float32, ties and neighbours of ties of both formats, and what is not finite."""
    random = np.random.default_rng(3)
    bits = random.integers(0, 1 << 32, count, dtype=np.uint32)
    ties = (bits[:9000] & np.uint32(0xFFFF0000)) | np.asarray([0x7FFF, 0x8000, 0x8001] * 3000, np.uint32)
    halves = (bits[:9000] & np.uint32(0xFFFFE000)) | np.asarray([0x0FFF, 0x1000, 0x1001] * 3000, np.uint32)
    special = np.asarray(
        [0.0, -0.0, np.inf, -np.inf, np.nan, 65504.0, 65519.99, 65520.0, 2.0**-24, 2.0**-25], np.float32
    )
    return np.concatenate([bits.view(np.float32), ties.view(np.float32), halves.view(np.float32), special])


@pytest.mark.parametrize("format", FORMATS)
def test_to_nearest_is_the_cast(format: str) -> None:
    x = spread()
    with np.errstate(all="ignore"):
        want = x.astype(getattr(ml_dtypes, format, format)).astype(np.float32)
    got = Grid(format)(x)
    assert np.array_equal(got, want, equal_nan=True)
    assert np.array_equal(np.signbit(got[~np.isnan(x)]), np.signbit(x[~np.isnan(x)]))
    assert np.array_equal(Grid("float32")(x), x, equal_nan=True)


@examples(300)
@given(x=floats, random=st.integers(0, (1 << 16) - 1), chance=st.sampled_from(["below", "carry"]))
def test_arrays_and_rationals_agree(x: float, random: int, chance: str) -> None:
    for format in FORMATS:
        for grid, number in ((Grid(format), None), (Grid(format, 16, chance), random)):
            exactly = grid.exactly(Fraction(x), number)
            assert Fraction(x) == 0 or grid(np.asarray([x]), number)[0] == float(exactly)


#: numbers of both signs, of one binade and across its end, subnormal, next to a number of the format, and next to the largest
HARD = [1.00390625, -1.0000001, 1.9999999, -3.14159, 2.0**-126, 1.5 * 2.0**-133, -(2.0**-149), 3.3895314e38, 1.0, 0.0]


@pytest.mark.parametrize("chance", ["below", "carry"])
@pytest.mark.parametrize("x", [float(np.float32(x)) for x in HARD])
def test_by_chance_is_unbiased(x: float, chance: str) -> None:
    """Of all 65536 random numbers: the mean of what they lead to is the number itself, to the last bit of a rational."""
    got = Grid("bfloat16", 16, chance)(np.full(EVERY.shape, x, np.float32), EVERY)
    values, counts = np.unique(got, return_counts=True)
    assert len(values) <= 2
    assert sum(Fraction(float(v)) * int(n) for v, n in zip(values, counts, strict=True)) == Fraction(x) * (1 << 16)


@pytest.mark.parametrize("chance", ["below", "carry"])
def test_what_is_below_the_random_bits_is_cut(chance: str) -> None:
    """Of a subnormal of float16 more than sixteen bits are cut off: the mean falls short by less than one of 65536."""
    x = float(np.float32(2.0**-25 * 1.2345678))
    got = Grid("float16", 16, chance)(np.full(EVERY.shape, x, np.float32), EVERY)
    mean = sum((Fraction(float(v)) for v in got), Fraction(0)) / (1 << 16)
    assert 0 < Fraction(x) - mean < Fraction(2) ** (-24 - 16)


def test_by_chance_beyond_the_largest_number() -> None:
    largest, beyond = float(ml_dtypes.finfo("bfloat16").max), float(np.finfo(np.float32).max)
    got = Grid("bfloat16", 16)(np.full(EVERY.shape, beyond, np.float32), EVERY)
    assert set(got.tolist()) == {largest, np.inf}
    special = np.asarray([np.inf, -np.inf, np.nan], np.float32)
    assert np.array_equal(Grid("bfloat16", 16)(special, np.zeros(3)), special, equal_nan=True)


@examples(200)
@given(x=floats, y=floats, random=st.integers(0, (1 << 16) - 1), chance=st.sampled_from(["below", "carry"]))
def test_for_given_bits_it_never_falls(x: float, y: float, random: int, chance: str) -> None:
    """What the enclosure rests on: with its argument between two numbers, the result is between theirs."""
    grid = Grid("bfloat16", 16, chance)
    low, high = grid(np.asarray([min(x, y), max(x, y)], np.float64), random)
    assert low <= high


@examples(200)
@given(x=floats, random=st.integers(0, (1 << 16) - 1))
def test_the_acceptance_set_is_the_results_and_no_neighbour(x: float, random: int) -> None:
    grid, at = Grid("bfloat16", 16), np.asarray([x], np.float64)
    with np.errstate(invalid="ignore"):
        known = rounded(grid, Bounded(at), Bounded(np.asarray([float(random)])))
    assert known.error is None
    assert known.value == grid(at, random)
    middle = np.asarray([(2.0**16 - 1) / 2])
    unknown = rounded(grid, Bounded(at), Bounded(middle, middle))
    ends = {float(grid(at, n)[0]) for n in (0, (1 << 16) - 1)}
    if np.isfinite(list(ends)).all():
        reached = (unknown.value - unknown.bound(), unknown.value + unknown.bound())
        assert {float(v[0]) for v in reached} == ends


@pytest.mark.parametrize("start", [0, 3, 4096, 2**33 + 5])
def test_the_kernel_gives_the_words_of_philox(start: int) -> None:
    for count in (0, 1, 5, 1000, 200_003):
        want = philox.random_words(count, -1, 2**32 + 7, start)
        for threads in (1, 2, 5):
            assert np.array_equal(philox_kernel.random_words(count, -1, 2**32 + 7, start, "numba", threads), want)
