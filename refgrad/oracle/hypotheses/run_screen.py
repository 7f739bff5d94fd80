"""Hypotheses of any kind's run, judged by the kind's own judge on a small one: what is wrong at once is looked at no further."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, TraceError
from refgrad.kinds.kind import Kind
from refgrad.kinds.record import Record
from refgrad.oracle.acceptance.findings import OUTSIDE, Counts, Output
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.tally import Tally
from refgrad.oracle.hypotheses import equivalence, line_search
from refgrad.oracle.hypotheses.changes import Change, policies, told
from refgrad.oracle.hypotheses.protocol import Late
from refgrad.oracle.hypotheses.recovered import ALL, Recovered
from refgrad.rule import Range, Rule
from refgrad.tracing import Plan

#: so many different results may be wrong where a number is to be one of them
SHOWN = 3
#: what a hypothesis raises that is not defined for some hyperparameters, or for what was seen
UNDEFINED = (ArgumentError, ArithmeticError, CandidateFault, IndexError, TraceError, ValueError)


@dataclass(eq=False)
class RunScreen:
    """See `refgrad.oracle.hypotheses.protocol.Screen`."""

    kind: Kind
    record: Record
    policy: Policy
    #: of steps of which few elements are looked at those that are besides, see `refgrad.oracle.hypotheses.stack.stack_of`
    besides: Mapping[int, np.ndarray] = field(default_factory=dict)
    _comparable: dict[Rule, bool] = field(default_factory=dict)

    @property
    def rule(self) -> Rule:
        """What the candidate was told to be."""
        rule: Rule = self.record.rules[0]
        return rule

    def counts(self, change: Change) -> Counts | None:
        """The statuses of elements under a change, by output; None if the run cannot be judged so.

        Under a change that is wrong in one case, or at one step of one leaf, those after it are not looked at.
        """
        tally, place = Tally(), (0, 0)
        try:
            for output in self._outputs(change):
                now = output.step, output.leaf
                if change.parts and now != place and place[0] and tally.outside:
                    break
                tally.add(output)
                place = now
        except UNDEFINED:
            return None
        return tally.counts or None

    def _outputs(self, change: Change) -> Iterator[Output]:
        rules = [change.changed(rule) for rule in self.record.rules]
        if (change.rule or change.of is not None) and not self._could_be(rules[0]):
            raise ArgumentError(f"{rules[0]} does not give what was seen")
        return self.kind.outputs(self.record, rules, change.wanted(self.policy))

    def _could_be(self, rule: Rule) -> bool:
        if self.kind.stepped:
            return type(rule) is type(self.rule)
        if rule not in self._comparable:
            # a rule around another would fit wherever nothing of it shows
            plain = len(rule.inner_rules()) <= len(self.rule.inner_rules())
            first = dataclasses.replace(self.record, cases=self.record.cases.only(0))
            self._comparable[rule] = plain and self.kind.comparable(self.rule, rule, first)
        return self._comparable[rule]

    def distance(self, change: Change) -> float:
        """How far elements are from their truths under a change, on a scale that grows slowly; of steps at the first."""
        far, size = 0.0, 0
        try:
            for output in self._outputs(change):
                if self.kind.stepped and output.step > 1:
                    break
                judged = output.judged
                with np.errstate(all="ignore"):
                    half = np.maximum((judged.high - judged.low) / 2, np.finfo(np.float64).tiny)
                    away = np.log1p(np.abs(output.values.astype(np.float64) - judged.truth) / half)
                usable = np.isfinite(away)
                far += float(np.sum(away[usable]))
                size += int(usable.sum())
        except UNDEFINED:
            return math.inf
        return far / max(size, 1)

    def told_by_run(self) -> list[Change]:
        """Departures of the kind alone whose numbers the run tells."""
        return list(told(self.rule, self.kind, self.record))

    def policies(self) -> list[Change]:
        """All of them: of a rule that is not traced nothing tells what it does."""
        return list(policies(self.policy))

    def plans(self, change: Change) -> list[Plan]:
        """The plans that the kind makes of the first case; none of a rule without a graph."""
        try:
            return self.kind.traced(change.changed(self.rule), self.record, change.plans)
        except UNDEFINED:
            return []

    def used(self) -> set[str]:
        """All numbers of the rule."""
        return set(self.rule.numbers())

    def switched_on(self) -> list[Change]:
        """None: a number that is zero is looked for as any other."""
        return []

    def telling(self, change: Change, counts: Counts) -> list[str]:
        """All results together, if one at least is wrong."""
        return [ALL] if any(c.outside for c in counts.values()) else []

    def recover(
        self,
        change: Change,
        output: str,
        known: Mapping[str, float],
        thorough: bool,
        late: Late,
        near: Mapping[str, float] | None = None,
    ) -> list[Recovered] | None:
        """The first number that makes all results right under a change; None if none does."""
        rule = change.changed(self.rule)
        shown = self._shown(change) if near is None else ()
        for name, claimed in rule.numbers().items():
            legal = rule.range_of(name)
            if not isinstance(legal, Range) or name in change.rule:
                continue
            line = self._line(change, name, claimed, legal, shown)
            if near is None:
                found = line_search.recovered(line, late)
            else:
                value = near.get(name)
                found = (
                    None
                    if value is None
                    else line_search.around(line, value, value / line_search.REACH, value * line_search.REACH)
                )
            if found is not None:
                return [found]
        return None

    def _shown(self, change: Change) -> tuple[float, ...]:
        """The results that are outside under a change, if they are few."""
        found: dict[float, None] = {}
        try:
            for output in self._outputs(change):
                wrong = output.values[output.judged.status == OUTSIDE].astype(np.float64)
                found |= dict.fromkeys(np.unique(wrong[np.isfinite(wrong)])[: SHOWN + 1].tolist())
                if len(found) > SHOWN:
                    return ()
        except UNDEFINED:
            return ()
        return tuple(found)

    def _line(
        self, change: Change, name: str, claimed: float, legal: Range, shown: tuple[float, ...]
    ) -> line_search.Line:
        def at(value: float) -> Change:
            return dataclasses.replace(change, rule={**change.rule, name: value}, parts=change.parts + 1)

        def fits(value: float) -> bool:
            counts = self.counts(at(value))
            return counts is not None and not any(c.outside for c in counts.values())

        return line_search.Line(name, claimed, legal, lambda value: self.distance(at(value)), fits, shown)

    def same(self, one: Change, other: Change) -> bool:
        """True if two changes make the same function of the claim."""
        return equivalence.same((self.rule, one), (self.rule, other))
