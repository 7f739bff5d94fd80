"""What a recorded step is instead, where a tensor is wrong: causes of recordings, then the search of departures, on a sample.

The sample is of elements that are outside and of others, so that it is bounded whatever the tensor's size; a rule that couples
elements is searched on whole tensors, if they are small.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

import numpy as np

from refgrad.audits.causes import Sample, causes
from refgrad.audits.found import Meaning
from refgrad.audits.judging import Leaf
from refgrad.candidates.protocol import Observation
from refgrad.kinds.record import Record
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.control import FITS_THE_RULE, IS_WIDER, WIDER, Control, widths
from refgrad.oracle.hypotheses.protocol import Screen
from refgrad.oracle.hypotheses.recovered import vague
from refgrad.oracle.hypotheses.run_screen import UNDEFINED
from refgrad.oracle.hypotheses.scored import Scored
from refgrad.oracle.hypotheses.screen import StepScreen
from refgrad.oracle.hypotheses.search import Search
from refgrad.oracle.hypotheses.stack import Stack
from refgrad.oracle.inputs.cases import Cases
from refgrad.rule import Rule

#: elements of a sample that are outside, and others, at most; elements of a whole tensor that is searched
WRONG, OTHERS, WHOLE = 384, 384, 1 << 14
#: explanations of one tensor that are told, where they are as simple
ALIKE = 3


@dataclass(eq=False)
class OneStep(StepScreen):
    """A recorded step as hypotheses are tried on it: one step, which need not be the first."""

    at: int = 1

    @cached_property
    def stacks(self) -> list[Stack]:
        """That of the step, by its own number."""
        return [dataclasses.replace(each, steps=(self.at,)) for each in super().stacks]

    @cached_property
    def glance(self) -> StepScreen:
        """The step itself."""
        return self

    def _as(self, rule: Rule) -> StepScreen | None:
        known = rule in self._others
        found = super()._as(rule)
        if found is not None and not known:
            found = self._others[rule] = OneStep(
                found.record, found.policy, found.elements, found.besides, self, at=self.at
            )
        return found


@dataclass(eq=False)
class Own:
    """What the claimed rule itself gives from the same state: what fits this too explains nothing.

    What has far wider sets than the claim may fit by its width alone: see `refgrad.oracle.hypotheses.control`.
    """

    screen: StepScreen
    sample: Sample

    def may_fit(self, change: Change, screen: Screen | None = None) -> bool:
        counts = self.screen.counts(change)
        return counts is not None and not any(c.outside for c in counts.values())

    def doubt(self, change: Change) -> str:
        """Why a change that fits the sample is no fact; empty if it is one."""
        if self.may_fit(change):
            return FITS_THE_RULE.format(rule=self.screen.rule)
        own, other = self._widths(NONE), self._widths(change)
        times = max((width / own[name] for name, width in other.items() if name in own), default=1.0)
        return IS_WIDER.format(rule=self.screen.rule, times=times) if times > WIDER else ""

    def _widths(self, change: Change) -> dict[str, float]:
        """How wide the sets of the sample are under a change, by output; none where it is not defined."""
        try:
            found = self.sample.judged(change)
        except UNDEFINED:
            return {}
        after, at = self.sample.after, self.sample.leaf.t
        return widths(Output(at, 0, n, each, after[n], after[n].dtype, lambda _: {}) for n, each in found.items())


@dataclass
class Explainer:
    """Explains tensors one after the other; what explained one is tried first on the next.

    Attributes:
        policy: what counts as correct.
        seconds: that all searches together may take, of processor time.
        clock: what tells that time.
    """

    policy: Policy
    seconds: float
    clock: Any = time.process_time
    known: list[Change] = field(default_factory=list)

    def meanings(self, leaf: Leaf, places: Sequence[int], others: Sequence[Leaf]) -> tuple[Meaning, ...]:
        """What explains a tensor that is wrong; of what does not, the nearest.

        Args:
            leaf: the tensor.
            places: some of its elements that are outside.
            others: the other tensors that are wrong.
        """
        begun = self.clock()
        try:
            return self._meanings(leaf, places, others)
        finally:
            self.seconds -= self.clock() - begun

    def _meanings(self, leaf: Leaf, places: Sequence[int], others: Sequence[Leaf]) -> tuple[Meaning, ...]:
        if not leaf.apart and math.prod(leaf.shape) > WHOLE:
            return ()
        sample = Sample.of(leaf, _chosen(leaf, places), self.policy)
        for cause in causes(sample, others):
            return (Meaning(cause.name, cause.sentence, 0, sample.total, cause.doubt),)
        if self.seconds <= 0:
            return ()
        screen = self.screen(sample, sample.after)
        control = Own(self.screen(sample, sample.own()), sample)
        tried = [Scored(change, counts) for change in self.known if (counts := screen.counts(change))]
        again = _best(sorted((s for s in tried if s.fits), key=lambda s: s.rank))
        if again:
            return self._meanings_of(again, control)
        search = Search(screen, seconds=self.seconds, control=lambda: cast(Control, control), clock=self.clock)
        search.run(alternatives=False)
        ranked = [s for s in search.ranked if s.change.parts]
        fitting = [s for s in ranked if s.fits and not s.loose]
        if fitting:
            best = _best(fitting)
            self.known += [s.change for s in best]
            return self._meanings_of(best, control)
        claimed = next((s.outside for s in search.ranked if not s.change.parts), 0)
        return tuple(self._meaning(s, control) for s in ranked[:1] if 0 < 2 * s.outside < claimed)

    def screen(self, sample: Sample, after: Any) -> OneStep:
        """A sample with something after the step as hypotheses are tried on it."""
        arrays, numbers = sample.before, sample.leaf.numbers
        before: dict[str, Any] = {**{n: a for n, a in arrays.items() if n not in ("p", "g")}, **numbers[0]}
        now: dict[str, Any] = {**{n: a for n, a in after.items() if n != "p"}, **numbers[1]}
        cases = Cases([{"p": arrays["p"]}], [sample.leaf.name], steps=[[{"g": arrays["g"]}]])
        seen = [Observation([arrays["p"]], [before]), Observation([after["p"]], [now])]
        record = Record(cases, [sample.leaf.rule], seen)
        return OneStep(record, self.policy, max(arrays["p"].size, 1), at=sample.leaf.t)

    def _meanings_of(self, best: Sequence[Scored], control: Own) -> tuple[Meaning, ...]:
        return tuple(self._meaning(s, control, [o.change.name for o in best if o is not s]) for s in best)

    def _meaning(self, scored: Scored, control: Own, others: Sequence[str] = ()) -> Meaning:
        change, doubt = scored.change, ""
        if not scored.outside:
            doubt = vague(change.recovered) or control.doubt(change)
            if not doubt and others:
                doubt = f"it is explained as well by {', '.join(others)}"
        total = sum(c.total for c in scored.counts.values())
        return Meaning(change.name, change.sentence, scored.outside, total, doubt)


def _best(ranked: Sequence[Scored]) -> Sequence[Scored]:
    """The first of what fits, and what fits as simply: all of it, for none of them is a fact while another is."""
    return [s for s in ranked if s.rank[:-1] == ranked[0].rank[:-1]][:ALIKE]


def _chosen(leaf: Leaf, places: Sequence[int]) -> np.ndarray:
    """Elements of a sample: of those outside some, and others that lie apart evenly."""
    size = math.prod(leaf.shape)
    if not leaf.apart:
        return np.arange(size)
    wrong = np.asarray(sorted(set(places)), dtype=np.int64)
    few = wrong[np.unique(np.linspace(0, len(wrong) - 1, WRONG).astype(int))] if len(wrong) else wrong
    return np.union1d(few, np.unique(np.linspace(0, size - 1, OTHERS).astype(np.int64)))
