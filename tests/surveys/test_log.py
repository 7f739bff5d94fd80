"""The log of a survey, and what a survey goes on with: cells of this refgrad and of these versions of packages."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.surveys.cell import CONFORMS, DIFFERS, Cell, blank
from refgrad.surveys.log import SCHEMA, Log
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


@pytest.mark.parametrize(("version", "outcome"), [(KEPT.version, DIFFERS), ("0.0.0", CONFORMS)])
def test_a_cell_of_another_version_of_its_package_is_judged_again(
    version: str | None, outcome: str, tmp_path: Path
) -> None:
    log = write(tmp_path / "log.jsonl", dataclasses.replace(KEPT, version=version))
    (found,) = refgrad.survey(table="tests.surveys.test_log:ROWS", jobs=1, explain=0, log=log, resume=True).cells
    assert found.outcome == outcome


ROWS = [ROW]
