"""The pages of rules name every rule and every variant; ``python -m refgrad.report.rules_page docs`` renews them."""

from __future__ import annotations

from pathlib import Path

import pytest

from refgrad.report import rules_page
from refgrad.rule import Rule, rules

DOCS = Path(__file__).parents[2] / "docs"


def test_every_rule_says_what_its_source_leaves_open() -> None:
    ours = rules()
    assert [n for n, c in ours.items() if not c.unspecified] == []


@pytest.mark.parametrize("cls", rules().values(), ids=lambda c: c.__name__)
def test_the_page_names_the_rule_and_its_variants(cls: type[Rule]) -> None:
    path = rules_page.path_of(cls.kind)
    text = (DOCS / path).read_text(encoding="utf-8")
    assert rules_page.rule_row(cls) in text
    missing = [row for row in rules_page.variant_rows(cls) if row not in text]
    assert not missing, f"docs/{path} lacks {missing}; run {rules_page.COMMAND}"


def test_every_page_is_as_it_is_written_and_no_other_stands_there() -> None:
    written = rules_page.pages()
    assert {path: (DOCS / path).read_text(encoding="utf-8") for path in written} == written, rules_page.COMMAND
    assert {f"rules/{p.name}" for p in (DOCS / "rules").iterdir()} == set(written) - {"rules.md"}
    names = set(rules())
    assert {name for name in names if f"`{name}`" in written["rules.md"]} == names


def test_the_page_counts_rules_by_what_was_read() -> None:
    assert rules_page.counts() in (DOCS / "rules.md").read_text(encoding="utf-8")


def test_departures_have_the_defaults_that_are_not_the_publications() -> None:
    rows = "".join(row for cls in rules().values() for row in rules_page.default_rows(cls))
    assert rows in (DOCS / "departures.md").read_text(), "run python -m refgrad.report.rules_page defaults"


def test_a_text_with_bars_and_line_breaks_fits_into_a_cell() -> None:
    assert rules_page.cell("|x|\n  is one") == "\\|x\\| is one"
