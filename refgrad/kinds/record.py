"""What a candidate is driven through, and the record of what it did."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic import exact, floats
from refgrad.oracle.acceptance.findings import Fault
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.cases import Arrays, Cases
from refgrad.tracing import Plan, Plans, free_values, plan_for

#: how reports call a run whose state is read wholly, one whose state is not, and answers that stand alone
LOCKED, FREE, CASES = "step-locked", "free-running", "case by case"
#: and one of a rule that is known by its numbers alone, so that what is allowed is an estimate
STATISTICAL = "statistical"

Results = Mapping[str, np.ndarray]

#: runs an action, named for the message, and returns what it returns; `CandidateFault` "hung" if it takes too long
Call = Callable[[Callable[[], Any], str], Any]

#: asks a candidate once, and gives what was seen
Question = Callable[[], Any]


@dataclass
class Record:
    """What a candidate did: what was seen after each question, and what it did wrong besides values.

    Attributes:
        cases: what it was driven with.
        rules: the rule as it was told, one a leaf for a kind with state, else one.
        seen: what each question gave, None where it was not answered.
        faults, notes: what went wrong besides values, and what is worth knowing of the run.
        settings: where the candidate's own settings are not those that are claimed.
        read: the hyperparameters that could be read from the candidate.
        unknown: random bits that the rule takes and the candidate draws by itself.
    """

    cases: Cases
    rules: list[Any]
    seen: list[Any] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    settings: list[str] = field(default_factory=list)
    read: frozenset[str] = frozenset()
    unknown: frozenset[str] = frozenset()

    @property
    def answered(self) -> int:
        """How many questions were answered."""
        return sum(each is not None for each in self.seen)

    @property
    def steps(self) -> int:
        """How many steps were completed of a kind with state, whose first question is only for a look."""
        return max(self.answered - 1, 0)


@dataclass(frozen=True)
class Wanted:
    """How outputs are to be judged: under which policy and plans, and with a kind's own keywords (see `Kind.departures`)."""

    policy: Policy = field(default_factory=Policy)
    plans: Plans = plan_for
    how: Mapping[str, Any] = field(default_factory=dict)


class Driven(NamedTuple):
    """Who is driven through situations, and with what.

    Attributes:
        subject: the candidate.
        named: the rule's hyperparameters that it is told by name.
        dtype, seed: of the arrays.
    """

    subject: Any
    named: frozenset[str]
    dtype: np.dtype
    seed: int


@dataclass(frozen=True, eq=False)
class Situation:
    """What happens to a program in use and does not show on ordinary cases: odd shapes, another setting, a step left out.

    A candidate that raises there is restricted, not wrong: the verdict says first what it was not exercised on.

    Attributes:
        name: what reports call it.
        cases: what the candidate is driven with.
        rule: what it claims to be there: the claim, or the claim with other settings.
        instead: what is tried in its place, in turn, where the candidate takes nothing of it.
        alike: whether its steps are all alike, so that who takes the first and raises at another is wrong, not restricted.
        left_out: what is not among the cases, and why; empty if nothing is.
        near: whether named behaviours that differ by a small number alone are nearer to one another there than anywhere else.
    """

    name: str
    cases: Cases
    rule: Any
    instead: Callable[[], Iterator[Situation]] = lambda: iter(())
    alike: bool = False
    left_out: str = ""
    near: bool = False


class Graph(NamedTuple):
    """What a rule's traced body takes of a case: arrays by name, and the shape and number of axes that it is traced for."""

    arrays: Arrays
    shape: tuple[int, ...]

    def plan(self, rule: Any, plans: Plans = plan_for) -> Plan:
        """The plan of a rule for these arrays."""
        return plans(rule, len(self.shape), free_values(self.shape, {}))

    def evaluated(self, rule: Any, plans: Plans = plan_for) -> dict[str, np.ndarray]:
        """The results of that plan in float64."""
        plan, wide = self.plan(rule, plans), {n: np.asarray(a, np.float64) for n, a in self.arrays.items()}
        return floats.evaluate(plan.graph, wide, list(plan.scalars(*free_values(self.shape, {}))))

    def exactly(self, rule: Any, digits: int, outcomes: exact.Outcomes | None = None) -> dict[str, Any]:
        """The results of that plan in exact arithmetic: arrays of mpmath numbers.

        Args:
            rule: whose plan.
            digits: decimal digits of the arithmetic.
            outcomes: decisions that go another way than those of exact numbers, as of `refgrad.arithmetic.exact.evaluate`.
        """
        plan = self.plan(rule)
        names = {**rule.numbers(), **dict(zip(plan.free, free_values(self.shape, {}), strict=True))}
        return exact.evaluate(
            plan.graph, {n: self.arrays[n] for n in plan.graph.inputs()}, names, digits, None, outcomes
        )
