"""Hypotheses of an optimizer's run: few elements, many steps at once, and hyperparameters solved for.

What is judged, and how, is in `refgrad.oracle.hypotheses.stacked`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from refgrad.arithmetic import dtypes, rewriting
from refgrad.arithmetic.scalar_math import names_in
from refgrad.candidates.protocol import Observation
from refgrad.errors import ArgumentError
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.hypotheses import equivalence
from refgrad.oracle.hypotheses.changes import NONE, Change, policies, told
from refgrad.oracle.hypotheses.protocol import Late
from refgrad.oracle.hypotheses.recovered import Recovered
from refgrad.oracle.hypotheses.recovery import recover
from refgrad.oracle.hypotheses.residuals import problem_of
from refgrad.oracle.hypotheses.stacked import Stacked
from refgrad.rule import Rule
from refgrad.tracing import Plan

#: steps of the first leaf that are looked at first
FIRST = 3


@dataclass(eq=False)
class StepScreen(Stacked):
    """See `refgrad.oracle.hypotheses.protocol.Screen`."""

    _others: dict[Rule, StepScreen | None] = field(default_factory=dict)

    def counts(self, change: Change) -> Counts | None:
        """The statuses of elements under a change, by output; None if the run cannot be judged so.

        Where nothing that was judged already is of use, as for another rule, what is wrong in the first steps of the first
        leaf is looked at no further.
        """
        screen = self if change.of is None else self._as(change.of)
        if screen is None:
            return None
        try:
            if not screen.stacks:
                return None
            if change.of is not None or (self.couples and change.parts):
                glance = screen.glance.judged_counts(dataclasses.replace(change, of=None))
                if glance is None or any(c.outside for c in glance.values()):
                    return glance
            return screen.judged_counts(dataclasses.replace(change, of=None))
        except (ArgumentError, ArithmeticError, TypeError, ValueError):
            # the change is not defined for these hyperparameters (a root of a negative number is no float), or has state of
            # other shapes
            return None

    def _as(self, rule: Rule) -> StepScreen | None:
        """The same run as another rule's; None if that has other state than was read, or takes what was not handed over."""
        if rule not in self._others:
            self._others[rule] = None
            if isinstance(rule, Optimizer) and self._could_be(rule):
                record = dataclasses.replace(self.record, rules=[rule] * len(self.record.rules))
                self._others[rule] = StepScreen(record, self.policy, self.elements, self.besides, self)
        return self._others[rule]

    @cached_property
    def glance(self) -> StepScreen:
        """The first steps of the first leaf, of which fewer elements are looked at: most hypotheses are wrong there."""
        record, steps = self.record, slice(0, FIRST)
        seen = [Observation(each.params[:1], each.state[:1]) for each in record.seen[: FIRST + 1]]
        first = dataclasses.replace(
            record, cases=record.cases.only(0).at_steps(steps), rules=record.rules[:1], seen=seen
        )
        claimed = self.claimed.glance if isinstance(self.claimed, StepScreen) else None
        return StepScreen(first, self.policy, self.elements // 4, self.besides, claimed)

    def _could_be(self, rule: Optimizer) -> bool:
        arrays = {n for n, slot in rule.slots().items() if not slot.scalar}
        observed = all(stack.after.keys() - {"p"} == arrays for stack in self.stacks)
        given = set(rule.inputs()) <= set(self.rule.inputs()) and rule.scope == self.rule.scope
        # a rule around another would fit wherever nothing of it shows
        return observed and given and len(rule.inner_rules()) <= len(self.rule.inner_rules())

    def told_by_run(self) -> list[Change]:
        """Departures of the kind alone whose numbers the run tells."""
        return list(told(self.rule, self.kind, self.record))

    def policies(self) -> list[Change]:
        """Those of sums where a rule has sums, and those of precision where something is narrow."""
        arrays = [each["p"].dtype for each in self.record.cases.arrays]
        narrow = any(dtypes.working(a) != a for a in arrays)
        telling = {"subnormals": True, "sums": self.couples, "accumulate": self.couples, "precision": narrow}
        return [change for change in policies(self.policy) if all(telling[field_] for field_ in change.policy)]

    def plans(self, change: Change) -> list[Plan]:
        """The plans that the steps of the first stack take."""
        stacks = self.stacks[:1]
        return list(dict.fromkeys(p for s in stacks for p in self.steps_by_plan(s, change.changed(s.rule), change)))

    @cached_property
    def _read(self) -> set[str]:
        return {n for plan in self.plans(NONE) for e in plan.graph.scalars() for n in names_in(e)}

    def used(self) -> set[str]:
        """The hyperparameters that the claim's scalars read."""
        return self._read

    def switched_on(self) -> list[Change]:
        """The claim with each number that is zero switched on: what is recovered starts from a size."""
        zero = [n for n, v in self.rule.numbers().items() if v == 0.0 and n in self.rule.legal()]
        size = {n: 1e-8 if n.startswith("eps") else 1e-2 for n in zero}
        return [Change(f"{n} on", f"{n} is not zero", "value", {n: size[n]}) for n in zero]

    def telling(self, change: Change, counts: Counts) -> list[str]:
        """Outputs that are wrong; those that read few hyperparameters first, because others know them by then."""
        plans = self.plans(change)

        def size(output: str) -> tuple[int, bool, str]:
            cones = [rewriting.cone(p.graph, output) for p in plans if output in p.graph.outputs]
            names = {n for cone in cones for e in cone.scalars() for n in names_in(e)}
            return len(names), output != "p", output

        return sorted((o for o, c in counts.items() if c.outside), key=size)

    def recover(
        self,
        change: Change,
        output: str,
        known: Mapping[str, float],
        thorough: bool,
        late: Late,
        near: Mapping[str, float] | None = None,
    ) -> list[Recovered] | None:
        """The hyperparameters that one output tells under a change; None if none do."""
        try:
            problem = problem_of(self, change, output)
        except (ArithmeticError, ValueError, TypeError):
            return None
        return None if problem is None else recover(problem, known, thorough, late)

    def same(self, one: Change, other: Change) -> bool:
        """True if two changes make the same function of the claim."""
        return equivalence.same((self.rule, one), (self.rule, other), self.record.cases.arrays[0]["p"].ndim)
