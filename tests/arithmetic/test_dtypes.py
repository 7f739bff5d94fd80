"""Formats and roundings onto their grids, against integers and fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest

from refgrad import ArgumentError
from refgrad.arithmetic import dtypes

BITS = {np.dtype(np.float16): np.uint16, np.dtype(ml_dtypes.bfloat16): np.uint16, np.dtype(np.float32): np.uint32}
NARROW = [np.float16, ml_dtypes.bfloat16]


def codes(dtype: type, count: int = 100_000) -> np.ndarray:
    """Codes of non-negative finite numbers, ascending: all of them in 16 bits, a sample with both ends in 32."""
    unsigned = BITS[np.dtype(dtype)]
    largest = int(np.asarray(ml_dtypes.finfo(dtype).max, dtype).view(unsigned))
    if largest < 2**16:
        return np.arange(largest, dtype=unsigned)
    random = np.random.Generator(np.random.Philox(1))
    some = random.integers(0, largest, count, dtype=unsigned)
    return np.concatenate([np.arange(2000, dtype=unsigned), some, np.arange(largest - 2000, largest, dtype=unsigned)])


def values(codes_: np.ndarray, dtype: type) -> np.ndarray:
    return codes_.view(np.dtype(dtype)).astype(np.float64)


@pytest.mark.parametrize("dtype", BITS)
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_ties_go_to_the_even_code_and_all_else_to_the_nearer_one(dtype: type, sign: float) -> None:
    below = codes(dtype)
    low, high = values(below, dtype), values(below + BITS[np.dtype(dtype)](1), dtype)
    middle = (low + high) / 2  # exact: one bit more than the format has
    even = np.where(below % 2 == 0, low, high)
    assert np.array_equal(dtypes.round_to(sign * middle, dtype), sign * even)
    # by one unit of float64 off the tie: a cast by way of float32 would round twice
    assert np.array_equal(dtypes.round_to(sign * np.nextafter(middle, np.inf), dtype), sign * high)
    assert np.array_equal(dtypes.round_to(sign * np.nextafter(middle, -np.inf), dtype), sign * low)
    assert np.array_equal(dtypes.round_to(sign * low, dtype), sign * low)


def nearest(x: float, dtype: type) -> float:
    """To nearest, ties to even, in rationals: the number of the form n 2**e with n below 2**p."""
    facts = dtypes.format_of(dtype)
    precision = int(facts.smallest_normal / facts.smallest_subnormal).bit_length()
    unit = max(Fraction(2) ** (math.frexp(x)[1] - precision), Fraction(facts.smallest_subnormal))
    return float(round(Fraction(x) / unit) * unit)  # Python rounds fractions to even


@pytest.mark.parametrize("dtype", BITS)
def test_roundings_against_rationals(dtype: type) -> None:
    random = np.random.Generator(np.random.Philox(2))
    facts = dtypes.format_of(dtype)
    span = np.log2([facts.smallest_subnormal / 4, facts.largest])
    x = np.exp2(random.uniform(*span, 2000)) * random.choice([-1.0, 1.0], 2000)
    assert dtypes.round_to(x, dtype).tolist() == [nearest(float(v), dtype) for v in x]


@pytest.mark.parametrize("dtype", [*BITS, np.dtype(np.float64)])
def test_overflow_and_special_values(dtype: type) -> None:
    facts = dtypes.format_of(dtype)
    x = np.asarray([np.inf, -np.inf, np.nan, -0.0, facts.largest, -facts.largest])
    assert repr(dtypes.round_to(x, dtype).tolist()) == repr(x.tolist())
    if dtype != np.float64:
        half = facts.largest + float(dtypes.ulp(np.asarray(facts.largest), dtype)) / 2
        assert dtypes.round_to(np.asarray([half, np.nextafter(half, 0)]), dtype).tolist() == [np.inf, facts.largest]


def test_float64_is_left_alone() -> None:
    x = np.asarray([0.1, 5e-324, 1e308])
    assert dtypes.round_to(x, np.float64).tolist() == x.tolist()


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ulp_is_the_spacing_of_the_binade(dtype: type) -> None:
    if dtype == np.float16:
        x = values(codes(dtype), dtype).astype(dtype)
    else:
        random = np.random.Generator(np.random.Philox(4))
        info = np.finfo(dtype)
        x = np.exp2(random.uniform(np.log2(info.smallest_subnormal), np.log2(info.max), 5000)).astype(dtype)
        x = np.concatenate([x, np.asarray([0.0, 1.0, 2.0, info.max / 2, info.tiny, info.smallest_subnormal], dtype)])
        assert dtypes.ulp(np.asarray(float(info.max)), dtype) == info.max - np.nextafter(info.max, dtype(0))
    assert np.array_equal(dtypes.ulp(x.astype(np.float64), dtype), np.spacing(x).astype(np.float64))
    assert np.array_equal(dtypes.ulp(-x.astype(np.float64), dtype), np.spacing(x).astype(np.float64))


def test_ulp_of_bfloat16() -> None:
    x = np.asarray([1.0, 1.99, 2.0, 0.0, np.inf])
    largest = 2.0 ** (127 - 7)
    assert dtypes.ulp(x, ml_dtypes.bfloat16).tolist() == [2.0**-7, 2.0**-7, 2.0**-6, 2.0**-133, largest]


@pytest.mark.parametrize(
    ("dtype", "facts"),
    [
        (np.float16, (2.0**-11, 2.0**-14, 2.0**-24, 65504.0)),
        (ml_dtypes.bfloat16, (2.0**-8, 2.0**-126, 2.0**-133, (2 - 2.0**-7) * 2.0**127)),
        (np.float32, (2.0**-24, 2.0**-126, 2.0**-149, (2 - 2.0**-23) * 2.0**127)),
        (np.float64, (2.0**-53, 2.0**-1022, 5e-324, (2 - 2.0**-52) * 2.0**1023)),
    ],
)
def test_the_facts_of_a_format(dtype: type, facts: tuple[float, ...]) -> None:
    known = dtypes.format_of(dtype)
    assert (known.unit_roundoff, known.smallest_normal, known.smallest_subnormal, known.largest) == facts


def test_the_working_precision() -> None:
    assert [dtypes.working(d) for d in (*NARROW, np.float32, np.float64)] == [
        np.float32,
        np.float32,
        np.float32,
        np.float64,
    ]
    for wrong in (np.int32, np.complex64, np.bool_):
        assert not dtypes.is_float(wrong)
        with pytest.raises(ArgumentError, match="legal: a float dtype"):
            dtypes.working(wrong)


@pytest.mark.parametrize("dtype", BITS)
def test_shortest_decimals_read_back_and_no_shorter_one_does(dtype: type) -> None:
    numbers = values(codes(dtype)[:: 997 if np.dtype(dtype).itemsize == 2 else 2003], dtype)
    for value in numbers[1:]:
        text = dtypes.shortest(float(value), dtype)
        assert dtypes.round_to(np.asarray(float(text)), dtype) == value
        digits = len(text.partition("e")[0].replace(".", "").strip("0"))
        if digits > 1:
            shorter = np.asarray(float(f"{value:.{digits - 1}g}"))
            assert dtypes.round_to(shorter, dtype) != value
        if np.dtype(dtype).kind == "f":  # NumPy's own algorithm has as few digits
            assert digits == len(str(np.dtype(dtype).type(value)).partition("e")[0].replace(".", "").strip("0"))


def test_shortest_decimals_of_other_numbers() -> None:
    assert dtypes.shortest(0.1, np.float32) == "0.1"  # not of float32's grid: as float64
    assert dtypes.shortest(1 / 3, np.float32) == "0.3333333333333333"
    assert dtypes.shortest(float(np.float32(1 / 3)), "float32") == "0.33333334"
    assert [dtypes.shortest(x, np.float16) for x in (np.inf, -np.inf, np.nan, -0.0)] == ["inf", "-inf", "nan", "-0"]


@pytest.mark.parametrize("value", ["float33", "int32", np.int8, "finfo", 3.0, "complex64"])
def test_what_is_no_float_dtype_is_refused_by_name(value: object) -> None:
    with pytest.raises(ArgumentError, match=r"--dtype is .*; legal: a float dtype, such as 'float32'"):
        dtypes.as_dtype(value, "--dtype")


def test_dtypes_by_name_and_as_they_are() -> None:
    wanted = np.dtype(ml_dtypes.bfloat16)
    assert [dtypes.as_dtype(d) for d in ("bfloat16", ml_dtypes.bfloat16, wanted)] == [wanted] * 3
    assert [dtypes.as_dtype(d) for d in ("float32", np.float32, "f4")] == [np.dtype(np.float32)] * 3
