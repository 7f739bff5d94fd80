"""What became of an output between two versions: counted, and in a word."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.difference import AS_GOOD, BETTER, MIXED, SAME, WORSE, Changed, _answer, combined, same_bits

NAN = float("nan")


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        (Changed(compared=5), SAME),
        (Changed(changed=1, nearer=1), AS_GOOD),
        (Changed(changed=9, nearer=9), AS_GOOD),
        (Changed(changed=10, nearer=10), BETTER),
        (Changed(changed=10, farther=10), WORSE),
        (Changed(changed=100, nearer=66, farther=34), BETTER),
        (Changed(changed=100, nearer=65, farther=35), AS_GOOD),
        (Changed(changed=1, nearer=1, new_outside=1), WORSE),
        (Changed(changed=9, farther=9, old_outside=1), BETTER),
        (Changed(changed=50, nearer=50, old_largest=0.5, new_largest=0.61), MIXED),
        (Changed(changed=50, nearer=50, old_largest=0.5, new_largest=0.59), BETTER),
        (Changed(changed=50, nearer=40, farther=10, old_mean=0.1, new_mean=0.2), MIXED),
        (Changed(changed=50, nearer=40, farther=10, old_mean=0.2, new_mean=0.1), BETTER),
        (Changed(changed=50, farther=50, old_largest=0.7, new_largest=0.5), MIXED),
    ],
)
def test_the_word_of_an_output(changed: Changed, word: str) -> None:
    assert changed.outcome == word


def test_the_word_of_all() -> None:
    assert combined([]) == SAME
    assert combined([SAME, AS_GOOD]) == AS_GOOD
    assert combined([AS_GOOD, WORSE]) == WORSE
    assert combined([WORSE, BETTER]) == combined([SAME, MIXED]) == MIXED


def test_bits() -> None:
    one = np.array([0.0, 1.0, NAN, np.inf], np.float32)
    other = np.array([-0.0, 1.0, -NAN, np.inf], np.float32)
    assert same_bits(one, other).tolist() == [False, True, True, True]
    assert same_bits(one, other.astype(np.float64)).tolist() == [False, True, True, True]
    narrow = one.astype(ml_dtypes.bfloat16)
    assert same_bits(narrow, narrow[::-1]).tolist() == [False, False, False, False]
    assert bool(same_bits(np.array(True), np.array(True)))


def test_errors_over_what_is_allowed() -> None:
    values = np.array([1.0, 1.5, 3.0, NAN, NAN, 2.0, np.inf], np.float32)
    status = np.array([INSIDE, INSIDE, OUTSIDE, OUTSIDE, INSIDE, UNDECIDED, INSIDE])
    truth = np.array([1.0, 1.0, 1.0, 1.0, NAN, 1.0, 1.0])
    low, high = np.array([0.0, 0.0, 1.0, 0.0, NAN, 0.0, 0.0]), np.array([2.0, 2.0, 1.0, 2.0, NAN, 2.0, 2.0])
    judged = Judged(status, truth, low, high)
    found = _answer(Output(1, 0, "y", judged, values, np.dtype(np.float32), lambda index: {}), "a")
    assert np.array_equal(found.error, [0.0, 0.5, np.inf, np.inf, 0.0, NAN, NAN], equal_nan=True)
    assert (found.outside, found.rounded) == (2, 2)
