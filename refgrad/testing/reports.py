"""What comes of laws: one report each, and an error that carries those that are broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from refgrad.errors import VerdictError

#: seconds that smaller inputs are looked for
SHRINKING = 1.5

HOLDS, ROUNDING, BROKEN, EXEMPT = "holds", "holds within rounding", "broken", "does not apply"


@dataclass(frozen=True)
class LawReport:
    """What came of one law.

    Attributes:
        law: its name.
        sentence: what it says.
        outcome: "holds" (to the bit), "holds within rounding" (what the law expects is in the acceptance set),
            "broken", or "does not apply".
        message: for a broken law, what differed; for one that does not apply, why.
        counterexample: for a broken law, the smallest inputs found, as hex floats: ``p``, each step's ``g`` and extra inputs,
            or the arrays of a case.
    """

    law: str
    sentence: str
    outcome: str
    message: str = ""
    counterexample: Mapping[str, Sequence[str]] | None = None

    @property
    def broken(self) -> bool:
        """True if the law was found broken."""
        return self.outcome == BROKEN

    def __str__(self) -> str:
        lines = [f"{self.outcome:>21}  {self.law}: {self.sentence}"]
        if self.message:
            lines.append(f"{'':>21}  {self.message}")
        for name, values in (self.counterexample or {}).items():
            lines.append(f"{'':>21}  {name} = [{', '.join(values)}]")
        return "\n".join(lines)


class BrokenLawError(VerdictError):
    """A law does not hold; the text says what differed."""


def raise_if_broken(reports: Sequence[LawReport]) -> None:
    """Raise an error if a law is broken.

    Args:
        reports: what `refgrad.testing.check_laws` returned.

    Raises:
        BrokenLawError: at least one law is broken; the text is the reports of all that are.
    """
    __tracebackhide__ = True
    broken = [str(report) for report in reports if report.broken]
    if broken:
        raise BrokenLawError("\n".join(broken))


class Enough(KeyboardInterrupt):
    """Ends Hypothesis' search: of all exceptions, those that interrupt are not taken for a failure."""
