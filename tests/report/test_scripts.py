"""What ``python -m`` writes of the report's pages is what docs/ has, and a line that is wrong says how it is used."""

from __future__ import annotations

import json
import runpy
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from refgrad.report import rules_page, site, survey_page, upstream
from refgrad.report.survey_page import KEPT
from refgrad.surveys.run import Survey

DOCS = Path(__file__).parents[2] / "docs"


def script(module: ModuleType, *words: str) -> None:
    """Run a module as ``python -m`` does."""
    assert module.__file__ is not None
    place = Path(module.__file__)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [str(place), *words])
        runpy.run_path(str(place.with_name("__main__.py") if place.stem == "__init__" else place), run_name="__main__")


@pytest.mark.parametrize(
    ("module", "words"), [(rules_page, ()), (rules_page, ("a", "b")), (upstream, ()), (site, ()), (site, ("--help",))]
)
def test_a_line_that_is_wrong_says_how_it_is_used(module: ModuleType, words: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="usage: "):
        script(module, *words)


def test_the_defaults_that_are_not_the_publications_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    script(rules_page, "defaults")
    assert capsys.readouterr().out in (DOCS / "departures.md").read_text(encoding="utf-8")


def test_a_survey_that_is_kept_is_kept_as_it_is_and_has_its_page(capsys: pytest.CaptureFixture[str]) -> None:
    script(survey_page, "--keep", str(DOCS / KEPT))
    assert json.loads(capsys.readouterr().out) == json.loads((DOCS / KEPT).read_text(encoding="utf-8"))
    survey = Survey.read(DOCS / KEPT)
    script(survey_page, str(DOCS / KEPT))
    page = capsys.readouterr().out
    assert page == survey_page.page(survey)
    assert page.startswith((DOCS / "survey.md").read_text(encoding="utf-8").partition("## The survey of")[0])
    missing = [cell.called for cell in survey.cells if cell.called.partition("(")[0] not in page]
    assert missing == []


def test_pages_are_written_where_they_are_asked_for(tmp_path: Path) -> None:
    shutil.copy(DOCS / KEPT, tmp_path)
    shutil.copytree(DOCS / "releases", tmp_path / "releases")
    script(upstream, str(tmp_path))
    script(rules_page, str(tmp_path))
    written = list(tmp_path.rglob("*.md"))
    assert {"upstream", "rules"} <= {path.parent.name for path in written}
    assert [p for p in written if p.read_text() != (DOCS / p.relative_to(tmp_path)).read_text()] == []
