"""The log of a survey: what was written is there again, whatever an interruption left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from refgrad.errors import ArgumentError
from refgrad.optimizers import SGD
from refgrad.surveys.cell import CONFORMS, CRASHED, blank
from refgrad.surveys.implementations import Implementation
from refgrad.surveys.log import Log

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


def test_the_log_of_another_version_begins_anew(written: Path) -> None:
    head, *lines = written.read_text().splitlines()
    old = {**json.loads(head), "refgrad": "0.0.0"}
    written.write_text("\n".join([json.dumps(old), *lines]))
    with Log.open(written, resume=True) as log:
        assert log.cells == {}


def test_what_is_no_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("dear diary\n")
    with pytest.raises(ArgumentError, match="not the log of a survey"):
        Log.open(path, resume=False)
    assert path.read_text() == "dear diary\n"
    with pytest.raises(ArgumentError, match="resume is asked for without a log"):
        Log.open(None, resume=True)
    Log.open(None, resume=False).add(CELLS[0])  # to nowhere
