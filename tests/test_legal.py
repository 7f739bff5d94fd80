"""What a hyperparameter may be, and what is refused."""

from __future__ import annotations

import array
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from refgrad.citation import by
from refgrad.errors import ArgumentError
from refgrad.legal import MOST_ITERATIONS, Choice, Flag, Iterations, Range, Whole, as_number, as_whole


@pytest.mark.parametrize("value", [True, False, 1.0, "1", None])
def test_what_is_no_whole_number_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"steps is .*; legal: a whole number from 0 to 9"):
        Whole(0, 9).check("steps", value)


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    assert Whole(0, 9).check("steps", np.int64(3)) == 3


@pytest.mark.parametrize("value", [True, "0.5", float("nan"), 1.0, -0.5, None])
def test_what_is_no_number_of_an_interval_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"beta1 is .*; legal: a number in \[0, 1\)"):
        Range(0.0, 1.0, open_low=False).check("beta1", value)


def test_numbers_of_an_interval_become_floats() -> None:
    found = Range(0.0, 1.0, open_low=False).check("beta1", np.float32(0.5))
    assert (found, type(found)) == (0.5, float)


def test_the_nearest_behaviour_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"placed is .insde.; legal: inside \| outside.*inside"):
        Choice(inside="under the root", outside="beside it").check("placed", "insde")


@pytest.mark.parametrize("value", [1, 0, "True", None, np.True_])
def test_what_is_neither_true_nor_false_is_refused(value: Any) -> None:
    with pytest.raises(ArgumentError, match=r"nesterov is .*; legal: True or False"):
        Flag("looks ahead").check("nesterov", value)


def test_who_does_it_is_said_of_true_alone() -> None:
    flag = Flag(by("both moments are corrected", "published"))
    assert flag.said(True) == "both moments are corrected (the paper as reported)"
    assert flag.said(False) == "not: both moments are corrected"


def test_an_interval_of_whole_numbers_has_no_others() -> None:
    codes = Range(-8.0, 7.0, open_low=False, open_high=False, whole=True)
    assert [x in codes for x in (-8.0, 0.0, 2.5, 7.0, 8.0)] == [True, True, False, True, False]
    assert float("inf") not in Range(whole=True)
    with pytest.raises(ArgumentError, match=r"high is 2\.59; legal: a number in \[-8, 7\], whole"):
        codes.check("high", 2.59)


def test_a_flag_is_shown_as_its_two_values() -> None:
    assert str(Flag("it does")) == "true | false"


def test_what_is_done_again_and_again_has_an_end() -> None:
    assert str(Iterations()) == "a whole number from 1 to 1000000"
    assert Iterations(0).check("steps", MOST_ITERATIONS) == MOST_ITERATIONS
    for value in (0, MOST_ITERATIONS + 1, 10**9, 1.0):
        with pytest.raises(ArgumentError, match=r"AWQ.steps is .*; legal: a whole number from 1 to 1000000"):
            Iterations().check("AWQ.steps", value)


#: what Python makes a number of, or asks for one in vain
NO_NUMBERS: dict[str, Callable[[], Any]] = {
    "complex number of NumPy": lambda: np.complex64(3),
    "array of a text": lambda: np.asarray("3"),
    "array of a truth": lambda: np.asarray(True),
    "array of an object": lambda: np.asarray(Fraction(3), object),
    "record": lambda: np.zeros((), "V4"),
    "masked": lambda: np.ma.masked,
    "memory of a text": lambda: memoryview(b"3"),
    "array of bytes": lambda: array.array("b", b"3"),
    "whatever fails": lambda: type("Fails", (), dict.fromkeys(("__float__", "__index__"), _fails))(),
    "signaling NaN": lambda: Decimal("sNaN"),
}


def _fails(self: Any) -> Any:
    raise RuntimeError("asked in vain")


@pytest.mark.parametrize("name", NO_NUMBERS)
def test_what_python_makes_a_number_of_is_none(name: str) -> None:
    value = NO_NUMBERS[name]()
    assert math.isnan(as_number(value))
    assert as_whole(value) is None
    for legal in (Range(), Whole(0)):
        with pytest.raises(ArgumentError, match=r"lr is .*; legal: a "):
            legal.check("lr", value)


def test_numbers_of_every_library_are_numbers() -> None:
    for value in (3, np.uint8(3), Fraction(3), Decimal(3), np.asarray(3), np.longdouble(3), ml_dtypes.bfloat16(3)):
        assert Range().check("lr", value) == 3.0
    assert Range().check("lr", np.asarray(3, ml_dtypes.bfloat16)) == 3.0
