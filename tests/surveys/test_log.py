"""The log of a survey, and what a survey goes on with: cells of this refgrad and of these versions of packages."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.optimizers import SGD
from refgrad.surveys.cell import CONFORMS, CRASHED, DIFFERS, Cell, blank
from refgrad.surveys.implementations import Implementation
from refgrad.surveys.log import SCHEMA, Log
from refgrad.surveys.run import Survey
from refgrad.version import VERSION
from tests.surveys.fakes import row

ROW = row("right")
#: what no survey would say of it
KEPT = dataclasses.replace(blank(ROW, DIFFERS, "as it was logged"), version=ROW.version())


def write(path: Path, cell: Cell = KEPT, version: str = VERSION) -> Path:
    header = {"schema": SCHEMA, "refgrad": version}
    path.write_text("".join(json.dumps(each) + "\n" for each in (header, cell.to_dict())))
    return path


def test_cells_are_read_back(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl")
    with Log.open(path, resume=True) as log:
        assert log.cells == {KEPT.key: KEPT}
        log.add(dataclasses.replace(KEPT, key="another"))
    with Log.open(path, resume=True) as log:
        assert set(log.cells) == {KEPT.key, "another"}
    with Log.open(path, resume=False) as log:
        assert log.cells == {}
    assert len(path.read_text().splitlines()) == 1


def test_the_log_of_another_version_of_refgrad_is_begun_anew(tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl", version="0.0.0")
    with Log.open(path, resume=True) as log:
        assert log.cells == {}
    assert json.loads(path.read_text().splitlines()[0])["refgrad"] == VERSION


def test_what_is_no_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    with pytest.raises(ArgumentError, match="not the log of a survey"):
        Log.open(path, resume=True)
    assert path.read_text() == "dear diary\n"


@pytest.mark.parametrize(
    "end", ['{"key": "tor', "[" * 200_000, '{"key": 3, "surplus": []}', "\x00\xff", '{"key": "k"}']
)
def test_lines_that_are_no_cells_are_left_out(end: str, tmp_path: Path) -> None:
    path = write(tmp_path / "log.jsonl")
    with path.open("a", encoding="utf-8") as file:
        file.write(end)
    with Log.open(path, resume=True) as log:
        assert log.cells == {KEPT.key: KEPT}
    assert len(path.read_text().splitlines()) == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is full")
def test_a_full_disk_is_told_in_a_sentence() -> None:
    with pytest.raises(ArgumentError, match=r"log is '/dev/full'.*legal: a file that can be read and written"):
        Log.open("/dev/full", resume=False)


@pytest.mark.parametrize(("version", "outcome"), [(KEPT.version, DIFFERS), ("0.0.0", CONFORMS)])
def test_a_cell_of_another_version_of_its_package_is_judged_again(
    version: str | None, outcome: str, tmp_path: Path
) -> None:
    log = write(tmp_path / "log.jsonl", dataclasses.replace(KEPT, version=version))
    (found,) = refgrad.survey(table="tests.surveys.test_log:ROWS", jobs=1, explain=0, log=log, resume=True).cells
    assert found.outcome == outcome


ROWS = [ROW]


@refgrad.formula(x="n")
def doubled(x: Any) -> Any:
    return 2.0 * x


def twice(x: Any) -> Any:
    return x + x


OF_A_FORMULA = [Implementation(package="tests", target="tests.surveys.test_log:twice", claim=doubled())]


def test_a_survey_of_a_formula_without_a_citation_says_so(tmp_path: Path) -> None:
    table = "tests.surveys.test_log:OF_A_FORMULA"
    found = refgrad.survey(table=table, jobs=1, explain=0, log=tmp_path / "log.jsonl")
    assert [cell.outcome for cell in found.cells] == [CONFORMS]
    assert {rule.name: rule.citation for rule in found.rules}["doubled"] == "a formula without a citation"


CELLS = [
    blank(Implementation(package="p", target=f"p:f{i}", claim=SGD(lr=0.5)), outcome, "why", 1.5)
    for i, outcome in enumerate((CONFORMS, CRASHED))
]


@pytest.fixture
def written(tmp_path: Path) -> Path:
    path = tmp_path / "log.jsonl"
    with Log.open(path, resume=False) as log:
        assert log.cells == {}
        for cell in CELLS:
            log.add(cell)
    return path


def test_what_was_written_is_there_again_and_more_can_be_added(written: Path) -> None:
    with Log.open(written, resume=True) as log:
        assert log.cells == {cell.key: cell for cell in CELLS}
        log.add(blank(Implementation(package="p", target="p:g", claim=SGD()), CONFORMS))
    with Log.open(written, resume=True) as log:
        assert len(log.cells) == 3
    with Log.open(written, resume=False) as log:
        assert log.cells == {}
    assert len(written.read_text().splitlines()) == 1


def test_a_torn_line_is_dropped_for_good(written: Path) -> None:
    whole = written.read_text()
    written.write_text(whole[:-20])
    with Log.open(written, resume=True) as log:
        assert list(log.cells.values()) == CELLS[:1]
    assert written.read_text() == "".join(whole.splitlines(keepends=True)[:2])


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    with pytest.raises(ArgumentError, match="not the log of a survey"):
        Log.open(path, resume=False)
    assert path.read_text() == "dear diary\n"
    with pytest.raises(ArgumentError, match="resume is asked for without a log"):
        Log.open(None, resume=True)
    Log.open(None, resume=False).add(CELLS[0])  # to nowhere


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")
@pytest.mark.parametrize(("resume", "words"), [(True, "nothing to go on with"), (False, "a pipe that nobody reads")])
def test_a_pipe_is_refused_at_once(resume: bool, words: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ArgumentError, match=words):
        Log.open(tmp_path / "pipe", resume)
    with pytest.raises(ArgumentError, match="is no survey"):
        Survey.read(tmp_path / "pipe")
