"""Runs that hypotheses are judged on: a small one first, then all of what was seen."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.record import Record
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import Tally, where_none_is_outside
from refgrad.oracle.hypotheses import places
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.protocol import Screen
from refgrad.oracle.hypotheses.run_screen import UNDEFINED, RunScreen
from refgrad.oracle.hypotheses.screen import StepScreen

#: steps of a run whose random bits are not known, on which hypotheses are tried
FEW = 3
#: elements of each leaf that are looked at besides, at most, where only these are wrong
SOME = 64


def screen_of(claim: Claim, record: Record, elements: int | None = None) -> Screen:
    """What hypotheses of a run are judged on.

    Args:
        claim: who claims to be what.
        record: the whole run.
        elements: of each leaf that are looked at of an optimizer's whole run; by default few, of a small run where a rule
            reduces over tensors.
    """
    small = _small(claim, record) if elements is None else record
    policy = claim.request.policy
    if not isinstance(claim.rule, Optimizer) or record.unknown:
        return RunScreen(claim.kind, small, policy)
    return StepScreen(small, policy) if elements is None else StepScreen(small, policy, elements)


def telling_screen(claim: Claim, record: Record, wrong: Callable[[], bool]) -> Screen:
    """`screen_of`; where the claim explains the few elements that are looked at, with some of those that are wrong besides.

    Otherwise the search would end with the claim, which explains the few elements and not the run. Of a rule without state
    all that was seen is looked at then.

    Args:
        claim: who claims to be what.
        record: the whole run.
        wrong: True if the claim is wrong on it; asked where a few elements show nothing.
    """
    screen = screen_of(claim, record)
    if isinstance(screen, RunScreen) and not claim.kind.stepped and _claim_fits(screen) and wrong():
        return RunScreen(claim.kind, record, screen.policy)
    # a rule that reduces over tensors is looked at on a run of its own
    if not isinstance(screen, StepScreen) or screen.couples or not _claim_fits(screen) or not wrong():
        return screen
    closer = StepScreen(screen.record, screen.policy, screen.elements, besides=some_wrong(claim, record))
    return _as_judged(closer, claim) if _claim_fits(closer) else closer


def _as_judged(screen: StepScreen, claim: Claim) -> Screen:
    """The elements that a screen looks at, judged as the run is, where the screen leaves open what is wrong.

    A screen takes outputs as seen to within their roundings. The judge knows besides what they are made of: that a zero is one.
    """
    return RunScreen(claim.kind, screen.part, screen.policy, screen.besides)


def screen_like(screen: Screen, claim: Claim, theirs: Record, record: Record) -> Screen | None:
    """As much of another run as a screen looks at; None where that is what `screen_of` picks.

    Args:
        screen: what a candidate is looked at on.
        claim: who claims to be what, in the other run.
        theirs: the candidate's whole run.
        record: the other one, through the same cases.
    """
    if isinstance(screen, RunScreen) and screen.besides:
        return _as_judged(StepScreen(record, screen.policy, besides=screen.besides), claim)
    if isinstance(screen, RunScreen):
        return RunScreen(claim.kind, record, screen.policy) if screen.record is theirs else None
    if isinstance(screen, StepScreen) and screen.besides:
        return StepScreen(record, screen.policy, screen.elements, besides=screen.besides)
    return None


def some_wrong(claim: Claim, record: Record) -> dict[int, np.ndarray]:
    """Some of the elements of each leaf that are wrong under a claim in some output, as flat places in order."""
    found = {leaf: np.flatnonzero(wrong) for leaf, wrong in places.wrong_elements(claim, record).items() if wrong.any()}
    return {leaf: each[np.unique(np.linspace(0, len(each) - 1, SOME).astype(int))] for leaf, each in found.items()}


def _claim_fits(screen: Screen) -> bool:
    counts = screen.counts(NONE)
    return counts is not None and not any(each.outside for each in counts.values())


def _small(claim: Claim, record: Record) -> Record:
    """A run of its own on smaller cases, if the kind has them and the candidate takes them.

    Where random bits are not known, nothing can be judged at once, so that the first steps of the first leaf must do.
    """
    few = record.cases.only(0).at_steps(slice(0, FEW)) if record.unknown else None
    cases = claim.kind.reduced(record) or few
    if cases is None:
        return record
    try:
        small = claim.drive(cases)
    except (ArgumentError, CandidateError):
        return record
    return small if small.answered == len(small.seen) and small.seen else record


def judged(claim: Claim, record: Record, change: Change) -> Counts | None:
    """The statuses of all elements of a whole run under a change; None if it cannot be judged so."""
    try:
        rules = [change.changed(rule) for rule in record.rules]
        return Tally().adding(claim.kind.outputs(record, rules, change.wanted(claim.request.policy))).counts
    except UNDEFINED:
        return None


def explained(claim: Claim, record: Record, change: Change) -> Counts | None:
    """The same of a change under which nothing of a run is outside; None of any other, judged only up to where that shows."""
    try:
        rules = [change.changed(rule) for rule in record.rules]
        tally = where_none_is_outside(claim.kind.outputs(record, rules, change.wanted(claim.request.policy)))
    except UNDEFINED:
        return None
    return None if tally is None else tally.counts
