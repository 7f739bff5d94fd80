"""Logs: read whatever stands in them, in bounded memory, and gone on with after an interruption at any moment."""

from __future__ import annotations

import os
import tracemalloc
from pathlib import Path

import pytest

from refgrad import json_log
from refgrad.errors import ArgumentError, RefgradError
from refgrad.json_log import JsonLog

HEADER = {"schema": "a test's"}


def test_what_is_written_is_read_and_gone_on_with(tmp_path: Path) -> None:
    place = tmp_path / "log.jsonl"
    with JsonLog(json_log.begun(place, HEADER)) as log:
        log.append({"n": 1})
        assert list(json_log.lines(place)) == [HEADER, {"n": 1}], "at once"
    kept = list(json_log.lines(place))[1:]
    with JsonLog(json_log.begun(place, HEADER, kept)) as log:
        log.append({"n": 2})
    assert list(json_log.lines(place)) == [HEADER, {"n": 1}, {"n": 2}]
    JsonLog().append({"to": "nowhere"})


#: what a line may hold that is no object, or is too long
NONE = {
    "empty": "",
    "torn": '{"n": tor',
    "deep": "[" * 200_000,
    "list": "[1]",
    "number": "3",
    "zero": "\x00",
    "no-utf-8": "\udcff",
    "long": "x" * json_log.LONGEST,
    "long-object": '{"n": 2' + " " * json_log.LONGEST + "}",
}


@pytest.mark.parametrize("line", NONE.values(), ids=NONE)
def test_a_line_that_is_none_is_empty(line: str, tmp_path: Path) -> None:
    place = tmp_path / "log.jsonl"
    text = f'{{"n": 1}}\n{line}\n{{"n": 3}}'
    place.write_bytes(text.encode(errors="surrogateescape"))
    assert list(json_log.lines(place)) == [{"n": 1}, {}, {"n": 3}]


def test_the_end_of_a_line_that_is_too_long_is_no_line(tmp_path: Path) -> None:
    place = tmp_path / "log.jsonl"
    place.write_text("x" * json_log.LONGEST + '{"n": 1}\n{"n": 2}\n')
    assert list(json_log.lines(place)) == [{}, {"n": 2}]


def test_a_file_without_end_is_read_in_bounded_memory(tmp_path: Path) -> None:
    place = tmp_path / "log.jsonl"
    with place.open("w", encoding="utf-8") as file:
        file.writelines(["x" * (1 << 20)] * 64)
    tracemalloc.start()
    try:
        assert list(json_log.lines(place)) == [{}]
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_log_stays_until_the_new_one_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever ends the program while the new log is written, what was there is still there, and nothing besides."""
    place = tmp_path / "log.jsonl"
    place.write_text("as it was")

    def interrupted(descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        json_log.begun(place, HEADER)
    assert place.read_text() == "as it was"
    assert list(tmp_path.iterdir()) == [place]


def test_a_log_is_a_path(tmp_path: Path) -> None:
    for value in (3, True, b"\x00", tmp_path, tmp_path / "none" / "log", "\x00"):
        with pytest.raises(ArgumentError, match="log is "), json_log.opening(value) as place:
            json_log.begun(place, HEADER)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no device that is full")
def test_a_full_disk_is_told_in_a_sentence() -> None:
    log = JsonLog(open("/dev/full", "a", encoding="utf-8"))  # noqa: SIM115
    with log, pytest.raises(RefgradError, match="'/dev/full' cannot be written"):
        log.append(HEADER)
