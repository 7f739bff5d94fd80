"""One thing that a candidate may be, and what a search for it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from refgrad.arithmetic import formula
from refgrad.oracle.acceptance.findings import Counts, Fault
from refgrad.oracle.engine.outcomes import FACT, sureness
from refgrad.oracle.hypotheses.recovered import Recovered
from refgrad.tracing import Plan

IDENTIFIED, AMBIGUOUS, UNKNOWN, UNJUDGED = "identified", "ambiguous", "unknown", "could not be judged"
#: what was seen of it was judged, but it does what no candidate may, such as changing its inputs
MISBEHAVES = "misbehaves"
#: the fault of a candidate that is something on ordinary cases alone
SITUATION = "situation"
EXIT_CODES: Mapping[str, int] = {IDENTIFIED: 0, AMBIGUOUS: 0, UNKNOWN: 1, MISBEHAVES: 1, UNJUDGED: 2}


@dataclass(frozen=True)
class Explanation:
    """One thing that a candidate may be: a rule, as it is or with changes, and what is outside under it.

    Attributes:
        rule: the rule with its hyperparameters.
        name: what is changed besides, if anything: a rewrite, a policy.
        sentence: the change in words.
        kind: "none" (the rule itself), "field" (a named variant), "value" (other hyperparameters), "policy", "mutant", or
            "rule" (another rule than was claimed).
        model: True if it only models an error, so that it explains more than one candidate.
        counts: the statuses of elements under it, by tensor.
        aliases: other names for what is the same in real arithmetic.
        recovered: hyperparameters with the intervals that the data leave.
        formula: the lines of the formula that a rewrite changed.
        doubt: why it may yet not be what the candidate is, though all is inside; empty for a fact.
        sure: `FACT`, `MAY_BE` or, where elements are outside, `NEAR`; follows from the others.
    """

    rule: str
    name: str
    sentence: str
    kind: str
    model: bool
    counts: Counts
    aliases: tuple[str, ...] = ()
    recovered: tuple[Recovered, ...] = ()
    formula: tuple[str, ...] = ()
    doubt: str = ""
    sure: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "sure", sureness(self.outside, self.doubt))

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


def outcome_of(explanations: Sequence[Explanation], judged: bool, faults: Sequence[Fault] = ()) -> str:
    """What a search came to.

    Args:
        explanations: what fits.
        judged: True if anything was judged.
        faults: what the candidate did wrong besides values; with one it is not said to be anything.
    """
    if faults:  # also where nothing is left to be judged: what wrote into its inputs, or ended itself, has done wrong
        return MISBEHAVES
    if not judged:
        return UNJUDGED
    if not explanations:
        return UNKNOWN
    return IDENTIFIED if len(explanations) == 1 and explanations[0].sure == FACT else AMBIGUOUS


def new_lines(before: Plan, after: Plan) -> tuple[str, ...]:
    """The lines of a formula that a rewrite changed."""
    known = formula.text_lines(before)
    return tuple(line for line in formula.text_lines(after) if line not in known)
