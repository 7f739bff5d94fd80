"""What a search comes to."""

from __future__ import annotations

import pytest

from refgrad.optimizers import AdamW
from refgrad.oracle.acceptance.findings import Count, Fault
from refgrad.oracle.explanation import (
    AMBIGUOUS,
    EXIT_CODES,
    IDENTIFIED,
    MISBEHAVES,
    UNJUDGED,
    UNKNOWN,
    Explanation,
    new_lines,
    outcome_of,
)
from refgrad.oracle.hypotheses.changes import Change
from refgrad.oracle.mutants import mutations
from refgrad.tracing import free_values

ONE = Explanation("AdamW", "no eps", "there is no eps", "mutant", False, {"p": Count(9, 0, 1), "m": Count(10)})
FAULT = Fault("mutated", 1, "the gradient was changed")


@pytest.mark.parametrize(
    ("explanations", "judged", "faults", "outcome"),
    [
        ([ONE], True, (), IDENTIFIED),
        ([ONE, ONE], True, (), AMBIGUOUS),
        ([], True, (), UNKNOWN),
        ([], False, (), UNJUDGED),
        ([ONE], True, (FAULT,), MISBEHAVES),
        ([], True, (FAULT,), MISBEHAVES),
        ([], False, (FAULT,), MISBEHAVES),  # one outcome, whether or not anything is left to judge
    ],
)
def test_outcomes(explanations: list[Explanation], judged: bool, faults: tuple[Fault, ...], outcome: str) -> None:
    assert outcome_of(explanations, judged, faults) == outcome
    assert (EXIT_CODES[outcome] == 0) == (outcome in (IDENTIFIED, AMBIGUOUS))


def test_what_an_explanation_says() -> None:
    assert ONE.title == "AdamW with no eps"
    assert (ONE.outside, ONE.total) == (0, 20)


def test_the_lines_that_a_rewrite_changed() -> None:
    plan = AdamW().plan((3, 3), 1)
    wrong = next(m for m in mutations([plan]) if m.name == "no eps")
    after = Change("", "", mutations=(wrong,)).plans(AdamW(), 2, free_values((3, 3), {"t": 1}))
    (line,) = new_lines(plan, after)
    assert line.startswith("p' = ")
    assert "eps" not in line
    assert new_lines(plan, plan) == ()
