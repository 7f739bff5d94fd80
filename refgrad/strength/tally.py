"""Counting: how many programs there were, and who rejected them, on all numbers and on ordinary ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from tests.oracle.strength.judges import JUDGES

ALL = ("refgrad", *JUDGES)


def _none() -> dict[str, int]:
    return {"ordinary": 0, "all": 0}


@dataclass
class Tally:
    """Programs, and for each judge those that it rejected."""

    programs: dict[str, int] = field(default_factory=_none)
    rejected: dict[str, dict[str, int]] = field(default_factory=lambda: {name: _none() for name in ALL})

    def count(self, wrong: Iterable[str], ordinary: bool, programs: int = 1) -> None:
        """So many programs more, and a name for each that a judge rejected."""
        names = list(wrong)
        for kind in ("ordinary", "all") if ordinary else ("all",):
            self.programs[kind] += programs
            for name in names:
                self.rejected[name][kind] += 1

    def add(self, ordinary: Collection[str], anywhere: Collection[str]) -> None:
        """One program that was tried on both kinds of numbers, and who rejected it on each."""
        for kind, wrong in (("ordinary", ordinary), ("all", anywhere)):
            self.programs[kind] += 1
            for name in wrong:
                self.rejected[name][kind] += 1

    def figures(self) -> dict[str, Any]:
        """As they are kept."""
        return {"programs": self.programs, "rejected": self.rejected}
