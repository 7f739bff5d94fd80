"""The picture of an acceptance set: drawn from a run, and as it stands in docs/."""

from __future__ import annotations

from pathlib import Path

from refgrad.optimizers import AdamW
from refgrad.report import set_picture

DOCS = Path(__file__).parents[2] / "docs"


def test_the_picture_of_docs_is_as_it_is_drawn() -> None:
    assert (DOCS / "set.svg").read_text(encoding="utf-8").strip() == set_picture.picture()
    assert "(set.svg)" in (DOCS / "enclosure.md").read_text(encoding="utf-8")


def test_right_programs_are_inside_and_not_all_the_same_and_the_wrong_one_is_outside() -> None:
    rule = AdamW()
    found = set_picture.finding(rule)
    given = {float(program(found.inputs, rule)) for program in set_picture.PROGRAMS.values()}
    assert len(given) > 1
    assert all(found.low <= value <= found.high for value in given)
    assert not found.low <= found.value <= found.high
