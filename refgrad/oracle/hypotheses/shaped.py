"""What a candidate is whose outputs have other shapes than its claim says: a named variant of the claim that has these shapes.

Nothing of such a run can be judged as another rule's, since it ends at the first of these outputs. So the candidate is driven
anew as each variant, first on one case, and as far as `verify` goes where that has the right shapes.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
import time
from collections.abc import Iterable, Iterator

from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.record import Record
from refgrad.oracle.acceptance.findings import Fault
from refgrad.oracle.engine.outcomes import Departure
from refgrad.oracle.engine.run import Claim, Judgement, examine
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses.changes import NONE, Change, named, sizes
from refgrad.oracle.hypotheses.known_forms import known_forms, roundings
from refgrad.oracle.hypotheses.run_screen import UNDEFINED
from refgrad.rule import Rule

#: what a candidate's fault is called whose output has another shape
SHAPE = "shape"


def misshapen(faults: list[Fault]) -> bool:
    """True if an output has another shape than its claim says."""
    return any(fault.kind == SHAPE for fault in faults)


def variant_of_shapes(claim: Claim, record: Record, tally: Tally, seconds: float) -> tuple[Departure, Change] | None:
    """The variant of a claim that a candidate is, if its outputs have the variant's shapes and not the claim's.

    Args:
        claim: who claims to be what.
        record: what was seen.
        tally: the same, judged.
        seconds: of processor time that may be taken, about.

    Returns:
        The departure and the change that it tells; None if no shape is another, or the candidate is no variant.
    """
    if not misshapen([*record.faults, *tally.faults]) or record.unknown:
        return None
    deadline = time.process_time() + seconds
    besides = roundings(record.rules[0], claim.request.policy)
    for change, whose in _changes(record):
        if time.process_time() > deadline:
            return None
        for whole in (change + rounding for rounding in besides) if _fits(claim, record, change) else ():
            run = _examined(claim, record, whole)
            if run is not None and not run.wrong and not run.unjudged:
                total = sum(count.total for count in run.total().counts.values())
                return Departure(whole.name, whole.sentence, 0, total, known=whose), whole
    return None


def sized(claim: Claim, record: Record) -> Rule | None:
    """A rule with blocks of another size, if the outputs that a candidate gives for a case have the shapes of these.

    Args:
        claim: what it was driven as.
        record: what was seen.

    Returns:
        The rule; None if no shape is another than the rule's, or no size fits.
    """
    if not misshapen(record.faults):
        return None
    found = _first(change for change in sizes(record.rules[0]) if _fits(claim, record, change))
    return None if found is None else found.changed(record.rules[0])


def _first(changes: Iterable[Change]) -> Change | None:
    return next(iter(changes), None)


def _changes(record: Record) -> Iterator[tuple[Change, str]]:
    """Named behaviours, each with whose rule is known to have it alone; whole forms that somebody's rule has; sizes of blocks."""
    rule = record.rules[0]
    forms = [(functools.reduce(operator.add, form.parts, NONE), form.whose) for form in known_forms(rule)]
    whose = {change.key: owner for change, owner in forms}
    single = [change for change in named(rule) if not change.model]
    for change in (*single, *(change for change, _ in forms if change.parts > 1)):
        yield change, whose.get(change.key, "")
    yield from ((change, "") for change in sizes(rule))


def _claimed(claim: Claim, record: Record, change: Change) -> Claim:
    request = claim.request
    policy = change.policy_of(request.policy)
    return Claim.of(dataclasses.replace(request, rule=change.changed(record.rules[0]), policy=policy))


def _fits(claim: Claim, record: Record, change: Change) -> bool:
    """True if the outputs of one case have the shapes that a claim with a change says."""
    try:
        other = _claimed(claim, record, change)
        seen = other.driven(other.cases().only(0))
        return not (seen.faults or misshapen(other.judge(seen).faults))
    except (*UNDEFINED, ArgumentError, CandidateError):  # or the other numbers exclude it
        return False


def _examined(claim: Claim, record: Record, change: Change) -> Judgement | None:
    try:
        return examine(_claimed(claim, record, change))
    except (*UNDEFINED, ArgumentError, CandidateError):
        return None
