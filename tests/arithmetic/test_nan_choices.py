"""What programs make of NaN where they choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from refgrad.arithmetic import nan_choices
from refgrad.arithmetic.bounded import Bounded, Model
from refgrad.arithmetic.dtypes import format_of
from refgrad.arithmetic.running_error import maximum, minimum

MODEL = Model.of(format_of(np.dtype("f4")), 3, 2, "keep", "any")
A, B = (Bounded(np.asarray(a)) for a in ([np.nan, np.nan, 1.0, 2.0], [3.0, np.nan, np.nan, 1.0]))


@pytest.mark.parametrize(
    ("choose", "numbers"), [(maximum, [3.0, np.nan, 1.0, 2.0]), (minimum, [3.0, np.nan, 1.0, 1.0])], ids=["max", "min"]
)
def test_of_two_of_which_one_is_nan_the_other_may_be_taken(
    choose: Callable[[Bounded, Bounded, Model], Bounded], numbers: list[float]
) -> None:
    strict = choose(A, B, MODEL)
    assert np.isnan(strict.value).tolist() == [True, True, True, False]
    found = choose(A, B, replace(MODEL, nan_open=True))
    np.testing.assert_array_equal(found.lowest(), numbers)
    np.testing.assert_array_equal(found.highest(), numbers)
    assert found.may_be_nan().tolist() == [True, True, True, False]


def test_a_comparison_with_nan_is_open_and_its_sign_is_any() -> None:
    assert nan_choices.unknown(A, B).tolist() == [True, True, True, False]
    signs = nan_choices.sign(A, Bounded(np.sign(A.value)))
    assert signs.lowest().tolist() == [-1.0, -1.0, 1.0, 1.0]
    assert signs.highest().tolist() == [1.0, 1.0, 1.0, 1.0]
    assert signs.may_be_nan().tolist() == [True, True, False, False]
