"""A survey's cells in a file of JSON lines, written as they come, so that what was interrupted goes on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Self

from refgrad.errors import ArgumentError
from refgrad.surveys.cell import Cell
from refgrad.version import VERSION

SCHEMA = "refgrad-survey-log-1"


@dataclass
class Log:
    """An open file, or none, and the cells that it held."""

    file: IO[str] | None = None
    cells: dict[str, Cell] = field(default_factory=dict)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None, resume: bool) -> Log:
        """A log to write on; with ``resume`` after what is there of this version of refgrad, else anew.

        Raises:
            ArgumentError: the file is there and is no log of a survey, or there is nothing to go on with.
        """
        if path is None:
            if resume:
                raise ArgumentError("resume is asked for without a log; legal: with the log of an earlier survey")
            return cls()
        path = Path(path)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        if lines and _read(lines[0]).get("schema") != SCHEMA:
            raise ArgumentError(f"{str(path)!r} is not the log of a survey; legal: such a log, or no file yet")
        cells = _cells(lines) if resume else {}
        with path.open("w", encoding="utf-8") as file:  # a line that was torn by an interruption is gone
            file.write(json.dumps(_header()) + "\n")
            file.writelines(json.dumps(c.to_dict(), allow_nan=False) + "\n" for c in cells.values())
        return cls(path.open("a", encoding="utf-8"), cells)

    def add(self, cell: Cell) -> None:
        """Append a cell, at once."""
        if self.file is not None:
            self.file.write(json.dumps(cell.to_dict(), allow_nan=False) + "\n")
            self.file.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.file is not None:
            self.file.close()


def _header() -> dict[str, str]:
    return {"schema": SCHEMA, "refgrad": VERSION}


def _cells(lines: list[str]) -> dict[str, Cell]:
    if not lines or _read(lines[0]) != _header():
        return {}
    found = [_read(line) for line in lines[1:]]
    return {data["key"]: Cell.from_dict(data) for data in found if "key" in data}


def _read(line: str) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}
