"""A survey's cells in a file of JSON lines, written as they come, so that what was interrupted goes on."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from refgrad.errors import ArgumentError, RefgradError, bad_argument
from refgrad.surveys.cell import Cell
from refgrad.version import VERSION

SCHEMA = "refgrad-survey-log-1"


#: characters that a line may have, and lines that a log may have: far more than any survey writes
LONGEST, MOST = 1 << 20, 1_000_000


@dataclass
class Log:
    """An open file, or none, and the cells that it held."""

    file: IO[str] | None = None
    cells: dict[str, Cell] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None, resume: bool) -> Log:
        """A log to write on; with ``resume`` after what is there of this version of refgrad, else anew.

        What was there stays until all that is kept of it stands in a file of its own, which takes its place then: an interruption
        at any moment leaves the one or the other.

        Raises:
            ArgumentError: the file is there and is no log of a survey, cannot be read or written, or there is nothing to go on
                with.
        """
        if path is None:
            if resume:
                raise ArgumentError("resume is asked for without a log; legal: with the log of an earlier survey")
            return cls()
        if not isinstance(path, str | os.PathLike):
            raise bad_argument("log", path, "the path of a file")
        place = Path(path)
        try:
            cells = _cells(place) if place.exists() else {}
            return cls(_begun(place, cells if resume else {}), cells if resume else {})
        except ArgumentError:
            raise
        except (OSError, ValueError) as error:
            raise ArgumentError(f"log is {str(place)!r}: {error}; legal: a file that can be read and written") from None

    def add(self, cell: Cell) -> None:
        """Append a cell, at once.

        Raises:
            RefgradError: it cannot be written, such as where the disk is full.
        """
        if self.file is None:
            return
        try:
            self.file.write(_line(cell.to_dict()))
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


def _header() -> dict[str, str]:
    return {"schema": SCHEMA, "refgrad": VERSION}


def _line(data: object) -> str:
    return json.dumps(data, allow_nan=False) + "\n"


def _begun(place: Path, cells: dict[str, Cell]) -> IO[str]:
    """A file that holds these cells, opened to go on with."""
    if (
        place.exists() and not place.is_file()
    ):  # a pipe, or a device: nothing of it can be kept, and nothing takes its place
        file = place.open("a", encoding="utf-8")
        file.write(_line(_header()))
        file.flush()
        return file
    descriptor, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.", suffix=".new")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(_line(_header()))
            file.writelines(_line(cell.to_dict()) for cell in cells.values())
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(place))
        os.replace(temporary, place)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    return place.open("a", encoding="utf-8")


def _mode(place: Path) -> int:
    """Who may read and write a file: as it is, or as a new one would be."""
    if place.exists():
        return place.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _cells(place: Path) -> dict[str, Cell]:
    """The cells of a log of this version; a line that is torn, too long, or no cell is left out.

    Raises:
        ArgumentError: the file is no log of a survey.
    """
    if not place.is_file():
        return {}
    found: dict[str, Cell] = {}
    with place.open(encoding="utf-8", errors="replace") as file:
        first = file.readline(LONGEST)
        if first and _read(first).get("schema") != SCHEMA:
            raise ArgumentError(
                f"log is {str(place)!r}, which is not the log of a survey; legal: such a log, or no file yet"
            )
        if _read(first) != _header():
            return {}
        for _ in range(MOST):
            line = file.readline(LONGEST)
            if not line:
                break
            data = _read(line)
            with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
                found[str(data["key"])] = Cell.from_dict(data)
    return found


def _read(line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
