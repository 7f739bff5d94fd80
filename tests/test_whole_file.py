"""Files that are there whole or not at all, with the permissions of what was there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from refgrad import whole_file


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
