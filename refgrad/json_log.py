"""A log: a file of JSON lines, written as they come, so that what was interrupted goes on.

Its first line says of what it is. It is read in bounded memory, and what was torn is left out.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Self

from refgrad import whole_file
from refgrad.errors import ArgumentError, RefgradError, bad_argument
from refgrad.float_environment import in_standard

#: bytes that a line may have, and lines that a log may have: far more than any log writes
LONGEST, MOST = 1 << 20, 50_000_000


@dataclass
class JsonLog:
    """An open file, or none, to which lines are appended."""

    file: IO[str] | None = None

    def append(self, data: Mapping[str, Any]) -> None:
        """Write a line, at once.

        Raises:
            RefgradError: it cannot be written, such as where the disk is full.
        """
        if self.file is None:
            return
        try:
            self.file.write(line(data))
            self.file.flush()
        except OSError as error:
            raise RefgradError(
                f"the log {self.file.name!r} cannot be written ({error}); what it has can be gone on with"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.file is not None:
            with contextlib.suppress(OSError):  # which was told when the line was written
                self.file.close()


def line(data: Mapping[str, Any]) -> str:
    """A line of a log."""
    return json.dumps(data, allow_nan=False) + "\n"


@contextlib.contextmanager
def opening(log: Any) -> Iterator[Path]:
    """The place of a log; what stands in the way of opening it is told as an error about the argument ``log``.

    Raises:
        ArgumentError: it is no path, or cannot be read or written.
    """
    if not isinstance(log, str | os.PathLike):
        raise bad_argument("log", log, "the path of a file")
    try:
        yield Path(log)
    except ArgumentError:
        raise
    except (OSError, ValueError) as error:
        raise ArgumentError(f"log is {os.fspath(log)!r}: {error}; legal: a file that can be read and written") from None


def lines(place: Path) -> Iterator[dict[str, Any]]:
    """The lines of a file, if there is one; those that are torn, too long, or no object of JSON are empty.

    Args:
        place: the path of a file; nothing is read of a pipe or a device.
    """
    if not place.is_file():
        return
    with whole_file.opened(place) as file:
        for each in itertools.islice(_whole(file), MOST):
            yield _read(each)


def _whole(file: BinaryIO) -> Iterator[bytes]:
    """Lines; of one that is too long an empty one."""
    while piece := file.readline(LONGEST):
        long = False
        while len(piece) == LONGEST and not piece.endswith(b"\n"):
            long, piece = True, file.readline(LONGEST)
        yield b"" if long else piece


@in_standard  # Python reads decimals as the processor rounds
def _read(text: bytes) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def begun(place: Path, header: Mapping[str, Any], kept: Iterable[Mapping[str, Any]] = ()) -> IO[str]:
    """A log that holds these lines, opened to go on with.

    What was there stays until all that is kept of it stands in a file of its own, which takes its place then: an interruption
    at any moment leaves the one or the other.

    Args:
        place: the path of a file; a pipe that is read or a device is written to, and nothing takes its place.
        header: the first line.
        kept: the lines after it.

    Raises:
        OSError: it cannot be written.
    """
    if whole_file.is_special(place):
        file = _text(place)
        file.write(line(header))
        file.flush()
        return file
    with whole_file.written(place) as new:
        new.writelines(line(each).encode() for each in (header, *kept))
    return _text(place)


def _text(place: Path) -> IO[str]:
    return io.TextIOWrapper(whole_file.appended(place), encoding="utf-8")
