"""What was judged so far in a file of JSON lines, so that an audit that was killed goes on and says the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any, Self

from refgrad.audits.judging import Outside, Part
from refgrad.errors import ArgumentError, RefgradError, bad_argument
from refgrad.oracle.acceptance.findings import Count
from refgrad.version import VERSION

SCHEMA = "refgrad-audit-log-1"
#: characters of a line, and lines, that are read
LONGEST, MOST = 1 << 20, 50_000_000


@dataclass
class Log:
    """An open file, or none, and the lines that it held, by what they are of."""

    file: IO[str] | None = None
    found: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Any, asked: Mapping[str, Any]) -> Log:
        """A log to go on with, or a new one.

        Args:
            path: of the file; None for none.
            asked: all that what is found depends on: files with their sizes and times of change, rule, policy.

        Raises:
            ArgumentError: the file is no log of an audit, is that of another one, or cannot be read or written.
        """
        if path is None:
            return cls()
        if not isinstance(path, str | os.PathLike):
            raise bad_argument("log", path, "the path of a file")
        header = {"schema": SCHEMA, "refgrad": VERSION, "audit": digest(asked)}
        try:
            found, end = _lines(os.fspath(path), header)
            file = open(path, "r+" if end else "w", encoding="utf-8")  # noqa: SIM115
            file.truncate(file.seek(end))
            if not end:
                file.write(_line(header))
                file.flush()
        except OSError as error:
            raise ArgumentError(
                f"log is {os.fspath(path)!r}: {error.strerror}; legal: a file that can be written"
            ) from None
        return cls(file, found)

    def add(self, key: str, value: Mapping[str, Any]) -> None:
        """Append what was found of something, at once.

        Raises:
            RefgradError: it cannot be written.
        """
        self.found[key] = value
        if self.file is not None:
            try:
                self.file.write(_line({"of": key, "is": value}))
                self.file.flush()
            except OSError as error:
                raise RefgradError(
                    f"the log {self.file.name!r} cannot be written ({error}); what it has can be gone on with"
                ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self.file is not None:
            with contextlib.suppress(OSError):
                self.file.close()


def digest(asked: Mapping[str, Any]) -> str:
    """What tells one audit from another."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def _line(data: object) -> str:
    return json.dumps(data, allow_nan=False) + "\n"


def _lines(path: str, header: Mapping[str, Any]) -> tuple[dict[str, Mapping[str, Any]], int]:
    """The lines of a log, and where the last whole one ends; what was torn is written anew."""
    if not os.path.exists(path) or not os.path.getsize(path):
        return {}, 0
    found, end = dict[str, Mapping[str, Any]](), 0
    with open(path, "rb") as file:
        first = file.readline(LONGEST)
        known = _read(first)
        if known.get("schema") != SCHEMA and first.endswith(b"\n"):
            raise ArgumentError(f"log is {path!r}, which is no log of an audit; legal: such a log, or no file yet")
        if known != header:
            if known.get("schema") == SCHEMA:
                raise ArgumentError(
                    f"log is {path!r}, which is that of another audit: of other files, another rule or version; "
                    "legal: its own, or no file yet"
                )
            return {}, 0
        end = file.tell()
        for _ in range(MOST):
            line = file.readline(LONGEST)
            each = _read(line)
            if not line.endswith(b"\n") or not isinstance(each.get("is"), dict):
                break
            found[str(each.get("of"))] = each["is"]
            end = file.tell()
    return found, end


def _read(line: bytes) -> dict[str, Any]:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def packed(part: Part) -> dict[str, Any]:
    """A part as plain data, floats in hex."""
    return {
        "counts": {n: [c.inside, c.outside, c.undecided] for n, c in part.counts.items()},
        "nan": part.nan,
        "worst": {n: float(w).hex() for n, w in part.worst.items()},
        "first": {
            n: {k: v.hex() if isinstance(v, float) else v for k, v in asdict(o).items()} for n, o in part.first.items()
        },
        "places": {n: list(p) for n, p in part.places.items()},
    }


def unpacked(data: Mapping[str, Any]) -> Part:
    """The part that `packed` made data of.

    Raises:
        ArgumentError: a log that was changed by hand.
    """
    try:
        return Part(
            {n: Count(*c) for n, c in data["counts"].items()},
            int(data["nan"]),
            {n: float.fromhex(w) for n, w in data["worst"].items()},
            {n: _outside(each) for n, each in data["first"].items()},
            {n: tuple(p) for n, p in data["places"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ArgumentError("log has a line that no audit wrote; legal: a log as it was written") from None


def _outside(each: Mapping[str, Any]) -> Outside:
    numbers = {n: float.fromhex(each[n]) for n in ("value", "truth", "low", "high", "ulps")}
    return Outside(tensor=str(each["tensor"]), place=int(each["place"]), **numbers)
