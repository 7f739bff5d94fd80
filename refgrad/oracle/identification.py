"""What `identify` found: frozen, machine-readable, and explicit about what was tried."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from refgrad.arithmetic import formula
from refgrad.oracle.acceptance.findings import Count, Fault
from refgrad.oracle.engine.verdict import plain
from refgrad.oracle.hypotheses.recovery import Recovered
from refgrad.tracing import Plan

SCHEMA = "refgrad-identification-1"

IDENTIFIED, AMBIGUOUS, UNKNOWN, UNJUDGED = "identified", "ambiguous", "unknown", "could not be judged"
EXIT_CODES: Mapping[str, int] = {IDENTIFIED: 0, AMBIGUOUS: 0, UNKNOWN: 1, UNJUDGED: 2}


@dataclass(frozen=True)
class Explanation:
    """One thing that a candidate may be: a rule, as it is or with changes, and what is outside under it.

    ``rule`` has its hyperparameters, ``name`` is what is rewritten in it, if anything. ``kind`` is "none" (the rule itself),
    "field" (a named variant), "value" (other hyperparameters), "policy" or "mutant"; ``model`` says that it only models an
    error, so that it explains more than one candidate. ``aliases`` are other names for what is the same in real arithmetic.
    """

    rule: str
    name: str
    sentence: str
    kind: str
    model: bool
    counts: Mapping[str, Count]
    aliases: tuple[str, ...] = ()
    recovered: tuple[Recovered, ...] = ()
    formula: tuple[str, ...] = ()

    @property
    def outside(self) -> int:
        """Elements outside, of all tensors."""
        return sum(c.outside for c in self.counts.values())

    @property
    def total(self) -> int:
        """Elements that were judged."""
        return sum(c.total for c in self.counts.values())

    @property
    def title(self) -> str:
        """What the candidate is, in one phrase."""
        return f"{self.rule} with {self.name}" if self.name else self.rule


def outcome_of(explanations: Sequence[Explanation], judged: bool) -> str:
    """What a search came to."""
    if explanations:
        return IDENTIFIED if len(explanations) == 1 else AMBIGUOUS
    return UNKNOWN if judged else UNJUDGED


def new_lines(before: Plan, after: Plan) -> tuple[str, ...]:
    """The lines of a formula that a rewrite changed."""
    known = formula.text_lines(before)
    return tuple(line for line in formula.text_lines(after) if line not in known)


@dataclass(frozen=True)
class Identification:
    """What a candidate is, as far as is known; see `refgrad.identify`.

    ``explanations`` have nothing outside, the simplest first; where there are several, they differ in real arithmetic only
    on other inputs than were seen. ``nearest`` are those that come nearest where nothing explains the candidate, else empty.
    """

    outcome: str
    candidate: str
    #: the rule that was asked for, or None where all were tried
    claim: str | None
    explanations: tuple[Explanation, ...]
    nearest: tuple[Explanation, ...]
    #: the rule that the best explanation changes, as it is
    itself: Explanation | None
    #: rules that could be tried, and hypotheses that were
    rules: tuple[str, ...]
    hypotheses: int
    mode: str
    steps: int
    dtype: str
    seed: int | None
    faults: tuple[Fault, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 identified, 1 nothing that is known, 2 could not be judged."""
        return EXIT_CODES[self.outcome]

    @property
    def best(self) -> Explanation | None:
        """The simplest explanation, if there is one."""
        return self.explanations[0] if self.explanations else None

    def to_dict(self) -> dict[str, Any]:
        """All of it as plain data; every float also as a hex float."""
        return {"schema": SCHEMA, "exit_code": self.exit_code, **plain(asdict(self))}

    def to_json(self, **options: Any) -> str:
        """All of it as strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False, **options)

    def __str__(self) -> str:
        from refgrad.report import identity, text

        return text.render_sections(identity.sections(self))
