"""Numbers of formulas that programs have a little otherwise: how far off they seem, and what is told."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.examples import formulas
from refgrad.oracle.acceptance.unlike_numbers import Shift, said, shift, slopes

F = np.float32


def loss(off: float) -> Any:
    def loss(logits, labels, smoothing):
        share, largest = F(smoothing + off), logits.max(axis=-1, keepdims=True)
        log_sum = (largest + np.log(np.exp(logits - largest).sum(axis=-1, keepdims=True)))[:, 0]
        of_label = log_sum - logits[np.arange(len(labels)), labels]
        return np.mean((F(1) - share) * of_label + share * (log_sum - logits.mean(axis=-1)))

    return loss


@pytest.mark.slow
@pytest.mark.parametrize(("off", "told"), [(0.0, False), (1e-6, True), (-1e-6, True)])
def test_smoothing_that_is_off_by_a_millionth_is_told_by_more_cases(off: float, told: bool) -> None:
    rule = formulas.cross_entropy_of_labels(smoothing=0.1)
    verdict = refgrad.verify(loss(off), rule, steps=200, explain=False, shrink=False)
    assert verdict.conforms
    notes = [note for note in verdict.notes if note.startswith("conforms, but unlike: result is as if smoothing were")]
    assert len(notes) == told, verdict.notes


def test_derivatives_by_numbers_are_those_of_the_formula() -> None:
    rule = formulas.rmsnorm(eps=0.5)
    arrays = {n: a.astype(F) for n, a in rule.drawn(rule.lengths, np.random.default_rng(0)).items()}
    x, weight = (a.astype(np.float64) for a in arrays.values())
    mean = np.mean(x * x, axis=-1, keepdims=True) + 0.5
    np.testing.assert_allclose(
        slopes(rule, 0, arrays)["eps"]["result"], np.ravel(-0.5 * x * mean**-1.5 * weight), rtol=1e-6, atol=1e-12
    )


def test_what_depends_on_no_number_says_nothing() -> None:
    assert shift(np.ones((3, 2)), np.zeros(2), 6e-8, 0.1) is None
    assert slopes(formulas.softmax(), 0, {"x": np.ones((2, 3), F)}) == {}


def test_a_number_is_told_once_by_the_result_that_knows_it_best() -> None:
    sure, less, none = Shift(1e-5, 1e-7, 1e-7), Shift(1e-5, 1e-6, 1e-7), Shift(1e-6, 9e-7, 1e-7)
    assert (sure.told, less.told, none.told) == (True, True, False)
    (told,) = said({("a", "eps"): (0.5, less), ("b", "eps"): (0.5, sure), ("a", "scale"): (1.0, none)})
    assert told.startswith("conforms, but unlike: b is as if eps were 0.50001 in place of 0.5")
