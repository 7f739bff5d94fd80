"""What a search asks of a run: how much is outside under a change, and what else the run says of it.

There are two: `refgrad.oracle.hypotheses.screen.StepScreen` judges few elements of an optimizer's run, many steps at once;
`refgrad.oracle.hypotheses.run_screen.RunScreen` judges a small run of any kind by the kind's own judge.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from refgrad.kinds.kind import Kind
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.hypotheses.changes import Change
from refgrad.oracle.hypotheses.recovered import Recovered
from refgrad.rule import Rule
from refgrad.tracing import Plan

#: True if no more time is left
Late = Callable[[], bool]


class Screen(Protocol):
    """A run that hypotheses are judged on, cheaply enough for hundreds of them."""

    @property
    def kind(self) -> Kind:
        """The kind of the claim."""

    @property
    def rule(self) -> Rule:
        """What the candidate was told to be."""

    @property
    def policy(self) -> Policy:
        """What counts as correct under the claim."""

    def counts(self, change: Change) -> Counts | None:
        """The statuses of elements under a change, by output; None if the run cannot be judged so.

        Under a change that is wrong it may have looked at a part of the run alone; under the claim itself it has not.
        """

    def told_by_run(self) -> list[Change]:
        """Departures of the kind alone whose numbers the run tells."""

    def policies(self) -> list[Change]:
        """Other policies under which something of the run may be judged otherwise."""

    def plans(self, change: Change) -> list[Plan]:
        """The plans that the run takes under a change, which mutants are made of; none where there is no graph."""

    def used(self) -> set[str]:
        """The hyperparameters that the run may depend on."""

    def switched_on(self) -> list[Change]:
        """Changes from which numbers are recovered besides, because they are zero in the claim."""

    def telling(self, change: Change, counts: Counts) -> list[str]:
        """What numbers are recovered from under a change, in order: outputs that are wrong, or all of them as one."""

    def recover(
        self,
        change: Change,
        output: str,
        known: Mapping[str, float],
        thorough: bool,
        late: Late,
        near: Mapping[str, float] | None = None,
    ) -> list[Recovered] | None:
        """The hyperparameters that make an output right under a change; None if none do, or there is no time.

        Args:
            change: what is changed besides.
            output: one of `telling`.
            known: hyperparameters that other outputs told.
            thorough: True to take the time that it takes.
            late: asked now and then.
            near: values that fit, if there are such: only how far they reach is asked.
        """

    def same(self, one: Change, other: Change) -> bool:
        """True if two changes make the same function of the claim."""
