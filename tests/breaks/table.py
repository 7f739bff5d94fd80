"""The records of `table.toml`."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

FILE = Path(__file__).with_name("table.toml")
ROOT = FILE.parents[2]
#: what ``today`` says of a fault that no test was found to catch
NONE = "none"


@dataclass(frozen=True)
class Break:
    """One fault.

    Attributes:
        id: what it is called; never used for another one.
        room: the part of the package that it is in.
        file: where, from the root of the repository.
        old: part of one line, which the file has once.
        new: what stands in its place.
        wrong: what is wrong then, in a sentence.
        tests: what pytest is given first, in order; the tests that are likely to notice.
        today: the test that caught it when it was last tried, or `NONE`.
        compiles_anew: whether kernels that are on disk would hide it, so that it is tried without any.
    """

    id: str
    room: str
    file: str
    old: str
    new: str
    wrong: str
    tests: tuple[str, ...]
    today: str = ""
    compiles_anew: bool = False

    def applied(self, text: str) -> str:
        """The text of the file with the fault; `ValueError` unless the old text is there once."""
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.id}: {self.file} has {self.old!r} {count} times; legal: once")
        return text.replace(self.old, self.new)


def breaks(file: Path = FILE) -> dict[str, Break]:
    """Every record by its id."""
    records = tomllib.loads(file.read_text(encoding="utf-8"))["break"]
    return {r["id"]: Break(**{**r, "tests": tuple(r["tests"])}) for r in records}


def recorded(text: str, caught: Mapping[str, str]) -> str:
    """The text of `table.toml` with what caught some of the faults."""
    head, *parts = text.split("[[break]]\n")
    return head + "".join("[[break]]\n" + _with_today(part, caught) for part in parts)


def _with_today(part: str, caught: Mapping[str, str]) -> str:
    (known,) = tomllib.loads("[[break]]\n" + part)["break"]
    if known["id"] not in caught:
        return part
    lines = [line for line in part.splitlines() if not line.startswith("today = ")]
    last = max(i for i, line in enumerate(lines) if line.strip()) + 1
    told = caught[known["id"]].replace("\\", "\\\\").replace('"', '\\"')
    lines.insert(last, f'today = "{told}"')
    return "\n".join(lines) + "\n"


@dataclass
class Tried:
    """What became of one trial."""

    id: str
    #: "caught", "survived" or "broken off"
    outcome: str
    #: the first test that failed, or why there is none
    by: str = ""
    seconds: float = 0.0
    #: what pytest was given
    given: list[str] = field(default_factory=list)
