"""Texts for maintainers: one for everything that is not the rule as claimed, made from the table."""

from __future__ import annotations

from pathlib import Path

from refgrad.report import upstream
from refgrad.surveys.cell import CONFORMS
from refgrad.surveys.expected import expected
from refgrad.surveys.implementations import known
from refgrad.surveys.implementations.findings import FINDINGS

DOCS = Path(__file__).parents[2] / "docs"
VERSIONS = upstream.versions((DOCS / "survey.md").read_text(encoding="utf-8"))


def test_pages_are_as_they_are_written_and_no_other_stands_there() -> None:
    written = upstream.pages(expected(known(), VERSIONS), known())
    assert {path: (DOCS / path).read_text(encoding="utf-8") for path in written} == written, upstream.COMMAND
    assert {f"upstream/{p.name}" for p in (DOCS / "upstream").iterdir()} == set(written)


def test_the_survey_of_the_docs_has_a_version_of_every_package() -> None:
    assert {row.package for row in known()} == set(VERSIONS)


def test_every_departure_and_every_finding_of_weight_has_a_text() -> None:
    pages = upstream.pages(expected(known(), VERSIONS), known())
    for cell in expected(known(), VERSIONS):
        if cell.outcome != CONFORMS:
            assert f"`{cell.called}`" in pages[f"upstream/{cell.package}.md"]
    text = "".join(pages.values())
    assert [f.called for f in FINDINGS if f.sentence not in text] == []


def test_a_text_says_what_was_found_expected_and_derived_from_what_and_shows_it() -> None:
    cell = next(c for c in expected(known(), VERSIONS) if c.called == "torch_optimizer.SGDW")
    claim = next(row.claim for row in known() if row.key == cell.key)
    text = upstream.text([cell], claim)
    assert "is SGDW(" in text.partition("\n")[0]
    for word in ("Found", "Expected", "Derived from", "Lines that show it"):
        assert f"**{word}.**" in text
    assert "`decay=proportional`" in text or "`decay=" in text
    assert "    print(refgrad.verify('torch_optimizer:SGDW'" in text
