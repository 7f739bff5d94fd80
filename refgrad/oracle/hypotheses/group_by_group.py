"""Groups of parameters that are each stepped by themselves, by a candidate whose rule couples all parameters."""

from __future__ import annotations

import numpy as np

from refgrad.errors import RefgradError
from refgrad.kinds.record import Record
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.outcomes import Departure
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.inputs.calls import IN_GROUPS, in_groups

SENTENCE = "each group of parameters is stepped as though it were all of them"


def explain(claim: Claim, record: Record, tally: Tally) -> Departure | None:
    """That each group is stepped by itself; None if one is wrong by itself, or other numbers come of all together.

    Args:
        claim: who claims to be what, and in which situation.
        record: what was seen of all groups.
        tally: the same, judged.
    """
    rule, request = claim.rule, claim.request
    if claim.situation != IN_GROUPS or not isinstance(rule, Optimizer) or rule.scope != "tree" or record.faults:
        return None
    cases = in_groups(rule, request.dtype, request.seed)
    try:
        alone = [claim.drive(cases.only(leaf)) for leaf in range(len(cases.arrays))]
    except RefgradError:  # it takes no such parameter by itself
        return None
    if not _same(alone, record) or any(each.faults or claim.judge(each).outside for each in alone):
        return None
    return Departure("group by group", SENTENCE, 0, sum(count.total for count in tally.counts.values()))


def _same(alone: list[Record], together: Record) -> bool:
    """True if parameters of their own runs have the bits that they have in the run of all, at every step."""
    for step, seen in enumerate(together.seen):
        own = [
            np.ravel(record.seen[step].params[0]) for record in alone if step < len(record.seen) and record.seen[step]
        ]
        if seen is None or len(own) < len(alone):
            return False
        joined = np.concatenate(own)
        if joined.tobytes() != np.ravel(seen.params[0]).tobytes():
            return False
    return True
