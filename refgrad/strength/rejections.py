"""Counting: how many programs there were, and which judges rejected them, on all numbers and on ordinary ones."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from refgrad.strength.other_judges import OTHER_JUDGES

REFGRAD = "refgrad"
JUDGES = (REFGRAD, *OTHER_JUDGES)


def _none() -> dict[str, int]:
    return {"ordinary": 0, "all": 0}


@dataclass
class Rejections:
    """Programs, and for each judge those that it rejected; each "all" together, and "ordinary", those on ordinary numbers."""

    programs: dict[str, int] = field(default_factory=_none)
    rejected: dict[str, dict[str, int]] = field(default_factory=lambda: {name: _none() for name in JUDGES})

    def count(self, rejected_by: Iterable[str], ordinary: bool, programs: int = 1) -> None:
        """So many programs more on numbers that are ordinary or not, and a judge's name for each that it rejected."""
        names = list(rejected_by)
        for kind in ("ordinary", "all") if ordinary else ("all",):
            self.programs[kind] += programs
            for name in names:
                self.rejected[name][kind] += 1

    def add(self, ordinary: Collection[str], anywhere: Collection[str]) -> None:
        """One program that was tried on both kinds of numbers, and who rejected it on each."""
        for kind, judges in (("ordinary", ordinary), ("all", anywhere)):
            self.programs[kind] += 1
            for name in judges:
                self.rejected[name][kind] += 1
