"""What `compare` found: frozen, machine-readable, with the verdicts on both versions in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from refgrad.layout import Section
from refgrad.oracle import comparison_text
from refgrad.oracle.difference import Changed, Element
from refgrad.oracle.engine.outcomes import UNJUDGED
from refgrad.oracle.engine.result import Result, plain
from refgrad.oracle.engine.verdict import Verdict

#: outcomes besides those of `refgrad.oracle.difference`: the verdicts are not the same, or no element was there to compare
MENDED, BROKEN, UNCOMPARED = "now conforms", "no longer conforms", "could not be compared"


@dataclass(frozen=True)
class Comparison(Result):
    """What changed between two versions of an implementation; see `refgrad.compare`.

    Attributes:
        outcome: "same bits", "better", "worse", "better and worse", "as good", "now conforms", "no longer conforms",
            "could not be judged" (the new one) or "could not be compared".
        rule: the rule that both were judged as.
        old, new: the verdicts on both, on the same cases.
        outputs: by output of the rule what became of it.
        first: the first element that differs, in the order in which outputs are judged; None if none does.
        largest: the element that is farthest apart in units of what is allowed.
        change: what the change is, where it has a name, a sentence each.
        uncompared: what one of them alone answered, a sentence each.
        reproduce: the line that gives the comparison again.
        notes: what else is worth knowing, a sentence each.
    """

    schema = "refgrad-comparison-1"

    outcome: str
    rule: str
    old: Verdict
    new: Verdict
    outputs: Mapping[str, Changed] = field(default_factory=dict)
    first: Element | None = None
    largest: Element | None = None
    change: tuple[str, ...] = ()
    uncompared: tuple[str, ...] = ()
    reproduce: str = ""
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """That of the new one's verdict: 0 conforms, 1 does not, 2 could not be judged."""
        return self.new.exit_code

    @property
    def changed(self) -> int:
        """How many elements differ in a bit."""
        return sum(each.changed for each in self.outputs.values())

    @property
    def compared(self) -> int:
        """How many elements both have."""
        return sum(each.compared for each in self.outputs.values())

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data, both verdicts as they give themselves."""
        known = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in ("old", "new", "outputs")}
        outputs = {name: {"outcome": each.outcome, **asdict(each)} for name, each in self.outputs.items()}
        elements = {name: each and asdict(each) for name, each in known.items() if name in ("first", "largest")}
        verdicts = {"old": self.old.to_dict(), "new": self.new.to_dict()}
        found = plain({**known, **elements, "outputs": outputs})
        return {"schema": self.schema, "exit_code": self.exit_code, **found, **verdicts}

    def sections(self) -> list[Section]:
        """What the report consists of: what is printed, and what a notebook shows."""
        return comparison_text.sections(self)


def outcome_of(old: Verdict, new: Verdict, outputs: Mapping[str, Changed], together: str) -> str:
    """What a comparison comes to.

    Args:
        old, new: the verdicts.
        outputs: what became of each output.
        together: what became of all of them.
    """
    if new.outcome == UNJUDGED:
        return UNJUDGED
    if old.conforms != new.conforms:
        return MENDED if new.conforms else BROKEN
    return together if any(each.compared for each in outputs.values()) else UNCOMPARED
