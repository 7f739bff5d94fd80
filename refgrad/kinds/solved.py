"""Functions of arrays that are known by what their result satisfies: judged by a condition, whatever way led to it."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from typing import Any

from refgrad.gradients.solved import Solved
from refgrad.kinds.record import Driven, Record, Results, Situation
from refgrad.kinds.stateless import Answer
from refgrad.kinds.transform import TransformKind, check_dtypes
from refgrad.optimizers.transform import Transform
from refgrad.oracle.acceptance.conditions import judge_condition, missed
from refgrad.oracle.acceptance.explicit_sets import Way
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.cases import Arrays
from refgrad.tracing import Plans, plan_for


class SolvedKind(TransformKind):
    """See `refgrad.kinds.kind`; a transform whose body is one way of many to an answer."""

    def situations(self, rule: Transform, asked: Driven) -> Iterator[Situation]:
        """Those of every kind; none of NaN and infinities, of which no condition is said to hold."""
        yield from self.of_every_kind(rule, asked)

    def judge(self, rule: Solved, arrays: Arrays, seen: Results, policy: Policy, plans: Plans = plan_for) -> Answer:  # type: ignore[override]
        """Every result by the condition."""
        check_dtypes(arrays[rule.primary].dtype, seen, policy)
        return {n: (judged, seen[n]) for n, judged in judge_condition(rule, arrays, seen).items()}

    def ways(self, rule: Transform, record: Record, policy: Policy, given: Container[str]) -> list[Way]:
        """None."""
        return []

    def exactly(self, rule: Transform, record: Record, digits: int) -> dict[str, Any]:
        """Nothing: of several right answers none is the exact one."""
        return {}

    def judged_as_seen(self, rule: Transform, record: Record) -> frozenset[str]:
        """All results."""
        return frozenset(record.seen[-1])

    def notes(self, subject: Any, record: Record, counts: Counts) -> Iterator[str]:
        """The first condition that a result does not satisfy."""
        rule: Any = record.rules[0]
        wrong = any(c.outside for c in counts.values())
        for number, (arrays, seen) in enumerate(zip(record.cases.arrays, record.seen, strict=False)):
            for said in missed(rule, arrays, seen) if wrong and seen is not None else ():
                yield f"in case {number + 1} {said}"
                return

    def rewritten(self, rule: Transform) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
        """None: the body is one way of many."""
        return iter(())


KIND = SolvedKind()
