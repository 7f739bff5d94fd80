"""A count of steps that is another than the rule's: of all parameters together, of all calls, one that stops or starts anew."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from refgrad.errors import RefgradError
from refgrad.kinds.record import Record
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.outcomes import Departure
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.far_steps import counts

#: from a step, a leaf and the right count to another one; the first counted from 1, the second from 0
Counting = Callable[[int, int, int], int]

#: steps that are looked at first of a run of several leaves
FIRST = 2
#: counts at which one may stop, and numbers of bits that it may have
ENDS, BITS = (
    (10, 50, 100, 128, 200, 255, 256, 500, 1000, 1024, 2000, 2048, 4096, 5000, 8192, 10_000, 16_384),
    (7, 8, 15, 16),
)


@dataclass(frozen=True, eq=False)
class _Counted(Cases):
    """Cases whose steps are counted in another way."""

    counting: Counting = lambda step, leaf, count: count

    def count(self, step: int, leaf: int) -> int:
        """The other count."""
        return self.counting(step, leaf, super().count(step, leaf))


def explain(claim: Claim, record: Record, tally: Tally) -> Departure | None:
    """The count under which nothing of a run is outside; None if there is none, or the rule has no count.

    Args:
        claim: who claims to be what, and in which situation.
        record: what was seen.
        tally: the same, judged.
    """
    rule = claim.rule
    if not isinstance(rule, Optimizer) or rule.scope == "tree" or record.faults or record.unknown or not counts(rule):
        return None
    total = sum(count.total for count in tally.counts.values())
    for name, sentence, counting in _hypotheses(record.cases):
        few = dataclasses.replace(record, seen=record.seen[: FIRST + 1])
        if (claim.situation or _explains(claim, few, counting)) and _explains(claim, record, counting):
            return Departure(name, sentence, 0, total)
    return None


def _explains(claim: Claim, record: Record, counting: Counting) -> bool:
    fields = {f.name: getattr(record.cases, f.name) for f in dataclasses.fields(record.cases)}
    try:
        found = claim.judge(dataclasses.replace(record, cases=_Counted(**fields, counting=counting)))
    except (RefgradError, ArithmeticError):  # it is not defined at such a count
        return False
    return found.decided > 0 and not (found.outside or found.faults)


def _hypotheses(cases: Cases) -> Iterator[tuple[str, str, Counting]]:
    leaves = len(cases.arrays)
    if cases.absent:
        sentence = "one count of all calls stands for that of each parameter, which has no gradient in some of them"
        yield "count of all calls", sentence, lambda step, leaf, count: step
    elif leaves > 1:
        sentence = (
            "the count goes up with each parameter, so that at step t number i of n parameters is at (t - 1) n + i"
        )
        yield "count of all parameters", sentence, lambda step, leaf, count: (count - 1) * leaves + leaf + 1
    last = max(cases.count(step, 0) for step in range(1, len(cases.steps) + 1))
    for end in ENDS:
        if end < last:
            yield f"count stops at {end}", f"the count stops at {end}", lambda s, i, count, end=end: min(count, end)  # type: ignore[misc]
    for bits in BITS:
        if 2**bits <= last:
            yield (
                f"count of {bits} bits",
                f"the count has {bits} bits, and begins anew after {2**bits - 1}",
                lambda s, i, count, wide=2**bits: count % wide or 1,  # type: ignore[misc]
            )
