"""What a person reads of an identification."""

from __future__ import annotations

import dataclasses

import pytest

from refgrad.oracle.acceptance.findings import Count, Fault
from refgrad.oracle.explanation import AMBIGUOUS, IDENTIFIED, MISBEHAVES, UNJUDGED, UNKNOWN, Explanation
from refgrad.oracle.hypotheses.recovered import ALL, Recovered
from refgrad.oracle.identification import Identification
from refgrad.oracle.identification_text import headline, sections

RATE = Recovered("lr", "p", 0.001, 0.002, 0.00199, 0.00201, True)
BEST = Explanation(
    "AdamW(lr=0.002)", "", "lr is 0.002, not 0.001", "value", False, {"p": Count(100)}, recovered=(RATE,)
)
OTHER = Explanation("AdamW", "twice p", "p is twice as large.", "mutant", False, {"p": Count(100)})
ITSELF = Explanation("AdamW", "", "", "none", False, {"p": Count(60, 40)})
FOUND = Identification(
    IDENTIFIED, "mine:adamw", "AdamW()", (BEST,), (), ITSELF, ("AdamW",), 12, "step-locked", 10, "float32", 0
)
FAULT = Fault("mutated", 3, "the gradient was changed by the step")


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({}, "IDENTIFIED: mine:adamw is AdamW(lr=0.002)"),
        (
            {"outcome": AMBIGUOUS, "explanations": (BEST, OTHER)},
            "AMBIGUOUS: mine:adamw is AdamW(lr=0.002), or one of 1 more that fit as well",
        ),
        ({"outcome": UNKNOWN, "explanations": ()}, "UNKNOWN: mine:adamw is nothing that I know"),
        ({"outcome": UNJUDGED, "explanations": ()}, "COULD NOT BE JUDGED: mine:adamw could not be judged"),
        (
            {"outcome": MISBEHAVES},
            "MISBEHAVES: mine:adamw does what no candidate may; what it gives besides is that of AdamW(lr=0.002)",
        ),
        ({"outcome": MISBEHAVES, "explanations": ()}, "MISBEHAVES: mine:adamw is nothing that I know"),
        (
            {"explanations": (dataclasses.replace(BEST, model=True),)},
            "IDENTIFIED: mine:adamw may be AdamW(lr=0.002), a model of error that fits much else",
        ),
    ],
    ids=str,
)
def test_the_first_line(changes: dict, line: str) -> None:
    assert headline(dataclasses.replace(FOUND, **changes)) == line


def test_all_of_it() -> None:
    assert str(FOUND).splitlines() == [
        "IDENTIFIED: mine:adamw is AdamW(lr=0.002)",
        "",
        "Why",
        "  lr is 0.002, not 0.001",
        "  0 of 100 values outside; AdamW itself: 40 outside",
        "",
        "Hyperparameters",
        "  name   used  claimed  at least  at most  told by",
        "  lr    0.002    0.001   0.00199  0.00201       p'",
        "",
        "How it was found",
        "  tried  12 hypotheses of AdamW()",
        "  run    10 steps, float32, seed 0, step-locked",
    ]


def test_faults_stand_before_the_explanation() -> None:
    titles = [s.title for s in sections(dataclasses.replace(FOUND, outcome=MISBEHAVES, faults=(FAULT,)))]
    assert titles[:3] == ["", "Faults", "Why"]


def test_what_all_results_tell_together() -> None:
    together = dataclasses.replace(BEST, recovered=(dataclasses.replace(RATE, output=ALL, determined=False),))
    text = str(dataclasses.replace(FOUND, explanations=(together,)))
    assert "not determined" in text
    assert "      all" in text
