"""A candidate driven as one rule or as many, and the rules that come nearest searched in depth."""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.record import Record
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.control import Control, control_of
from refgrad.oracle.hypotheses.protocol import Screen
from refgrad.oracle.hypotheses.relatives import relatives
from refgrad.oracle.hypotheses.run_screen import RunScreen
from refgrad.oracle.hypotheses.scored import Scored
from refgrad.oracle.hypotheses.screens import explained, judged, screen_of, telling_screen
from refgrad.oracle.hypotheses.search import Search
from refgrad.oracle.hypotheses.shaped import sized, variant_of_shapes
from refgrad.rule import Rule

#: how many rules with state are tried with their variants, and how many rules are searched in depth
NAMED, DEEP = 12, 3
#: of the share of questions that a candidate answers as one rule, the part that it must answer as another to be that
ANSWERED = 0.9
#: seconds of processor time that the searches of all rules together may take
SECONDS = 30.0
#: elements of each leaf that tell a hyperparameter that a few did not tell finely enough
FINE = 2048


@dataclass(eq=False)
class Trial:
    """A candidate driven as if it were a rule, and the search for what it is instead."""

    claim: Claim
    record: Record
    search: Search
    #: True if what is judged are the answers to the cases of another rule, which reach no decision of this one on purpose
    shared: bool = False

    @property
    def control(self) -> Control | None:
        """The rule itself on the same cases."""
        return self.search.control()

    @property
    def rule(self) -> Rule:
        """The rule that the candidate was told to be."""
        return self.claim.rule

    @property
    def told(self) -> Rule:
        """The same with the hyperparameters that the candidate told."""
        rule: Rule = self.record.rules[0]
        return rule

    @property
    def best(self) -> Scored | None:
        """The best of what was tried."""
        return min(self.search.tried.values(), key=lambda s: s.rank, default=None)

    @property
    def share(self) -> float:
        """The part of what it was asked that the candidate answered."""
        record = self.record
        return (
            record.steps / len(record.cases.steps) if record.cases.steps else record.answered / len(record.cases.arrays)
        )

    @property
    def besides(self) -> int:
        """How many other rules and extra inputs the rule has, of which nothing may have shown."""
        extras = self.rule.inputs() if isinstance(self.rule, Optimizer) else ()
        return len(self.rule.inner_rules()) + len(extras)

    @property
    def plainness(self) -> tuple[int, int]:
        """Of rules that explain as much, first the plainest, and of these the one that was told the most numbers."""
        return self.besides, -sum(v != 0 for v in self.told.numbers().values())

    @property
    def exhaustive(self) -> bool:
        """True if all single changes are of interest though something simpler fits.

        On generated cases of a rule without state, what fits besides does so because acceptance sets take it in.
        """
        return self.claim.kind.stepped or self.claim.request.inputs is not None

    @property
    def alternatives(self) -> bool:
        """True if all single changes are tried though something simpler fits; not of all leaves as one, which takes minutes."""
        generated = self.claim.request.inputs is None
        return self.exhaustive and not (generated and getattr(self.rule, "scope", "") == "tree")

    def counts(self, change: Change) -> Counts | None:
        """A change on the whole run."""
        return judged(self.claim, self.record, change)

    def explained(self, change: Change) -> Counts | None:
        """The same of a change under which nothing of the whole run is outside; None of any other."""
        return explained(self.claim, self.record, change)

    @cached_property
    def whole(self) -> Counts:
        """The claim itself on the whole run; nothing if it cannot be judged."""
        return self.counts(NONE) or {}

    @property
    def claims_wholly(self) -> bool:
        """True if the claim itself fits the whole run, and not the smaller one that is searched on.

        On small tensors a rule that reduces over them may leave open what it does not on others, or not be judged at all.
        """
        base = self.search.tried.get(NONE.key)
        if not self.search.claimed or (base is not None and base.fits):
            return False
        return Scored(NONE, self.whole, self.search.reference(self.whole)).fits

    def told_by_more(self) -> None:
        """Searched on more elements, where the claim explains the few that were looked at and not the run."""
        base = self.search.tried.get(NONE.key)
        if base is None or not base.fits or not any(c.outside for c in self.whole.values()):
            return
        before, self.search = (
            self.search,
            _search(
                self.claim,
                self.record,
                telling_screen(self.claim, self.record, lambda: True),
                self.search.claimed,
            ),
        )
        self.search.end_with(before)
        self.search.named()

    def closer(self) -> Search:
        """The hyperparameters of the claim as more elements tell them."""
        screen = screen_of(self.claim, self.record, FINE)
        search = Search(screen, self.search.claimed, control=self.search.control)
        search.end_with(self.search)
        search.plain()
        search.own_values()
        search.weak_values()
        return search

    def finer(self, change: Change) -> Change:
        """The values of a change, told by many elements; the change itself if they tell nothing else."""
        found = [
            s.change for s in self.closer().tried.values() if s.fits and s.change.rule.keys() == change.rule.keys()
        ]
        return found[0] if found else change

    def look_closer(self) -> None:
        """The hyperparameters that many elements tell, where what explains a few of them does not explain the run."""
        if self.search.explained and not self.search.late():
            search = self.closer()
            wrong = {key: s for key, s in self.search.tried.items() if not s.fits}
            self.search.tried = (wrong if search.explained else self.search.tried) | search.tried


def trials(request: Request, rules: Iterable[Rule], claimed: bool) -> list[Trial]:
    """A candidate driven as each of some rules of one kind, where that can be done.

    Rules without state that take and give the same share a run: a candidate is asked once for all of them.

    Args:
        request: what was asked.
        rules: of one kind.
        claimed: True if the candidate claims to be the rule.

    Raises:
        ArgumentError, CandidateError: the candidate cannot be driven as any of them.
    """
    found: list[Trial] = []
    refused: list[Exception] = []
    for rule in rules:
        leader = next((t for t in found if _shares(t, rule)), None)
        try:
            found.append(_driven(request, rule, claimed) if leader is None else _shared(leader, rule))
        except (ArgumentError, CandidateError) as error:
            refused.append(error)
    if not found:
        raise refused[0]
    found = found if claimed else [_of_its_size(trial, request) for trial in found]
    # a candidate that answers as one rule is none as which it often does not
    share = max(t.share for t in found)
    found = [t for t in found if t.share >= ANSWERED * share]
    # of candidates whose state is read, rules with other state are none
    read = [t for t in found if _reads(t)]
    return [*read, *(t for t in found if not t.rule.slots())] if read else found


def _driven(request: Request, rule: Rule, claimed: bool) -> Trial:
    claim = Claim.of(request, rule)
    record = claim.driven(claim.kind.completed(rule, claim.cases()))
    return Trial(claim, record, _search(claim, record, screen_of(claim, record), claimed))


def _of_its_size(trial: Trial, request: Request) -> Trial:
    """A trial as its rule with blocks of another size, where the candidate's outputs have the shapes of these."""
    rule = sized(trial.claim, trial.record)
    if rule is None:
        return trial
    try:
        return _driven(dataclasses.replace(request, rule=rule), rule, False)
    except (ArgumentError, CandidateError):
        return trial


def _search(claim: Claim, record: Record, screen: Screen, claimed: bool) -> Search:
    return Search(screen, claimed, control=functools.cache(lambda: control_of(claim, record)))


def _shares(trial: Trial, rule: Rule) -> bool:
    """True if what a candidate answered as one rule can be judged as another's."""
    kind, record = trial.claim.kind, trial.record
    if kind.stepped or not record.answered:
        return False
    return kind.comparable(trial.told, rule, dataclasses.replace(record, cases=record.cases.only(0)))


def _shared(leader: Trial, rule: Rule) -> Trial:
    """The same answers as another rule's."""
    screen = leader.search.screen
    assert isinstance(screen, RunScreen)
    small = RunScreen(screen.kind, dataclasses.replace(screen.record, rules=[rule]), screen.policy)
    record = dataclasses.replace(leader.record, rules=[rule])
    claim = dataclasses.replace(leader.claim, rule=rule)
    return Trial(claim, record, _search(claim, record, small, leader.search.claimed), shared=True)


def _on_its_own(trial: Trial) -> Trial:
    """A trial that shared the cases of another rule on those of its own, as `verify` has them; itself if it has none."""
    if not trial.shared or trial.claim.request.inputs is not None:
        return trial
    try:
        own = _driven(trial.claim.request, trial.rule, trial.search.claimed)
    except (ArgumentError, CandidateError):
        return trial
    own.search.end_with(trial.search)
    own.search.named()
    return own


def _reads(trial: Trial) -> bool:
    """True if a rule has state, and all of its arrays were read."""
    arrays = [n for n, slot in trial.rule.slots().items() if not slot.scalar]
    return bool(arrays) and getattr(trial.search.screen, "locked", False)


def of_its_shapes(found: list[Trial], request: Request) -> list[Trial]:
    """A claim's trial; as the named variant of the claim that has the shapes of the candidate's outputs, if one is what it is.

    Args:
        found: the trial as the rule that is claimed.
        request: what was asked.
    """
    (trial,) = found
    shaped = variant_of_shapes(trial.claim, trial.record, trial.claim.judge(trial.record), SECONDS)
    if shaped is None:
        return found
    rule = shaped[1].changed(trial.told)
    return trials(dataclasses.replace(request, rule=rule), [rule], True)


def related(found: list[Trial]) -> list[Trial]:
    """Trials as rules with more state than the one that is claimed, where it is not what the candidate is, and they are."""
    (trial,) = found
    trial.search.named()
    if trial.search.exact:
        return []
    return [Trial(each.claim, each.record, each.search) for each in relatives(trial.claim, trial.record)]


def searched(found: list[Trial], seconds: float = math.inf) -> list[Trial]:
    """The trials that come nearest, searched in depth.

    Args:
        found: the trials.
        seconds: of processor time that this may take; not by a clock on the wall, so that a busy machine finds the same.
    """
    limit = time.process_time() + seconds
    for trial in found:
        trial.search.clock, trial.search.limit = time.process_time, limit
        trial.search.plain()
    ranked = _ranked(found)
    if len(ranked) > 1:
        for trial in ranked[: NAMED if ranked[0].claim.kind.stepped else None]:
            trial.search.named()
        ranked = _ranked([_on_its_own(trial) for trial in _ranked(ranked)[: 2 * DEEP]])
        stages: tuple[Callable[[Search], None], ...] = (
            Search.variants,
            Search.numbers,
            Search.own_values,
            Search.weak_values,
        )
        for stage in stages:
            if not ranked[0].search.exact:
                for trial in ranked[: 2 * DEEP]:
                    stage(trial.search)
                ranked = _ranked(ranked)
    for trial in ranked[:DEEP]:
        trial.told_by_more()
    ranked = _ranked(ranked)
    exact = [t for t in ranked if t.search.exact]
    for trial in exact[:1] or ranked[:DEEP] or found[:1]:
        trial.search.run(trial.alternatives, deep=trial is ranked[0] if ranked else True)
        if trial.search.exact:
            break
    return _ranked(exact or ranked[:DEEP] or found[:1]) or found[:1]


def _ranked(found: list[Trial]) -> list[Trial]:
    """The nearest first."""
    with_best = [(t.best, t) for t in found]
    return [
        t
        for best, t in sorted(
            ((b, t) for b, t in with_best if b is not None), key=lambda p: (p[0].rank, p[1].plainness)
        )
    ]
