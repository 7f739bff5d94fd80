"""A candidate driven through its kind's situations, until one shows something wrong.

What a candidate cannot take, which it says by raising, restricts it, and is no fault: a kernel for multiples of 32 may be
right for these. The verdict names it first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

from refgrad.candidates.protocol import REFUSALS
from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.kind import SHAPES
from refgrad.kinds.record import LOCKED, Driven, Record, Situation
from refgrad.oracle.engine.nearly_alike import told as alike
from refgrad.oracle.engine.outcomes import TOLD_UNDECIDED
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.settings import PEAK, RATE_NAME, every_step, neutral, settable
from refgrad.rule import is_own

#: what nobody finds who drives a candidate through generated cases, and through cases of the caller's own
OUT_OF_REACH = (
    "out of reach: what is wrong at one length or one late step alone that is not driven, "
    "or once in 10,000 elements (a race)"
)
OWN_ALONE = "out of reach: everything but the inputs that were given"
#: faults that restrict a candidate
RESTRICTS = REFUSALS | {"raised"}
#: faults that restrict a candidate where they show on arrays without axes or without elements alone
MISSHAPEN = frozenset({"shape", "structure", "dtype"})
#: why a candidate is driven to no count that its run does not reach: what it keeps may be a state of another form, such as
#: corrected moments, that goes by the count
HIDDEN = "its state cannot be read, and may be another at another count"


@dataclass(frozen=True, eq=False)
class Exercised:
    """A candidate in one situation.

    Attributes:
        claim: the claim, as it is made there.
        record, tally: what was seen, and what became of it; None where the candidate took nothing of it.
        refused: the cases that it does not take, in order, and what it raised for the first of them.
        alike: named behaviours that what was seen does not tell apart from the claim, a sentence each.
    """

    situation: Situation
    claim: Any
    record: Record | None
    tally: Tally = field(default_factory=Tally)
    refused: tuple[str, ...] = ()
    raised: str = ""
    alike: tuple[str, ...] = ()

    @property
    def wrong(self) -> bool:
        """True if a value is outside, or something is wrong besides values."""
        return self.record is not None and bool(self.tally.outside or self.tally.faults or self.record.faults)

    def restriction(self) -> Iterator[str]:
        """What the candidate was not exercised on, as a sentence."""
        if self.situation.left_out:
            yield f"{self.situation.name}: {self.situation.left_out}"
        yield from self.alike
        if self.record is not None:
            yield from undecided(self.record, self.tally, self.situation.name)
        if self.record is None:
            yield f"{self.situation.name}: {self.raised}"
        elif self.refused:
            few = ", ".join(self.refused[:6]) + (f" and {len(self.refused) - 6} more" if len(self.refused) > 6 else "")
            yield f"{self.situation.name}: {few} ({self.raised})"


def undecided(record: Record, tally: Tally, where: str) -> Iterator[str]:
    """The cases of a user's rule of which nothing was decided, and the lengths at which a good part was not, a sentence each.

    Args:
        record: what was seen.
        tally: the same, judged case by case.
        where: the situation.
    """
    if not tally.by_step or any(is_own(type(rule)) for rule in record.rules):
        return
    decided: dict[int, bool] = {}
    most: dict[int, float] = {}
    for steps in tally.by_step.values():
        for step, at in steps.items():
            count = at.count
            decided[step] = decided.get(step, False) or count.inside + count.outside > 0
            most[step] = max(most.get(step, 0.0), count.undecided / max(count.total, 1))
    names = [record.cases.names[step - 1] for step, known in sorted(decided.items()) if not known]
    yield from _few(where, names, "nothing was decided there")
    partly = {step: share for step, share in sorted(most.items()) if decided[step] and share >= TOLD_UNDECIDED}
    if where == SHAPES and partly:
        shares = [f"{record.cases.names[step - 1]} ({share:.0%})" for step, share in partly.items()]
        yield from _few(where, shares, "so much of a result was not decided there")


def _few(where: str, names: list[str], said: str) -> Iterator[str]:
    few = list(dict.fromkeys(names))
    if few:
        yield f"{where}: {'; '.join(few[:6])}{' and others' if len(few) > 6 else ''} ({said})"


def exercise(claim: Any) -> Situations:
    """The claim in each situation of its kind."""
    return Situations(claim)


class Situations:
    """The situations of a claim's kind in turn; the claim is judged in each, until it is wrong in one.

    A candidate that is in another process begins with the next one while what it did before is judged: `prepare`.
    """

    def __init__(self, claim: Any) -> None:
        request, kind = claim.request, claim.kind
        named = claim.named if claim.change is None else claim.change.settable(claim.named)
        self._asked = Driven(claim.subject, named, request.dtype, request.seed)
        self._claim, self._all = claim, iter(kind.situations(claim.rule, self._asked))
        self._next: list[Situation | None] = []
        self._raised: Exception | None = None

    def prepare(self) -> None:
        """Make the next situation, and have the candidate begin with it if it can; what is raised is raised when it is needed."""
        if self._next or self._raised is not None or not hasattr(self._claim.subject, "begin_run"):
            return
        try:
            self._next = [next(self._all, None)]
            for situation in filter(None, self._next):
                self._claim.kind.begun(self._claim.subject, situation.rule, situation.cases)
        except Exception as error:
            self._raised = error

    def __iter__(self) -> Iterator[Exercised]:
        """The claim in each situation; the last is the first that is wrong."""
        while (situation := self._taken()) is not None:
            found = self._judged(situation)
            for instead in situation.instead() if found.record is None else ():
                found = min(found, self._judged(instead), key=lambda each: each.record is None)
                if found.record is not None:
                    break
            yield found
            if found.wrong:
                return

    def _taken(self) -> Situation | None:
        if self._raised is not None:
            raise self._raised
        return self._next.pop() if self._next else next(self._all, None)

    def _judged(self, told: Situation) -> Exercised:
        claim, situation = self._claim, self._as_changed(told)
        there = dataclasses.replace(claim, rule=told.rule, situation=told.name)
        if situation is None:
            return Exercised(told, there, None, raised="programs of what it is judged as settle it in several ways")
        found = _driven(there, situation)
        if found.record is None:
            return found
        self.prepare()
        try:
            found.record.faults += there.faults(found.record)
            found = dataclasses.replace(found, tally=there.judge(found.record, measured=True))
            record = found.record
            if found.wrong or record is None:
                return found
            return dataclasses.replace(found, alike=tuple(alike(there, situation, record)))
        except ArgumentError as error:
            if there.change is None:
                raise
            return Exercised(situation, there, None, raised=str(error))  # the change is not defined there

    def _as_changed(self, told: Situation) -> Situation | None:
        """A situation, in which of NaN and infinities what is judged is what all programs of the changed rule settle alike.

        None where that is nothing: a wrapper makes NaN of the infinity that a rule alone takes for a large number.
        """
        claim, cases = self._claim, told.cases
        if claim.change is None or not (cases.nan_open or cases.may_meet):
            return told
        meant = claim.change.changed(told.rule)
        if meant == told.rule:
            return told
        own = next((each for each in claim.kind.situations(meant, self._asked) if each.name == told.name), None)
        return (
            None
            if own is None
            else dataclasses.replace(told, cases=dataclasses.replace(cases, outputs=own.cases.outputs))
        )


def undriven(claim: Any, reached: Collection[str]) -> Iterator[str]:
    """The situations of a claim's kind that its rule does not have, as a sentence.

    Args:
        claim: the claim.
        reached: the names of those that it has.
    """
    missing = [name for name in claim.kind.promised(claim.subject) if name not in reached]
    if missing:
        why = "which takes none, or programs settle it in several ways"
        yield f"{' and '.join(missing)}: not driven of {type(claim.rule).__name__}, {why}"


def hidden(rule: Any, named: frozenset[str]) -> Iterator[str]:
    """Numbers whose value hides what is done with them, and that the candidate does not take by name."""
    values = {n: rule.numbers()[n] for n in sorted(rule.reads()) if n in rule.legal() and n not in named}
    found = [f"{name}={value:g}" for name, value in values.items() if neutral(value)]
    found += [f"{name}=1" for name in every_step(rule, rule.legal()) if name not in named]
    if found:
        yield f"other settings of {', '.join(found)}: the candidate does not take them by name"
    if RATE_NAME in (named & rule.reads()) - settable(rule, named):
        yield f"other settings of {RATE_NAME}: the candidate takes no {PEAK}, which may follow it"


def _driven(claim: Any, situation: Situation) -> Exercised:
    if not claim.kind.stepped:
        return _asked(claim, situation)
    record, raised = _attempt(claim, situation.cases)
    if record is not None and situation.cases.counts and claim.kind.mode((), record) != LOCKED:
        return Exercised(situation, claim, None, raised=HIDDEN)
    told = record is not None and any(fault.kind in REFUSALS for fault in record.faults)
    if not raised or (situation.alike and record is not None and record.steps and not told):
        return Exercised(situation, claim, record)
    return _restricted(claim, situation, raised)


def _asked(claim: Any, situation: Situation) -> Exercised:
    """A candidate without state: each case is a question, and those that it raises on it does not take."""
    record, raised = _attempt(claim, situation.cases)
    if record is None or (raised and all(seen is None for seen in record.seen)):
        return Exercised(situation, claim, None, raised=raised)
    if all(seen is not None for seen in record.seen):
        return Exercised(situation, claim, record)
    cases = situation.cases
    small = [not a[claim.rule.primary].ndim or not a[claim.rule.primary].size for a in cases.arrays]
    restricts = lambda f: f.kind in RESTRICTS or (f.kind in MISSHAPEN and small[f.step - 1])  # noqa: E731
    first = next((fault.message for fault in record.faults if restricts(fault)), "")
    record.faults[:] = [fault for fault in record.faults if not restricts(fault)]
    wrong = {fault.step - 1 for fault in record.faults}
    refused = [i for i, seen in enumerate(record.seen) if seen is None and i not in wrong]
    return Exercised(situation, claim, record, refused=tuple(map(cases.name, refused)), raised=first)


def _restricted(claim: Any, situation: Situation, raised: str) -> Exercised:
    """A candidate with state that refuses a run of all leaves: that of those which it takes alone, if there are such."""
    cases, refused, first = situation.cases, [], ""
    for leaf in range(len(cases.arrays)):
        _, why = _attempt(claim, cases.only(leaf).at_steps(slice(0, 1)))
        if why:
            refused.append(leaf)
            first = first or why
    if len(refused) == len(cases.arrays):
        return Exercised(situation, claim, None, raised=first)
    record, together = _attempt(claim, cases.leaves(lambda i, _: i not in refused))
    if together:
        return Exercised(situation, claim, None, raised=raised)
    return Exercised(situation, claim, record, refused=tuple(map(cases.name, refused)), raised=first)


def _attempt(claim: Any, cases: Cases) -> tuple[Record | None, str]:
    """A run, and what the candidate raised in it, if it did; None if it cannot be run at all."""
    try:
        record = claim.drive(cases)
    except (ArgumentError, CandidateError) as error:
        return None, str(error)
    raised = next((fault.message for fault in record.faults if fault.kind in RESTRICTS), "")
    return record, raised
