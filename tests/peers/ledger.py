"""The ledger: departures that are expected of an implementation at a version."""

from __future__ import annotations

import importlib.metadata
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

FILE = Path(__file__).with_name("ledger.toml")
#: who is right where two differ
RIGHT = ("refgrad", "peer", "both")


class Row(NamedTuple):
    """A departure that is expected.

    Attributes:
        implementation: the distribution, as package indexes call it.
        version: at which it was seen.
        case: what differs: the name of the peer's own test, or the implementation and the rule of a golden file.
        flags: kinds of what is otherwise, of those of golden files, or named behaviours as ``field=value``.
        departure: what comes out otherwise.
        reason: why.
        right: "refgrad", "peer", or "both" where nobody says which it is to be.
    """

    implementation: str
    version: str
    case: str
    flags: tuple[str, ...]
    departure: str
    reason: str
    right: str


@cache
def rows() -> tuple[Row, ...]:
    """Every row of the file."""
    found = tomllib.loads(FILE.read_text(encoding="utf-8"))["departure"]
    return tuple(Row(**{**each, "flags": tuple(each["flags"])}) for each in found)


def installed(implementation: str) -> str | None:
    """The version that is installed, without what is local to a build; None if there is none."""
    try:
        return importlib.metadata.version(implementation).partition("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def expected(implementation: str, version: str | None = None) -> Mapping[str, Row]:
    """By case what is expected of an implementation: the rows of a version, or of the last one that has any.

    Args:
        implementation: the distribution.
        version: by default the one that is installed.
    """
    own = [row for row in rows() if row.implementation == implementation]
    version = version or installed(implementation)
    last = max((row.version for row in own), key=_parts, default="")
    known = {row.version for row in own}
    return {row.case: row for row in own if row.version == (version if version in known else last)}


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(word) for word in version.split(".") if word.isdigit())


def errors(implementation: str, ran: Mapping[str, str]) -> list[str]:
    """What is not as the ledger says.

    Args:
        implementation: the distribution.
        ran: by case what came out otherwise, "" where nothing did; of cases that were not run nothing is said.
    """
    wanted, found = expected(implementation), []
    for case, text in ran.items():
        row = wanted.get(case)
        if row is None and text:
            found.append(f"{case}: {text}; it stands in no row of {FILE.name}")
        elif row is not None and not text:
            found.append(f"{case}: {row.departure!r} no longer happens; take its row out of {FILE.name}")
        elif row is not None and text != row.departure:
            found.append(f"{case}: {text}; {FILE.name} says {row.departure!r}")
    return found
