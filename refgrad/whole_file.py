"""Files that the user names: regular ones alone are read, and written whole or not at all.

What stops the program leaves what was there before. A pipe, a device or a folder is told by an `OSError` before anything is
waited for: a pipe that nobody writes to would hang, a device may have no end. A result or a log may go to such a place all the
same (``/dev/stdout``, a pipe that is read), as it comes.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

#: a path, of whatever type
Place = str | os.PathLike[str]
#: bytes of a text that is read whole, such as one of names or of a survey
LARGEST = 1 << 28
#: opens a pipe without waiting for its other end, where a system has such pipes
AT_ONCE = getattr(os, "O_NONBLOCK", 0)

#: permissions of a new file, of which the user's mask takes some away
NEW = 0o666


def is_special(path: Place) -> bool:
    """True of what is there and is no regular file: a folder, a pipe, a device.

    Args:
        path: of anything, or of nothing.
    """
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return False


def _regular(path: Place, mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "it is no regular file", os.fspath(path))


def opened(path: Place, buffering: int = -1) -> Any:
    """A regular file, opened to be read.

    Args:
        path: of the file.
        buffering: as of `open`.

    Raises:
        OSError: there is none, or it cannot be read.
    """
    _regular(path, os.stat(path).st_mode)

    def at_once(name: str, flags: int) -> int:
        number = os.open(name, flags | AT_ONCE)
        try:
            _regular(path, os.fstat(number).st_mode)  # what took its place meanwhile
        except OSError:
            os.close(number)
            raise
        return number

    return open(path, "rb", buffering, opener=at_once)


def read(path: Place, most: int = LARGEST) -> bytes:
    """The bytes of a regular file.

    Args:
        path: of the file.
        most: how many there may be.

    Raises:
        OSError: there is none, it cannot be read, or is longer.
    """
    with opened(path) as file:
        found: bytes = file.read(most + 1)
    if len(found) > most:
        raise OSError(errno.EFBIG, f"it has more than {most} bytes", os.fspath(path))
    return found


def appended(path: Place) -> BinaryIO:
    """What is opened to be appended to: a regular file, a device, or a pipe that somebody reads.

    Args:
        path: of the file.

    Raises:
        OSError: it cannot be written, or is a pipe that nobody reads.
    """

    def at_once(name: str, flags: int) -> int:
        try:
            number = os.open(name, flags | AT_ONCE, NEW)
        except OSError as error:
            if error.errno == errno.ENXIO:
                raise OSError(errno.ENXIO, "it is a pipe that nobody reads", os.fspath(path)) from None
            raise
        if AT_ONCE:
            os.set_blocking(number, True)
        return number

    return open(path, "ab", opener=at_once)


def write(path: Place, data: bytes) -> None:
    """Write a result: to a file whole or not at all, to a device or a pipe that is read as it comes.

    Args:
        path: of the file.
        data: all of it.

    Raises:
        OSError: it cannot be written, or is a pipe that nobody reads.
    """
    if is_special(path):
        with appended(path) as file:
            file.write(data)
        return
    with written(path, synced=False) as file:
        file.write(data)


@contextlib.contextmanager
def written(path: Place, mode: int | None = None, *, synced: bool = True, own: bool = False) -> Iterator[BinaryIO]:
    """A file of another name in the same folder, which takes its place at the end; after an error it is gone.

    Args:
        path: of the file, in a folder that exists.
        mode: its permissions; by default those of the file that is there, or of a new one.
        synced: wait until all stands on the disk, so that a machine that stops leaves the old file or the new one.
        own: True of a file that the user does not name, in a folder of refgrad's own: it takes the place of a link or a pipe too.

    Yields:
        What is written to.

    Raises:
        OSError: it cannot be written.
    """
    place = Path(path if own else os.path.realpath(path))  # so that a link stays one
    if not own and place.exists():
        _regular(path, place.stat().st_mode)
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
