"""What a run that fails is instead: found on a screen, judged again on the whole run, and only then told."""

from __future__ import annotations

from collections.abc import Iterable

from refgrad.arithmetic import dtypes
from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.kind import Record
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.engine.outcomes import Departure
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses import places
from refgrad.oracle.hypotheses.changes import Change, named, policies
from refgrad.oracle.hypotheses.protocol import Screen
from refgrad.oracle.hypotheses.run_screen import UNDEFINED, RunScreen
from refgrad.oracle.hypotheses.scored import Scored
from refgrad.oracle.hypotheses.screen import StepScreen
from refgrad.oracle.hypotheses.search import Search

#: departures that are judged on the whole run where none explains it, and that are told where several do
MOST, ALIKE = 3, 5
#: steps of a run whose random bits are not known, on which hypotheses are tried
FEW = 3


def explain(claim: Claim, record: Record, tally: Tally) -> tuple[Departure, ...]:
    """The departures that explain a run of a candidate that is not what it claims, or come nearest.

    Args:
        claim: who claims to be what; its request says how many seconds may be taken, about.
        record: the whole run; a note is added if the time was over.
        tally: the same, judged as the claim.
    """
    if (
        claim.situation and claim.rule == claim.request.rule
    ):  # the rule explains ordinary cases, so that no other rule can
        return places.explain(claim, record, tally)
    usual = [s for s in _whole(claim, record, tally, _usual(claim, record)) if not s.outside]
    if usual:
        return (_departure(usual[0]),)
    seconds = claim.request.explain
    search = Search(screen_of(claim, record), seconds=seconds).run(alternatives=False)
    found = _told(claim, record, tally, [s for s in search.ranked if s.change.parts])
    if search.stopped and all(s.outside for s in found):
        record.notes.append(f"the search for what it is instead was ended after {seconds:g} seconds")
    record.notes.extend(dict.fromkeys(search.failures))
    # what leaves as much outside as the claim is nearer to nothing
    return tuple(_departure(s) for s in found if not s.outside or s.outside < tally.outside)


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


def _whole(claim: Claim, record: Record, tally: Tally, changes: Iterable[Change]) -> list[Scored]:
    counts = ((change, judged(claim, record, change)) for change in changes)
    return [Scored(change, each, tally.counts) for change, each in counts if each]


def _usual(claim: Claim, record: Record) -> list[Change]:
    """Changes so common that one which explains the run ends the search before it begins.

    On a narrow grid mutants hide among the roundings of what most implementations do there. Of a rule that says how it is
    stored, another way of that says more than wider bounds, which take in all of them.
    """
    primary = record.cases.arrays[0][claim.rule.primary]
    narrow = dtypes.working(primary.dtype) != primary.dtype
    usual = [c for c in policies(claim.request.policy) if narrow and c.policy == {"precision": "storage"}]
    stores = isinstance(claim.rule, Optimizer) and "round" in claim.rule.plan(primary.shape, 1).graph.counts()
    return [*named(claim.rule), *usual] if stores else usual


def _told(claim: Claim, record: Record, tally: Tally, ranked: list[Scored]) -> list[Scored]:
    """The best of a search on the whole run: the first that explains it, with others as simple that do; else the nearest."""
    found: list[Scored] = []
    for scored in ranked:
        explained = [s for s in found if not s.outside]
        if len(found) >= (ALIKE if explained else MOST):
            break
        if explained and not (scored.fits and _simplicity(scored) == _simplicity(explained[0])):
            break
        found += _whole(claim, record, tally, [scored.change])
    return sorted(found, key=lambda s: s.outside)


def _simplicity(scored: Scored) -> tuple[object, ...]:
    change = scored.change
    return change.parts, change.precision, change.model, change.kind


def _departure(scored: Scored) -> Departure:
    total = sum(c.total for c in scored.counts.values())
    return Departure(scored.change.name, scored.change.sentence, scored.outside, total)
