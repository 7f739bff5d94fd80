"""Figures of planted faults: counted, tabulated, and as they are kept in the documentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from refgrad.rule import rules
from refgrad.strength.situations.fault import Fault
from refgrad.strength.situations.figures import counted, not_driven, of_rule, share, text
from refgrad.strength.situations.left_out import NOT_DRIVEN
from refgrad.strength.situations.trial import EQUAL, LEFT_OUT, REFUSED, SURVIVES, Outcome

DOCS = Path(__file__).parents[3] / "docs"
#: the least share refused of situations of which less is; see the page for what is accepted
LEAST = {"value": 0.7, "default": 0.9}


def some() -> dict[str, Any]:
    faults = [Fault("shape", "tail", f"a tail of {k}") for k in (4, 8, 16, 32)]
    outcomes = [Outcome(fault, REFUSED, "shapes") for fault in faults[:2]]
    outcomes += [Outcome(faults[2], SURVIVES, "Lion(): NaN, step 1"), Outcome(faults[3], EQUAL)]
    return {"Lion": of_rule("optimizer", True, outcomes, 1.0)}


def test_what_is_no_fault_is_not_counted_against_the_share() -> None:
    (counts,) = counted(some(), "situation").values()
    assert counts == {REFUSED: 2, SURVIVES: 1, EQUAL: 1}
    assert share(counts) == 2 / 3


def test_the_text_names_what_was_accepted() -> None:
    told = text(some())
    assert f"1 of {len(rules())} rules measured so far, 3 faults, 66.67% of those within reach refused" in told
    assert "False alarms: 0 of 1" in told
    assert "| Lion | shape | a tail of 16 | Lion(): NaN, step 1 |" in told


def test_the_figures_of_the_documentation() -> None:
    """No false alarm, more than 3,000 faults once all rules are there, and the page says what the file has."""
    found = json.loads((DOCS / "situations-strength.json").read_text(encoding="utf-8"))
    assert all(figures["right"] for figures in found.values())
    counts = counted(found, "situation")
    planted = sum(n for each in counts.values() for outcome, n in each.items() if outcome != EQUAL)
    assert planted >= 3000 or not set(rules()) <= set(found)
    assert {name: share(each) for name, each in counts.items() if share(each) < LEAST.get(name, 0.97)} == {}
    assert text(found) in (DOCS / "situations-strength.md").read_text(encoding="utf-8")


def test_what_is_not_driven_is_counted_both_ways() -> None:
    found = some()
    fault = Fault("shape", "tail", "a tail of 64")
    found["Krum"] = of_rule("transform", True, [Outcome(fault, LEFT_OUT, NOT_DRIVEN[0])], 1.0)
    assert share(counted(found, "situation")["shape"]) == 2 / 3
    assert share(not_driven(found)["shape"]) == 2 / 4
    assert "1 are not driven, as a verdict says first; counted as accepted, the shares are shape 50.0%" in text(found)
