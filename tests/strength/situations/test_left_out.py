"""What is left out of the shares of planted faults: each change has its reason, and no other change gets one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refgrad.rule import find
from refgrad.strength.situations import SITUATIONS, Fault
from refgrad.strength.situations.left_out import TABLE, reason
from refgrad.strength.situations.trial import LEFT_OUT

DOCS = Path(__file__).parents[3] / "docs"
TIES = "ties=high where a number is off its default"


def test_every_row_is_about_a_situation_and_says_why() -> None:
    assert {row.situation for row in TABLE} <= set(SITUATIONS)
    assert all(row.reason and row.kinds for row in TABLE)


@pytest.mark.parametrize(
    ("name", "fault", "shown", "out"),
    [
        ("Magnitude", Fault("default", "behaviour", TIES), "", True),
        ("Affine", Fault("default", "behaviour", TIES), "", False),
        ("Magnitude", Fault("default", "behaviour", "rounding=floor where a number is off its default"), "", False),
        ("Q4_K", Fault("value", "NaN", "NaN is turned into 0"), "", True),
        ("Affine", Fault("value", "NaN", "NaN is turned into 0"), "", False),
        ("TrimmedMean", Fault("value", "NaN", "NaN is turned into 0"), "", False),
        ("TrimmedMean", Fault("value", "infinity", "an infinity is turned into the largest number"), "", False),
        ("Krum", Fault("part", "rare", "one element in 1009 of result is wrong"), "", True),
        ("ZeroNaNs", Fault("part", "rare", "one element in 1009 of result is wrong"), "", False),
        ("Centralize", Fault("shape", "axes", "the first alone"), "Centralize(): shape (3, 5, 7) ", True),
        ("Centralize", Fault("shape", "axes", "the first alone"), "Centralize(): shape (5, 19) ", False),
        ("Lion", Fault("shape", "axes", "the first alone"), "Lion(): shape (3, 5, 7) ", False),
    ],
)
def test_a_reason_is_that_of_its_rules_and_places_alone(name: str, fault: Fault, shown: str, out: bool) -> None:
    assert bool(reason(find(name)(), fault, shown)) == out


def test_numbers_in_float32_are_told_where_they_are_not_next_to_the_others() -> None:
    """Signum at beta = 0.333 has the same numbers in float32; at 0.9, where its default is, it has not."""
    rule = find("Signum")()
    name = "scalars=float32 where a number is off its default"
    of = lambda settings: Fault("default", "behaviour", name, settings=settings)  # noqa: E731
    assert reason(rule, of(lambda told: told.replace(scalars="float32")), "")
    assert not reason(rule, of(lambda told: told.replace(beta=0.9, scalars="float32")), "")


def test_the_figures_of_the_documentation_name_reasons_of_the_table() -> None:
    found = json.loads((DOCS / "situations-strength.json").read_text(encoding="utf-8"))
    given = {said[1] for each in found.values() for _, _, outcome, *said in each["faults"] if outcome == LEFT_OUT}
    assert given
    assert given <= {row.reason for row in TABLE}
