"""Distances from the truth: what is counted, and in which bin."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import refgrad
from refgrad.errors import ArgumentError
from refgrad.examples.numpy_adamw import adamw, adamw_eps_inside
from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged
from refgrad.oracle.acceptance.ulp_errors import ENDS, Errors, distances, measure
from refgrad.oracle.inputs.steps import generate

F = np.float32


def judged(status: list[int], truth: list[float]) -> Judged:
    exact = np.asarray(truth, np.float64)
    return Judged(np.asarray(status, np.uint8), exact, exact, exact)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
def test_a_distance_is_the_difference_over_the_unit_in_the_last_place(value: float, truth: float) -> None:
    truth = float(np.clip(truth, -(2.0**120), 2.0**120))
    exponent = max(math.frexp(truth)[1] - 24, -149) if truth else -149
    wanted = abs(Fraction(value) - Fraction(truth)) / Fraction(2) ** exponent
    found = float(distances(np.asarray([value]), np.asarray([truth]), F)[0])
    # the difference is rounded once, and divided by a power of two
    assert abs(Fraction(found) - wanted) <= wanted / 2**53


def test_bins_by_their_upper_ends() -> None:
    one = F(1)
    values = [1.0, 1.0, float(np.nextafter(one, F(2))), 1 + 3 * 2.0**-23, math.nan, 5.0, math.inf]
    truth = [1.0, 1 + 2.0**-25, 1.0, 1.0, 1.0, 5.0, math.inf]
    status = [INSIDE, INSIDE, INSIDE, OUTSIDE, OUTSIDE, UNDECIDED, INSIDE]
    found = measure(judged(status, truth), np.asarray(values), F)
    wanted = {0.0: 2, 0.5: 1, 1.0: 1, 4.0: 1, math.inf: 1}
    assert {end: n for end, n in zip(ENDS, found.bins, strict=True) if n} == wanted
    assert {end: n for end, n in zip(ENDS, found.outside, strict=True) if n} == {4.0: 1, math.inf: 1}
    assert sum(b.count for b in found.magnitudes.values()) == 6
    assert found.magnitudes[0].outside == 2
    assert found.magnitudes[112].count == 1  # infinity, among the largest numbers
    assert (found + Errors()) == found
    assert (found + found).bins == tuple(2 * n for n in found.bins)


def test_a_verdict_has_the_distances_of_all_that_was_decided() -> None:
    verdict = refgrad.verify(adamw, AdamW(), inputs=generate(3, "float32", 0, AdamW()))
    for tensor, errors in verdict.errors.items():
        before_the_first_step = 0 if tensor == "p" else verdict.counts[tensor].total // 4
        decided = verdict.counts[tensor].inside + verdict.counts[tensor].outside
        assert sum(errors.bins) == decided - before_the_first_step
        assert sum(errors.outside) == 0
    wrong = refgrad.verify(adamw_eps_inside, AdamW(), steps=3, explain=False, shrink=False)
    assert sum(wrong.errors["p"].outside) == wrong.counts["p"].outside


@pytest.mark.slow
def test_the_search_for_an_explanation_is_ended_by_a_clock() -> None:
    short = refgrad.verify(adamw_eps_inside, AdamW(), steps=2, shrink=False, explain=1e-9)
    assert any("was ended after" in note for note in short.notes)
    assert short.counts == refgrad.verify(adamw_eps_inside, AdamW(), steps=2, shrink=False, explain=False).counts
    for illegal in (-1.0, math.nan, "long"):
        with pytest.raises(ArgumentError, match="explain"):
            refgrad.verify(adamw, AdamW(), explain=illegal)  # type: ignore[arg-type]
