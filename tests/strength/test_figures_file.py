"""The figures that were measured last: no right program was rejected, survivors have reasons, the page shows them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import pytest

from refgrad.rule import rules
from refgrad.strength import chart, figures_file, tables, unmeasured
from refgrad.strength.figures_file import OWN_FIGURES, Found, Unit
from refgrad.strength.survivor_reasons import reason
from tests.oracle import quantizer_rewrites


@cache
def figures() -> Found:
    return figures_file.read(OWN_FIGURES)


@pytest.mark.skipif(not OWN_FIGURES.exists(), reason="the figures are in the repository, not in the package")
class TestFigures:
    def test_no_right_program_was_rejected(self) -> None:
        for name, found in figures().items():
            for part in ("random", "hand", "case programs"):
                if part in found:
                    assert found[part]["rejected"]["refgrad"]["all"] == 0, name
                    assert found[part].get("outside", 0) == 0, name

    def test_every_survivor_has_a_reason(self) -> None:
        left = [
            (name, s["name"])
            for name, found in figures().items()
            for part in ("mutants", "case mutants")
            for s in found.get(part, {}).get("survivors", ())
            if reason(name, s["name"]) is None
        ]
        assert left == []

    def test_the_page_shows_them(self) -> None:
        text = OWN_FIGURES.with_suffix(".md").read_text()
        for table in tables.TABLES.values():
            assert "\n".join(table(figures())) in text

    def test_the_tables_are_written_anew_where_they_stand(self, tmp_path: Path) -> None:
        page, text = tmp_path / "strength.md", OWN_FIGURES.with_suffix(".md").read_text()
        page.write_text(text.replace("| 0 |", "| 1 |"))
        assert page.read_text() != text
        tables.write(page, figures())
        assert page.read_text() == text

    def test_the_chart_is_of_them(self) -> None:
        assert OWN_FIGURES.with_suffix(".svg").read_text() == chart.picture(figures())
        shares = chart.shares(figures())
        assert shares["refgrad"]["right"] == 0
        assert all(of["right"] > 0 for judge, of in shares.items() if judge != "refgrad")

    def test_they_are_saved_as_they_stand(self, tmp_path: Path) -> None:
        figures_file.save(tmp_path / "strength.json", figures())
        assert (tmp_path / "strength.json").read_bytes() == OWN_FIGURES.read_bytes()
        assert json.loads(OWN_FIGURES.read_text()) == figures()

    def test_they_are_of_rules_that_there_are(self) -> None:
        assert set(figures()) <= set(figures_file.shipped())


def test_every_rule_stands_somewhere() -> None:
    """In the measurement, or in the table of those of which nothing is measured, and in one of the two alone."""
    measured = set(figures_file.shipped())
    others = [name for each in unmeasured.UNMEASURED for name in each.rules]
    shipped = set(rules())
    assert sorted(others) == sorted(shipped - measured)


def test_quantizers_without_a_graph_are_written_by_hand() -> None:
    rewritten = {type(rule).__name__ for rule, *_ in quantizer_rewrites.REWRITES}
    assert set(unmeasured.BY_HAND) == rewritten - set(figures_file.shipped()) - {"Cast"}


def test_what_was_measured_with_as_many_values_is_not_missing() -> None:
    kinds = {"AdamW": "optimizer", "ASP": "mask"}
    found = {"AdamW": {"random": {"values": 1200, "asked": 1000}, "mutants": {"made": 3}}, "ASP": {}}

    def names(values: int, rewrites: str | None = None) -> list[tuple[str, str]]:
        parts = ("programs", "mutants", "rewrites")
        return [(u.rule, u.part) for u in figures_file.missing(found, kinds, parts, Unit("", "", values, rewrites))]

    others = [("ASP", "programs"), ("ASP", "mutants")]
    assert names(1000) == others
    assert sorted(names(1001)) == sorted([("AdamW", "programs"), *others])
    assert sorted(names(1000, "module:name")) == sorted([*others, ("AdamW", "rewrites")])
