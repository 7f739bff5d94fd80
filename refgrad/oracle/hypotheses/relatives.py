"""Other rules that keep all of a claim's state and more, where the candidate shows what they keep: AMSGrad of an Adam."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import dataclass

from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.record import Record
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.hypotheses.changes import Change, others
from refgrad.oracle.hypotheses.control import control_of
from refgrad.oracle.hypotheses.screens import screen_of
from refgrad.oracle.hypotheses.search import Search

#: steps of the first leaf, on which it shows what state a candidate has
FIRST = 2


@dataclass(frozen=True, eq=False)
class Relative:
    """A candidate driven as another rule with more state, and what was tried of that rule; something fits it."""

    claim: Claim
    record: Record
    search: Search

    def title(self, change: Change) -> str:
        """What the candidate is under a change of that rule."""
        return " with ".join(filter(None, [str(change.changed(self.record.rules[0])), " and ".join(change.besides)]))


def relatives(claim: Claim, record: Record) -> Iterator[Relative]:
    """The rules with more state than a claim that explain a candidate, with the numbers that they share or variants.

    Args:
        claim: that the candidate is a rule.
        record: the candidate's run.
    """
    if not isinstance(claim.rule, Optimizer) or record.unknown:
        return
    shown: dict[type, bool] = {}
    told: set[type] = set()
    for change in others(claim.rule):
        rule = change.of
        if not isinstance(rule, Optimizer) or not _keeps_more(rule, claim.rule) or type(rule) in told:
            continue
        other = _as(claim, rule)
        if other is None or not shown.setdefault(type(rule), _shows(other, record)):
            continue
        found = _tried(other, record)
        if found is not None:
            told.add(type(rule))  # with the most numbers that it shares with the claim
            yield found


def _keeps_more(rule: Optimizer, claim: Optimizer) -> bool:
    alike = rule.scope == claim.scope and set(rule.inputs()) <= set(claim.inputs())
    return alike and arrays_of(rule) > arrays_of(claim) and len(rule.inner_rules()) <= len(claim.inner_rules())


def arrays_of(rule: Optimizer) -> set[str]:
    """The slots of a rule that are arrays."""
    return {name for name, slot in rule.slots().items() if not slot.scalar}


def _as(claim: Claim, rule: Optimizer) -> Claim | None:
    try:
        return dataclasses.replace(Claim.of(claim.request, rule), situation=claim.situation)
    except (ArgumentError, CandidateError):
        return None


def _shows(claim: Claim, record: Record) -> bool:
    """True if the candidate shows all arrays that a rule keeps."""
    try:
        seen = claim.drive(record.cases.only(0).at_steps(slice(0, FIRST))).seen
    except (ArgumentError, CandidateError):
        return False
    last, rule = (seen[-1] if seen else None), claim.rule
    return last is not None and isinstance(rule, Optimizer) and all(arrays_of(rule) <= set(each) for each in last.state)


def _tried(claim: Claim, record: Record) -> Relative | None:
    """What is likely of a rule, on the whole run; None if nothing of it fits."""
    try:
        run = claim.drive(record.cases)
    except (ArgumentError, CandidateError):
        return None
    search = Search(screen_of(claim, run), control=functools.cache(lambda: control_of(claim, run)))
    for stage in (search.named, search.variants, search.own_values):
        stage()
        if search.exact:
            return Relative(claim, run, search)
    return None
