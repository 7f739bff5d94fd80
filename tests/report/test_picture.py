"""The picture of a failing verdict: of a real run, up to date, and whole."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from refgrad.oracle.engine.verdict import Verdict
from refgrad.report.picture import COMMAND, picture, svg, words

PAGE = Path(__file__).parents[2] / "docs" / "failing-verdict.svg"


@pytest.mark.slow
def test_the_picture_is_up_to_date() -> None:
    assert words(picture()) == words(PAGE.read_text(encoding="utf-8")), "python -m refgrad.report.picture"


def test_it_has_what_a_terminal_shows_and_loads_nothing(wrong: Verdict) -> None:
    drawn = svg(wrong, COMMAND)
    shown, text = words(drawn), str(wrong).partition("How it was judged")[0].split()
    assert sorted(shown) == sorted(
        [*text, "$", *COMMAND.split(), *str(wrong).partition("\nNotes\n")[2].split(), "Notes"]
    )
    assert "url(http" not in drawn
    assert "numpy" not in words(drawn)
    assert ET.fromstring(drawn).tag.endswith("svg")


@pytest.mark.parametrize("name", ["README.md"])
def test_it_is_shown(name: str) -> None:
    assert "(docs/failing-verdict.svg)" in (PAGE.parents[1] / name).read_text(encoding="utf-8")
