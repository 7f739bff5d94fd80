"""What an audit found: frozen, machine-readable, a report a tensor."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from refgrad.audits import audit_text
from refgrad.audits.judging import Leaf, Outside, Part
from refgrad.audits.recorded import Recorded
from refgrad.errors import VerdictError
from refgrad.layout import Section
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.outcomes import CONFORMS, DIFFERS, EXIT_CODES, UNJUDGED, why_unjudged
from refgrad.oracle.engine.result import Result
from refgrad.rule import stated

#: arrays that a sentence lists
SHOWN = 6


class WrongStepError(VerdictError):
    """Raised by `Audit.raise_if_wrong`; its text is the whole report."""


@dataclass(frozen=True)
class Meaning:
    """What a tensor's step may be instead.

    Attributes:
        name, sentence: of the cause or the departure.
        outside, total: how many values of the sample are outside under it, of how many.
        doubt: why it may yet not be so, though nothing is outside; empty for a fact.
    """

    name: str
    sentence: str
    outside: int
    total: int
    doubt: str = ""


@dataclass(frozen=True)
class Tensor:
    """What was found of one parameter and its state.

    Attributes:
        name, shape, dtype: of the parameter.
        rule, step: what it was judged as: the rule with its group's hyperparameters, and the step, counted from 1.
        counts: by output (``p`` and the slots of the state) how many elements are inside, outside and undecided.
        worst: by output the largest distance from the truth over what is allowed; at most 1 where all are inside.
        first: by output the first element outside.
        places: places of elements outside, of many some.
        meanings: what the step may be instead, judged on a sample.
        nan: how many elements are undecided and NaN.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    rule: str
    step: int
    counts: Mapping[str, Count]
    worst: Mapping[str, float]
    first: Mapping[str, Outside] = field(default_factory=dict)
    places: tuple[int, ...] = ()
    meanings: tuple[Meaning, ...] = ()
    nan: int = 0

    @classmethod
    def of(cls, leaf: Leaf, parts: Sequence[Part]) -> Tensor:
        """All chunks of a parameter together, in order."""
        counts, worst, first, places = dict[str, Count](), dict[str, float](), dict[str, Outside](), set[int]()
        for part in parts:
            for name, each in part.counts.items():
                counts[name] = counts.get(name, Count()) + each
                worst[name] = max(worst.get(name, 0.0), part.worst[name])
            first = {**part.first, **first}
            places |= {place for each in part.places.values() for place in each}
        order = [n for n in ("p", *leaf.rule.slots()) if n in counts]
        dtype, nan = str(leaf.before["p"].dtype), sum(part.nan for part in parts)
        return cls(
            leaf.name,
            leaf.before["p"].shape,
            dtype,
            stated(leaf.rule),
            leaf.t,
            {n: counts[n] for n in order},
            {n: worst[n] for n in order},
            {n: first[n] for n in order if n in first},
            tuple(sorted(places)),
            nan=nan,
        )

    @property
    def outside(self) -> int:
        """How many values are outside, of the parameter and its state."""
        return sum(count.outside for count in self.counts.values())

    @property
    def total(self) -> int:
        """How many values were judged."""
        return sum(count.total for count in self.counts.values())

    def explained(self, meanings: tuple[Meaning, ...]) -> Tensor:
        """The same with what it may be instead."""
        return replace(self, meanings=meanings)


@dataclass(frozen=True)
class Audit(Result):
    """What was found of a recorded step; see `refgrad.audit`.

    Attributes:
        outcome: "conforms", "does not conform" or "could not be judged".
        rule: what it claims to be.
        policy: the fields of `refgrad.Policy` that are not the usual ones.
        tensors: what was found of each parameter that has a gradient; without gradients none.
        faults: what is wrong besides values, a sentence each: counts of steps, parameters that moved without a gradient.
        findings: without gradients what can be said of the checkpoints, a sentence each.
        notes: what else is worth knowing, a sentence each.
        files: what was read.
    """

    schema = "refgrad-audit-1"

    outcome: str
    rule: str
    policy: Mapping[str, Any]
    tensors: tuple[Tensor, ...] = ()
    faults: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    @property
    def conforms(self) -> bool:
        """True if the step is the rule's, as far as was recorded."""
        return self.outcome == CONFORMS

    @property
    def exit_code(self) -> int:
        """0 conforms, 1 does not, 2 could not be judged."""
        return EXIT_CODES[self.outcome]

    @property
    def wrong(self) -> tuple[Tensor, ...]:
        """The tensors with values outside."""
        return tuple(tensor for tensor in self.tensors if tensor.outside)

    @property
    def counts(self) -> Mapping[str, Count]:
        """By output how many elements are inside, outside and undecided, of all tensors together."""
        found: dict[str, Count] = {}
        for tensor in self.tensors:
            for name, count in tensor.counts.items():
                found[name] = found.get(name, Count()) + count
        return found

    def raise_if_wrong(self) -> Audit:
        """Raise an error with the whole report unless the step conforms.

        Returns:
            The audit itself.

        Raises:
            WrongStepError: it does not conform, or could not be judged.
        """
        if not self.conforms:
            raise WrongStepError(str(self))
        return self

    def sections(self) -> list[Section]:
        """What the report consists of: what is printed, and what a notebook shows."""
        return audit_text.sections(self)


def merged(rule: str, policy: Policy, given: Recorded, tensors: Iterable[Tensor], still: Mapping[str, bool]) -> Audit:
    """All that was found, together.

    Args:
        rule: what is claimed.
        policy: what counts as correct.
        given: what was recorded.
        tensors: what was found of each.
        still: of arrays without a gradient whether they are as they were.
    """
    tensors = tuple(tensors)
    moved = [name for name, same in still.items() if not same]
    owned = [name for name in moved if given.still[name][2]]
    faults = [*given.faults, *(f"{name!r} has no gradient, and changed" for name in owned)]
    missing = _missing(given.leaves)
    notes = [*missing, *given.notes]
    others = [name for name in moved if name not in owned]
    if others:
        notes.append(
            f"changed without a gradient, and kept by no optimizer (statistics, perhaps): {', '.join(others[:8])}"
        )
    if still:
        notes.append(f"{len(still) - len(moved)} of {len(still)} arrays without a gradient are as they were")
    own = {tensor.rule for tensor in tensors}
    rule = own.pop() if len(own) == 1 else rule  # with what its group says
    found = Audit(
        DIFFERS, rule, policy.changed(), tensors, tuple(faults), (), tuple(notes), tuple(f[0] for f in given.files)
    )
    if found.wrong or faults:
        return found
    nan = sum(tensor.nan for tensor in tensors)
    why = why_unjudged(found.counts, nan)
    if why:
        return replace(found, outcome=UNJUDGED, notes=(why, *notes))
    return replace(found, outcome=UNJUDGED if missing else CONFORMS)


def _missing(leaves: Iterable[Leaf]) -> list[str]:
    """What of the state could not be judged, because it is not there after the step: a sentence, or none."""
    gone = [f"{slot} of {leaf.name!r}" for leaf in leaves for slot in leaf.missing]
    more = f" and {len(gone) - SHOWN} others" if len(gone) > SHOWN else ""
    return [f"not judged, because the state after the step does not have it: {', '.join(gone[:SHOWN])}{more}"] * bool(
        gone
    )
