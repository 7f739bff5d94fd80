"""What was judged so far in a log, so that an audit that was killed goes on and says the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from refgrad import hex_floats, json_log
from refgrad.audits.judging import Outside, Part
from refgrad.errors import ArgumentError
from refgrad.json_log import JsonLog
from refgrad.oracle.acceptance.findings import Count
from refgrad.version import VERSION

SCHEMA = "refgrad-audit-log-1"


@dataclass
class Log(JsonLog):
    """An open file, or none, and the lines that it held, by what they are of."""

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
        header = {"schema": SCHEMA, "refgrad": VERSION, "audit": digest(asked)}
        with json_log.opening(path) as place:
            found = _found(place, header)
            return cls(json_log.begun(place, header, (_line(*each) for each in found.items())), found)

    def add(self, key: str, value: Mapping[str, Any]) -> None:
        """Append what was found of something, at once.

        Raises:
            RefgradError: it cannot be written.
        """
        self.found[key] = value
        self.append(_line(key, value))


def digest(asked: Mapping[str, Any]) -> str:
    """What tells one audit from another."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()


def _line(key: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"of": key, "is": value}


def _found(place: Path, header: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What the log of an audit holds; a line that was torn is left out.

    Raises:
        ArgumentError: the file is no log of this audit.
    """
    lines = json_log.lines(place)
    first = next(lines, header)
    if first.get("schema") != SCHEMA:
        raise ArgumentError(f"log is {str(place)!r}, which is no log of an audit; legal: such a log, or no file yet")
    if first != header:
        raise ArgumentError(
            f"log is {str(place)!r}, which is that of another audit: of other files, another rule or version; "
            "legal: its own, or no file yet"
        )
    return {str(each.get("of")): each["is"] for each in lines if isinstance(each.get("is"), dict)}


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
            {n: hex_floats.read(w) for n, w in data["worst"].items()},
            {n: _outside(each) for n, each in data["first"].items()},
            {n: tuple(p) for n, p in data["places"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        raise ArgumentError("log has a line that no audit wrote; legal: a log as it was written") from None


def _outside(each: Mapping[str, Any]) -> Outside:
    numbers = {n: hex_floats.read(each[n]) for n in ("value", "truth", "low", "high", "ulps")}
    return Outside(tensor=str(each["tensor"]), place=int(each["place"]), **numbers)
