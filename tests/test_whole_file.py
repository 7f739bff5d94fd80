"""Files that are there whole or not at all, with the permissions of what was there."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from refgrad import json_log, whole_file
from refgrad.cli.results import write
from refgrad.errors import ArgumentError

PIPES = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with a name")


@pytest.mark.parametrize("synced", [True, False])
def test_an_error_leaves_what_was_there(synced: bool, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), whole_file.written(path, synced=synced) as file:
        file.writelines([b"half", None])  # type: ignore[list-item]
    assert [(p, p.read_bytes()) for p in tmp_path.iterdir()] == [(path, b"old")]
    with whole_file.written(path, synced=synced) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert [(p, p.read_bytes()) for p in tmp_path.iterdir()] == [(path, b"new")]


@pytest.mark.skipif(os.name != "posix", reason="other systems have other permissions")
def test_permissions_are_those_of_the_file_or_as_asked_for_or_of_a_new_one(tmp_path: Path) -> None:
    def mode(path: Path, asked: int | None = None) -> int:
        with whole_file.written(path, asked) as file:
            file.write(b"x")
        return path.stat().st_mode & 0o777

    (tmp_path / "new").touch()
    assert mode(tmp_path / "another") == (tmp_path / "new").stat().st_mode & 0o777
    (tmp_path / "new").chmod(0o640)
    assert mode(tmp_path / "new") == 0o640
    assert mode(tmp_path / "new", 0o600) == 0o600


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    place = tmp_path / "pipe"
    os.mkfifo(place)
    return place


@PIPES
def test_what_is_no_regular_file_is_not_read(pipe: Path) -> None:
    """It is told at once: nobody writes to the pipe, and the device has no end."""
    for place in (pipe, Path("/dev/zero"), pipe.parent):
        assert whole_file.is_special(place)
        for read in (whole_file.opened, whole_file.read):
            with pytest.raises(OSError, match="no regular file"):
                read(place)
    assert not whole_file.is_special(pipe.parent / "none")
    with pytest.raises(FileNotFoundError):
        whole_file.read(pipe.parent / "none")


def test_what_is_read_whole_has_an_end(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    assert whole_file.read(tmp_path / "file", 5) == b"12345"
    with pytest.raises(OSError, match="more than 4 bytes"):
        whole_file.read(tmp_path / "file", 4)


@PIPES
def test_nothing_takes_the_place_of_a_pipe_and_none_is_waited_for(pipe: Path) -> None:
    with pytest.raises(OSError, match="no regular file"), whole_file.written(pipe):
        pass
    for call in (
        whole_file.appended,
        lambda place: whole_file.write(place, b"x"),
        lambda place: json_log.begun(place, {}),
    ):
        with pytest.raises(OSError, match="a pipe that nobody reads"):
            call(pipe)
    with pytest.raises(ArgumentError, match="pipe' cannot be written: it is a pipe that nobody reads"):
        write(str(pipe), "x")
    assert list(pipe.parent.iterdir()) == [pipe]
    assert pipe.is_fifo()


@PIPES
def test_a_pipe_that_is_read_and_a_device_get_a_result(pipe: Path) -> None:
    got: list[str] = []
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(reader, True)
    thread = threading.Thread(target=lambda: got.append(open(reader, encoding="utf-8").read()))  # noqa: SIM115
    write_to = whole_file.appended(pipe)
    thread.start()
    with write_to:
        write_to.write(b"x" * 200_000)  # more than a pipe holds
    thread.join(60)
    assert got == ["x" * 200_000]
    write(os.devnull, "x")


@pytest.mark.skipif(os.name != "posix", reason="other systems have other links")
def test_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "file")
    for text in ("one", "two"):
        write(str(tmp_path / "link"), text)
        assert (tmp_path / "file").read_text() == f"{text}\n"
    assert (tmp_path / "link").is_symlink()
