"""Texts for maintainers: one for everything that is not the rule as claimed, made from the table."""

from __future__ import annotations

from pathlib import Path

from refgrad.report import upstream
from refgrad.report.survey_page import KEPT
from refgrad.surveys.cell import CONFORMS
from refgrad.surveys.implementations import known
from refgrad.surveys.implementations.findings import FINDINGS
from refgrad.surveys.releases import read
from refgrad.surveys.run import Survey

DOCS = Path(__file__).parents[2] / "docs"
SURVEY = Survey.read(DOCS / KEPT)
RELEASES = read(DOCS)


def test_pages_are_as_they_are_written_and_no_other_stands_there() -> None:
    written = upstream.pages(SURVEY.cells, known(), RELEASES)
    assert {path: (DOCS / path).read_text(encoding="utf-8") for path in written} == written, upstream.COMMAND
    assert {f"upstream/{p.name}" for p in (DOCS / "upstream").iterdir()} == set(written)


def test_the_survey_that_is_kept_is_the_one_of_its_page() -> None:
    text = (DOCS / "survey.md").read_text(encoding="utf-8")
    assert f"## The survey of {SURVEY.started[:10]}\n" in text
    assert [f"| {outcome} | {n} |" for outcome, n in SURVEY.counts.items() if f"| {outcome} | {n} |" not in text] == []
    assert {row.key for row in known()} == {cell.key for cell in SURVEY.cells}


def test_every_departure_and_every_finding_of_weight_has_a_text() -> None:
    pages = upstream.pages(SURVEY.cells, known(), RELEASES)
    for cell in SURVEY.cells:
        if cell.outcome != CONFORMS:
            assert f"`{cell.called}`" in pages[f"upstream/{cell.package}.md"]
    text = "".join(pages.values())
    assert [f.called for f in FINDINGS if f.sentence not in text] == []


def test_a_text_says_what_was_found_expected_and_derived_from_what_and_shows_it() -> None:
    cell = next(c for c in SURVEY.cells if c.called == "torch_optimizer.SGDW")
    claim = next(row.claim for row in known() if row.key == cell.key)
    text = upstream.text([cell], claim)
    assert "is SGDW(" in text.partition("\n")[0]
    for word in ("Found", "Expected", "Derived from", "Lines that show it"):
        assert f"**{word}.**" in text
    assert "`decay=proportional`" in text or "`decay=" in text
    assert "    print(refgrad.verify('torch_optimizer:SGDW'" in text
