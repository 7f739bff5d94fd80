"""Codes as numbers, and numbers on the grids of narrow formats: the lines of kernels, run as the Python that they are."""

from __future__ import annotations

import math
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.arithmetic.dtypes import format_of, round_to
from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.backends.narrow_source import narrow, number_of_code, on_grid, stored_kind
from refgrad.backends.writer import Writer

READ = [name for name, form in MINIFLOATS.items() if form.signed and form.zero]


def dtype_of(name: str) -> np.dtype:
    return np.dtype(getattr(ml_dtypes, name, name))


def function_of(write: Any) -> Any:
    """What the lines that are written for an argument ``given`` compute."""
    w = Writer(np.dtype(np.float64))
    with w.block("def function(given):"):
        result = write(w)
        w.line(f"return {result}")
    known = {name: getattr(np, name) for name in ("int64", "float64")}
    known |= {"np": np, "chosen": lambda condition, yes, no: yes if condition else no}
    exec("\n".join(w.text()), known)
    return known["function"]


@pytest.mark.parametrize("name", READ)
def test_every_code_is_its_number(name: str) -> None:
    dtype, form = dtype_of(name), MINIFLOATS[name]
    number = function_of(lambda w: number_of_code(w, "x", "given", form))
    codes = np.arange(1 << form.bits, dtype=form.code_dtype)
    step = 1 if form.bits <= 8 else 17
    for code in codes[::step]:
        want = np.asarray(code).view(dtype).astype(np.float64)
        np.testing.assert_array_equal(number(code), want)
        assert math.isnan(want) or np.signbit(number(code)) == np.signbit(want)


@pytest.mark.parametrize("name", READ)
def test_numbers_are_rounded_to_the_grid(name: str) -> None:
    dtype, random = dtype_of(name), np.random.default_rng(0)
    facts, grid = format_of(dtype), function_of(lambda w: on_grid(w, "y", "given", dtype))
    low, high = math.log2(facts.smallest_subnormal) - 3, math.log2(facts.largest)
    values = random.choice([-1, 1], 400) * 2.0 ** random.uniform(low, high, 400)
    numbers = round_to(values, dtype)
    ties = numbers + np.where(np.abs(numbers) < facts.largest, 0.5, 0.0) * facts.smallest_subnormal
    near = np.abs(numbers) * (
        1 + facts.unit_roundoff
    )  # halfway between two, where these are as far apart as they may be
    for value in (*values, *numbers, *ties, *near[near <= facts.largest], 0.0, facts.smallest_normal, facts.largest):
        assert grid(np.float64(value)) == round_to(np.asarray(value), dtype)


def test_which_dtypes_are_narrow() -> None:
    assert [narrow(dtype_of(name)) is not None for name in ("float8_e8m0fnu", "float32", "bfloat16")] == [0, 0, 1]
    assert narrow(np.dtype(">f2")) is None
    assert stored_kind(dtype_of("float8_e4m3fn")) == "uint8"
