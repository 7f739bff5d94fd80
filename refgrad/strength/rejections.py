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
        """Count some programs.

        Args:
            rejected_by: a judge's name for each program that it rejected.
            ordinary: True if they were run on ordinary numbers.
            programs: how many programs.
        """
        names = list(rejected_by)
        for kind in ("ordinary", "all") if ordinary else ("all",):
            self.programs[kind] += programs
            for name in names:
                self.rejected[name][kind] += 1

    def add(self, ordinary: Collection[str], anywhere: Collection[str]) -> None:
        """Count one program that was tried on both kinds of numbers.

        Args:
            ordinary: the judges that rejected it on ordinary numbers.
            anywhere: the judges that rejected it on any.
        """
        for kind, judges in (("ordinary", ordinary), ("all", anywhere)):
            self.programs[kind] += 1
            for name in judges:
                self.rejected[name][kind] += 1
