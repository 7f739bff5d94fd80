"""Earlier releases: what a row is in one, kept in files and told release by release."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from refgrad.errors import ArgumentError
from refgrad.optimizers import SGD
from refgrad.report import releases_page
from refgrad.surveys import releases
from refgrad.surveys.cell import Cell
from refgrad.surveys.releases import ABSENT, Found, Release
from refgrad.surveys.run import Survey
from tests.surveys import fakes

DOCS = Path(__file__).parents[2] / "docs"


def cell(version: str = "1.10", outcome: str = "conforms", **more: Any) -> Cell:
    """A cell of a package called pack."""
    words = {"key": "k", "rule": "SGD", "kind": "optimizer", "claim": "SGD()", "package": "pack", "column": "pack"}
    return Cell(**words, called="pack.SGD", version=version, outcome=outcome, **more)


def release(version: str, found: Found) -> Release:
    """A release of it with one row."""
    return Release("pack", version, "2026-01-01", {"torch": "2"}, {"k": found})


def test_versions_are_ordered_by_their_numbers() -> None:
    assert sorted(["1.10", "1.9.2", "1.9"], key=releases.ordinal) == ["1.9", "1.9.2", "1.10"]
    assert releases.ordinal("2.13.0+cpu") == (2, 13, 0)


def test_a_release_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = release("1.9", Found("named variant", "decay=constant", ("scalars=float32",), "said"))
    written.write(tmp_path / releases.FOLDER)
    assert releases.read(tmp_path) == (written,)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"schema": "other"}', '{"schema": "refgrad-release-1", "found": {}}']
)
def test_a_file_that_is_no_release_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "p-1.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArgumentError, match="is no release"):
        Release.read(path)


def test_what_came_and_what_went_is_told_by_version() -> None:
    earlier = [release("1.10", Found("differs")), release("1.2", Found("differs")), release("1.1", Found(ABSENT))]
    told = releases.history(cell("2.0"), earlier)
    assert [version for version, _ in told] == ["1.1", "1.2", "1.10", "2.0"]
    assert releases_page.text(told) == "1.1: absent; 1.2 to 1.10: differs; 2.0: conforms"
    assert releases_page.since(cell("2.0"), earlier) == releases_page.text(told)
    assert releases_page.since(cell("2.0"), [release("1.0", Found("conforms"))]) == "the same in 1.0, 2.0"
    assert releases_page.since(cell(), []) == ""


def test_what_was_judged_beside_the_others_stands_in_place_of_the_survey() -> None:
    same = [release("1.0", Found("differs")), release("2.0", Found("differs"))]
    assert releases_page.since(cell("2.0"), same) == "the same in 1.0, 2.0"
    assert "judged as" not in "\n".join(releases_page.sections([cell("2.0")], same))


def test_a_page_lists_changes_and_not_what_was_not_there() -> None:
    gone = "\n".join(releases_page.sections([cell("2.0")], [release("1.0", Found("differs"))]))
    assert "| pack | 1.0 | torch 2 | 1 | 1 | 0 |" in gone
    assert "- `pack.SGD` (pack), judged as `SGD()`: 1.0: differs; 2.0: conforms" in gone
    assert "SGD()" not in "\n".join(releases_page.sections([cell("2.0")], [release("1.0", Found(ABSENT))]))


def test_writing_into_the_gradient_is_a_finding() -> None:
    writes = Found("conforms", conditions=("gradient=copied",))
    assert writes.is_finding
    assert not writes.same(Found("conforms"))
    assert Found("conforms", conditions=("subnormals=either",)).same(Found("conforms"))


def test_releases_that_are_kept_fit_the_survey_and_their_page_is_written_from_them() -> None:
    survey, kept = Survey.read(DOCS / "survey.json"), releases.read(DOCS)
    keys = {each.key for each in survey.cells}
    for each in kept:
        assert set(each.found) <= keys, f"{each.package} {each.version}"
    assert (DOCS / "releases.md").read_text(encoding="utf-8") == releases_page.page(survey, kept), releases_page.COMMAND


def row(name: str, **others: Any) -> fakes.Implementation:
    """A row whose target is one of the fakes."""
    return fakes.Implementation(
        package="fakes", target=f"tests.surveys.fakes:{name}", name=name, claim=SGD(lr=0.1), steps=3, **others
    )


def found(name: str, newest: str, **others: Any) -> Found:
    """What a fake is in the release that is installed, by what it is in the newest one."""
    return releases.again(row(name, **others), cell(outcome=newest))


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize(
    ("name", "newest", "outcome"),
    [
        ("right", "conforms", "conforms"),
        ("right", "differs", "conforms"),
        ("uphill", "differs", "differs"),
        ("odd", "conforms", "differs"),
        ("raising", "conforms", "crashed"),
        ("no_such_name", "conforms", ABSENT),
    ],
)
def test_a_row_is_what_it_is_in_the_release_that_is_installed(name: str, newest: str, outcome: str) -> None:
    assert found(name, newest).outcome == outcome


def test_a_driver_that_a_release_does_not_fit_is_told() -> None:
    unfit = found("right", "conforms", through="drivers.on_copies", arguments={"no_such": 1})
    assert (unfit.outcome, unfit.message) == (
        ABSENT,
        "TypeError: on_copies() got an unexpected keyword argument 'no_such'",
    )


def test_that_it_writes_into_the_gradient_is_not_taken_over_from_the_newest_release() -> None:
    newest = cell(outcome="conforms", conditions=("gradient=copied",))
    assert releases.again(row("right"), newest) == Found("conforms")


def test_findings_of_weight_are_judged_first() -> None:
    rows = [row("right"), row("uphill"), row("odd")]
    cells = {each.key: cell(outcome="conforms" if each.name == "right" else "differs") for each in rows}
    assert [each.name for each in releases._ordered(rows, cells)] == ["uphill", "odd", "right"]
    changed = {each.key for each in rows if each.name == "right"}
    assert [each.name for each in releases._ordered(rows, cells, changed)] == ["right", "uphill", "odd"]


def test_a_package_that_is_not_installed_is_said() -> None:
    with pytest.raises(ArgumentError, match="no_such_package"):
        releases.installed("no_such_package")
    assert releases.main([]) == releases.USAGE
    assert str(releases_page.main([])).startswith("usage")


def test_the_page_is_written_by_its_command(tmp_path: Path) -> None:
    (tmp_path / "survey.json").write_bytes((DOCS / "survey.json").read_bytes())
    assert releases_page.main([str(tmp_path)]) == 0
    assert (tmp_path / "releases.md").read_text(encoding="utf-8").startswith("# Over releases\n")
