"""A survey as text and on the command line."""

from __future__ import annotations

import copy
import dataclasses
import io
import pickle
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from refgrad.cli import main
from refgrad.report import survey_page, survey_progress
from refgrad.surveys import survey_text
from refgrad.surveys.implementations.findings import Finding
from refgrad.surveys.run import Survey


@pytest.mark.slow
def test_text(found: Survey) -> None:
    text = survey_text.render(found, 200)
    assert "10 implementations of 2 rules in 3 packages: 3 conforms, 2 named variant, 1 differs, 3 crashed" in text
    matrix = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.startswith(("AdamW ", "SGD "))}
    assert matrix == {"AdamW": [".", "~", "."], "SGD": ["?", ".", "!"]}
    assert "undamped unknown as SGD(lr=0.1, momentum=0.9, dampening=0.5): first_step=undamped" in text
    assert "not installed: no-such-package, no_such_backend" in text


@pytest.mark.slow
@pytest.mark.parametrize("width", [40, 80])
def test_text_has_a_width(found: Survey, width: int) -> None:
    """A matrix of more columns than fit stands in parts, which have each rule and each column once."""
    cells = [dataclasses.replace(found.cells[0], package=f"package{i}", column=f"package{i}") for i in range(45)]
    text = survey_text.render(dataclasses.replace(found, cells=(*found.cells, *cells)), width)
    assert [line for line in text.splitlines() if len(line) > width and " " in line.strip()] == []
    heads = [line.split()[1:] for line in text.splitlines() if line.startswith("optimizers ")]
    assert len(heads) > 1
    columns = [letter for head in heads for letter in head]
    assert columns == list(survey_text.LETTERS[: len(columns)])
    assert len(columns) == 45 + len({cell.column for cell in found.cells})
    assert len([line for line in text.splitlines() if line.startswith("SGD ")]) == len(heads)


def test_a_notebook_shows_the_text(found: Survey) -> None:
    assert ET.fromstring(found._repr_html_()).text == str(found)


def test_a_survey_can_be_pickled_and_copied(found: Survey) -> None:
    assert pickle.loads(pickle.dumps(found)) == copy.deepcopy(found) == found


def test_command_shows_a_survey_and_writes_it(found: Survey, tmp_path: Path) -> None:
    told, again, page = tmp_path / "told.json", tmp_path / "again.json", tmp_path / "page.html"
    told.write_text(found.to_json())
    run = CliRunner().invoke(main, ["survey", "--from", str(told), "--json", str(again), "--html", str(page)])
    assert run.exit_code == 0, run.output
    assert f"implementations of {len(found.covered)} rules" in run.output
    assert Survey.read(again) == found
    assert page.read_text().startswith("<!doctype html>")


@pytest.mark.slow
def test_command_runs_one(tmp_path: Path) -> None:
    arguments = [
        "--table",
        "tests.surveys.fakes:FAKES",
        "--packages",
        "fakes,others",
        "--rules",
        "SGD",
        "--explain",
        "0",
    ]
    log = tmp_path / "log.jsonl"
    run = CliRunner().invoke(main, ["survey", *arguments, "--jobs", "1", "--log", str(log)])
    assert run.exit_code == 0, run.output
    assert "6 implementations of 1 rules in 1 packages" in run.output
    assert len(log.read_text().splitlines()) == 7


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--packages", "optaxx"], "did you mean 'optax'"),
        (["--json", "no/such/folder.json", "--from"], "cannot be written"),
    ],
)
def test_command_says_what_is_wrong(arguments: list[str], said: str, found: Survey, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    told.write_text(found.to_json())
    rest = [str(told)] if arguments[-1] == "--from" else ["--log", str(tmp_path / "log.jsonl")]
    run = CliRunner().invoke(main, ["survey", *arguments, *rest])
    assert run.exit_code == 64
    assert said in run.output


def test_progress_is_a_line_a_cell_where_there_is_no_terminal(found: Survey) -> None:
    stream = io.StringIO()
    with survey_progress.line(stream) as progress:
        progress(0, 2, ["right as SGD()"], None)
        progress(1, 2, [], found.cells[0])
    assert stream.getvalue() == f"1/2  conforms: right as SGD(lr=0.1) ({found.cells[0].seconds:g} s)\n"


def test_progress_is_one_live_line_in_a_terminal(found: Survey) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream = Terminal()
    with survey_progress.line(stream) as progress:
        progress(3, 9, ["right as SGD()"], None)
    assert stream.getvalue().startswith("\r\x1b[K3/9  0 s  right as SGD()")
    assert stream.getvalue().endswith("\r\x1b[K")


@pytest.mark.slow
def test_page_of_the_docs(found: Survey) -> None:
    text = survey_page.page(found)
    assert "| conforms | 3 |" in text
    assert "| undamped (fakes unknown) | `SGD(lr=0.1, momentum=0.9, dampening=0.5)` | first_step=undamped" in text
    assert "## The " in text
    assert "most important" not in text  # no finding is shown that the survey does not confirm


def test_a_finding_is_shown_where_a_cell_confirms_it(found: Survey) -> None:
    (cell,) = [c for c in found.cells if c.called == "undamped"]
    said = Finding("fakes", "undamped", "SGD", ("first_step=undamped",), "The first gradient is not damped.")
    assert survey_page.confirmed(said, found.cells) == cell
    assert survey_page.confirmed(dataclasses.replace(said, confirmed_by=("differs",)), found.cells) is None


def test_what_is_kept_of_a_survey_is_its_cells_without_their_verdicts(found: Survey) -> None:
    kept = survey_page.kept(found)
    assert [cell.key for cell in kept.cells] == [cell.key for cell in found.cells]
    assert kept.counts == found.counts
    assert not any(cell.report or cell.errors for cell in kept.cells)
    assert [survey_text.remark(cell) for cell in kept.cells] == [survey_text.remark(cell) for cell in found.cells]
    assert Survey.from_dict(kept.to_dict()) == kept
