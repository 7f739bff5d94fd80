"""What `identify` found: frozen, machine-readable, and explicit about what was tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from refgrad.layout import Section
from refgrad.oracle import identification_text
from refgrad.oracle.acceptance.findings import Fault
from refgrad.oracle.engine.result import Result
from refgrad.oracle.explanation import EXIT_CODES, Explanation


@dataclass(frozen=True)
class Identification(Result):
    """What a candidate is, as far as is known; see `refgrad.identify`.

    Attributes:
        outcome: "identified", "ambiguous", "unknown", "misbehaves" or "could not be judged".
        candidate: what was judged, as a text.
        claim: the rule that was asked for, or None where all were tried.
        explanations: those with nothing outside, the simplest first; where there are several, they differ in real arithmetic
            only on other inputs than were seen.
        nearest: those that come nearest where nothing explains the candidate, else empty.
        itself: the rule that the best explanation changes, as it is.
        rules: the names of the rules that could be tried.
        hypotheses: how many hypotheses were tried.
        mode: how it was judged, as in `refgrad.Verdict`.
        steps: how many steps were taken; for rules without state cases.
        dtype: the name of the dtype of the inputs.
        seed: the seed that the inputs were made from; None where the caller gave them.
        faults: what the candidate did wrong besides values: with one, the outcome is "misbehaves", and ``explanations`` are of
            what was seen nevertheless.
        environment: versions of what was loaded, the machine, and how subnormals are handled, by name.
        notes: what else is worth knowing, a sentence each.
    """

    schema = "refgrad-identification-1"

    outcome: str
    candidate: str
    claim: str | None
    explanations: tuple[Explanation, ...]
    nearest: tuple[Explanation, ...]
    itself: Explanation | None
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
        """0 identified, 1 nothing that is known, or misbehaves, 2 could not be judged."""
        return EXIT_CODES[self.outcome]

    @property
    def best(self) -> Explanation | None:
        """The simplest explanation, if there is one."""
        return self.explanations[0] if self.explanations else None

    def sections(self) -> list[Section]:
        """What the report consists of: what is printed, and what a notebook shows."""
        return identification_text.sections(self)
