"""What a candidate is that is right on ordinary cases and wrong in a situation: a variant that shows there alone, or a place."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterator

from refgrad.kinds.record import Record
from refgrad.oracle.engine.outcomes import Departure
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses import places, wrong_groups, wrong_values
from refgrad.oracle.hypotheses.changes import Change
from refgrad.oracle.hypotheses.control import control_of
from refgrad.oracle.hypotheses.examined import contradiction, examined
from refgrad.oracle.hypotheses.screens import explained, telling_screen
from refgrad.oracle.hypotheses.search import Search

#: seconds that the search may take, and how many of the changes that explain the situation are judged everywhere else
SECONDS, MOST = 5.0, 4


def meanings(claim: Claim, record: Record, tally: Tally) -> tuple[tuple[Departure, Change | None], ...]:
    """The place of what is wrong, or the change of the rule that explains the situation and everything else.

    Args:
        claim: who claims to be what, and in which situation.
        record: what was seen there.
        tally: the same, judged.
    """
    found = places.explain(claim, record, tally)
    total = sum(count.total for count in tally.counts.values())
    if found:
        return tuple((place, None) for place in found)
    change = next(_changes(claim, record), None)
    if change is not None:
        return ((Departure(change.name, change.sentence, 0, total), change),)
    told = wrong_values.explain(claim, record, tally) or wrong_groups.explain(claim, record, tally)
    return tuple((place, None) for place in told)


def _changes(claim: Claim, record: Record) -> Iterator[Change]:
    """Single changes of the rule under which nothing is wrong, in this situation and in all others."""
    deadline = time.process_time() + claim.request.explain
    search = Search(
        telling_screen(claim, record, lambda: True),
        seconds=min(SECONDS, claim.request.explain),
        clock=time.process_time,
        control=functools.cache(lambda: control_of(claim, record)),
    ).singles()
    fitting = [s.change for s in search.ranked if s.change.parts and s.fits and not s.loose and not s.change.model]
    for change in fitting[:MOST]:
        if not explained(claim, record, change) or time.process_time() > deadline:
            continue
        run = examined(claim, record, change)
        if run is not None and not contradiction(run):
            yield change
