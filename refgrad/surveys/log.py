"""A survey's cells in a log, so that a survey that was interrupted goes on."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass, field
from pathlib import Path

from refgrad import json_log, whole_file
from refgrad.errors import ArgumentError
from refgrad.json_log import JsonLog
from refgrad.surveys.cell import Cell
from refgrad.version import VERSION

SCHEMA = "refgrad-survey-log-1"


@dataclass
class Log(JsonLog):
    """An open file, or none, and the cells that it held."""

    cells: dict[str, Cell] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None, resume: bool) -> Log:
        """A log to write on; with ``resume`` after what is there of this version of refgrad, else anew.

        Raises:
            ArgumentError: the file is there and is no log of a survey, cannot be read or written, or there is nothing to go on
                with.
        """
        if path is None:
            if resume:
                raise ArgumentError("resume is asked for without a log; legal: with the log of an earlier survey")
            return cls()
        header = {"schema": SCHEMA, "refgrad": VERSION}
        with json_log.opening(path) as place:
            if resume and whole_file.is_special(place):
                raise OSError(errno.EINVAL, "there is nothing to go on with in what is no regular file")
            found = _cells(place, header)
            cells = found if resume else {}
            return cls(json_log.begun(place, header, (cell.to_dict() for cell in cells.values())), cells)

    def add(self, cell: Cell) -> None:
        """Append a cell, at once.

        Raises:
            RefgradError: it cannot be written, such as where the disk is full.
        """
        self.append(cell.to_dict())


def _cells(place: Path, header: dict[str, str]) -> dict[str, Cell]:
    """The cells of a log of this version; a line that is no cell is left out.

    Raises:
        ArgumentError: the file is no log of a survey.
    """
    lines = json_log.lines(place)
    first = next(lines, header)
    if first.get("schema") != SCHEMA:
        raise ArgumentError(
            f"log is {str(place)!r}, which is not the log of a survey; legal: such a log, or no file yet"
        )
    found: dict[str, Cell] = {}
    for data in lines if first == header else ():
        with contextlib.suppress(KeyError, TypeError, ValueError, AttributeError):
            found[str(data["key"])] = Cell.from_dict(data)
    return found
