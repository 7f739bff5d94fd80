"""A file that is there whole or not at all: what stops the program leaves what was there before."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

#: permissions of a new file, of which the user's mask takes some away
NEW = 0o666


@contextlib.contextmanager
def written(path: str | os.PathLike[str], mode: int | None = None, *, synced: bool = True) -> Iterator[BinaryIO]:
    """A file of another name in the same folder, which takes its place at the end; after an error it is gone.

    Args:
        path: of the file, in a folder that exists.
        mode: its permissions; by default those of the file that is there, or of a new one.
        synced: wait until all stands on the disk, so that a machine that stops leaves the old file or the new one.

    Yields:
        What is written to.

    Raises:
        OSError: it cannot be written.
    """
    place = Path(path)
    if mode is None and place.exists():
        mode = place.stat().st_mode & 0o777
    temporary = place.parent / f".{place.name}.{secrets.token_hex(4)}.new"
    try:
        with open(
            temporary, "xb", opener=lambda name, flags: os.open(name, flags, NEW if mode is None else 0o600)
        ) as file:
            yield file
            file.flush()
            if synced:
                os.fsync(file.fileno())
        if mode is not None:
            os.chmod(temporary, mode)
        os.replace(temporary, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
