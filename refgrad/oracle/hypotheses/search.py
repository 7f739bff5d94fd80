"""Which change of a claim explains a run: single changes, then recovered values, other rules, mutants, and combinations.

The search counts what it tries, so that it finds the same on every machine, unless it is given seconds: then what is
likely comes first, no stage takes more than half of the time that is left, and a clock ends it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from refgrad.arithmetic import rewriting
from refgrad.arithmetic.scalar_math import names_in
from refgrad.oracle.acceptance.findings import Count, Counts
from refgrad.oracle.hypotheses import changes
from refgrad.oracle.hypotheses.changes import NONE, Change, joined
from refgrad.oracle.hypotheses.control import Control
from refgrad.oracle.hypotheses.protocol import Screen
from refgrad.oracle.hypotheses.scored import Scored
from refgrad.oracle.hypotheses.valued import valued
from refgrad.oracle.mutants import CASE_FURTHER, CASE_REWRITES, FURTHER, REWRITES, STEP_FURTHER, Mutation, mutations
from refgrad.signals import pass_on
from refgrad.tracing import Plan

#: how many changes go into combinations, how many named variants into pairs, under how many mutants numbers are recovered
BEST, PAIRED, FITTED = 4, 16, 12
#: what leaves at most this share of what the claim leaves outside is nearly right: another convention may be all that is missing
NEARLY = 1 / 4


@dataclass(eq=False)
class Search:
    """The changes of a claim that were tried on a run."""

    screen: Screen
    #: True if the candidate claims to be the rule, so that other rules are worth a look, and must decide what it decides
    claimed: bool = True
    #: seconds that `run` may take, about; infinity lets it try all that it has
    seconds: float = math.inf
    #: gives the claimed rule itself on the same cases: what fits this as well explains nothing, and ends no search
    control: Callable[[], Control | None] = lambda: None
    #: what tells the time, and the time after which nothing more is tried, whoever asks
    clock: Callable[[], float] = time.monotonic
    limit: float = math.inf
    tried: dict[tuple[str, str], Scored] = field(default_factory=dict)
    #: True if a clock ended `run`, or a stage of it
    stopped: bool = False
    #: what failed on the way, a sentence each
    failures: list[str] = field(default_factory=list)
    _claim: Counts = field(default_factory=dict)
    _weak: list[Change] = field(default_factory=list)
    _refuted: list[Change] = field(default_factory=list)
    _began: float = math.inf
    _end: float = math.inf
    _until: float = math.inf

    def run(self, alternatives: bool = True, deep: bool = True) -> Search:
        """All of it, until something explains the run.

        Args:
            alternatives: True to try all single changes though something explains the run already.
            deep: True to go on to mutants with other numbers, and mutants of mutants.
        """
        self.start()
        for needed, stage in self._stages(alternatives, deep):
            now = self.clock()
            self._until = now + (self._end - now) / 2
            if not self.late() and needed():
                self._guarded(stage)
        self._end = self._until = math.inf
        return self

    def beyond(self, seconds: float) -> Search:
        """Go on for some seconds after what fits was refuted elsewhere; it no longer counts, nor what includes it."""
        for key, scored in self.tried.items():
            if scored.fits and scored.change.parts:
                self.tried[key] = dataclasses.replace(scored, loose=True)
                self._refuted.append(scored.change)
        self.seconds = seconds
        return self.run(alternatives=False)

    def singles(self) -> Search:
        """All single changes of the claim, likely ones first, as long as there is time."""
        self._end = self.clock() + self.seconds
        for stage in (self.named, self.told, self.policies, self.numbers, self.mutants, self.further):
            self._guarded(stage)
        self._end = math.inf
        return self

    def start(self) -> None:
        """The clock started, unless it runs already, and the claim itself judged, whatever the time."""
        if self._end == math.inf:
            self._began = self.clock()
            self._end = self._began + self.seconds
        self.plain()

    def end_with(self, other: Search) -> None:
        """The same end as another search's, by the same clock."""
        self.clock, self.limit = other.clock, other.limit

    @contextlib.contextmanager
    def hurried(self, share: float) -> Iterator[None]:
        """What is tried within takes no more than a share of the time that is left."""
        now = self.clock()
        self._until = now + share * (self._end - now)
        try:
            yield
        finally:
            self._until = math.inf
            self.stopped = False

    def _stages(self, alternatives: bool, deep: bool) -> list[tuple[Callable[[], bool], Callable[[], None]]]:
        """What is tried after the claim itself, each with what says that it is needed."""
        always, inexact, unexplained = lambda: True, lambda: not self.exact, lambda: not self.explained
        singles = lambda: alternatives or not self.exact  # noqa: E731
        unfitting = lambda: deep and not any(s.fits and not s.loose for s in self.tried.values())  # noqa: E731
        return [
            (always, self.named),
            (inexact, self.told),
            (inexact, self.policies),
            (singles, self.numbers),
            (unexplained, self.variants),
            (unexplained, self.own_values),
            (unexplained, self.rules),
            (singles, self.mutants),
            (unexplained, self.beside),
            (unexplained, self.further),
            (unexplained, self.weak_values),
            (unexplained, self.values),
            (unexplained, self.combined),
            (unexplained, self.together),
            (unfitting, self.mutant_values),
            (unfitting, self.deeper),
            (always, self.measured),
        ]

    # what was found

    def score(self, candidates: Iterable[Change]) -> list[Scored]:
        """What was not tried yet, scored, until the clock ends it; what cannot be judged is left out."""
        found = []
        for change in candidates:
            if self.late():
                break
            if change.key not in self.tried:
                counts = self._guarded(lambda c=change: self.screen.counts(c))  # type: ignore[misc]
                if counts is not None:
                    found.append(self._controlled(Scored(change, counts, self._claim)))
                    self.tried[change.key] = found[-1]
        return found

    def _controlled(self, scored: Scored) -> Scored:
        """What was scored, marked as loose if it fits the candidate, which the claim does not, and the claimed rule too."""
        base = self.tried.get(NONE.key)
        if not scored.fits or not scored.change.parts or base is None or base.fits:
            return scored
        if any(scored.change.includes(refuted) for refuted in self._refuted):
            return dataclasses.replace(scored, loose=True)
        control = self._guarded(self.control)
        loose = control is not None and self._guarded(lambda: control.may_fit(scored.change, self.screen))
        return dataclasses.replace(scored, loose=bool(loose))

    def _guarded(self, action: Callable[[], Any]) -> Any:
        """What an action gives; None if it fails, which costs one hypothesis or one stage, and not the search."""
        try:
            return action()
        except Exception as error:  # whatever it is, what was seen is judged without it
            pass_on(error)
            self.failures.append(f"a hypothesis could not be tried: {type(error).__name__}: {error}")
            return None

    def spent(self) -> bool:
        """True if the search began so long ago that its time is over, though it ended before."""
        return self.clock() > self._began + self.seconds

    def extend(self, seconds: float) -> None:
        """Time for what is looked at after the search: it is not spent for some seconds more."""
        self.seconds = max(self.seconds, self.clock() - self._began + seconds)

    def late(self) -> bool:
        """True if the time of the search, or of its present stage, is over."""
        over = self.clock() > min(self._end, self._until, self.limit)
        self.stopped = self.stopped or over
        return over

    @property
    def ranked(self) -> list[Scored]:
        """All that was tried, best first."""
        return sorted(self.tried.values(), key=lambda s: s.rank)

    @property
    def exact(self) -> bool:
        """True if something that is not a matter of roundings explains the run."""
        return any(s.fits and not s.loose and not s.change.precision for s in self.tried.values())

    @property
    def explained(self) -> bool:
        """True if something other than a model of error explains the run."""
        return any(s.fits and not s.loose and not s.change.model for s in self.tried.values())

    # the stages

    def plain(self) -> None:
        """The claim itself, whatever the time."""
        if NONE.key not in self.tried:
            counts = self.screen.counts(NONE)
            if counts is not None:
                self._claim = self.reference(counts)
                self.tried[NONE.key] = Scored(NONE, counts, self._claim)

    def reference(self, counts: Counts) -> Counts:
        """What a hypothesis must decide, from what the claim itself decides: where nothing is claimed, all that it judges."""
        return counts if self.claimed else {name: Count(inside=c.total) for name, c in counts.items()}

    def named(self) -> None:
        """The claim itself, its named variants, and the departures of its kind."""
        self.plain()
        self.score(self._fields())

    def _fields(self) -> list[Change]:
        rule = self.screen.rule
        return [*changes.departures(rule, self.screen.kind), *changes.named(rule)]

    def told(self) -> None:
        """Departures of its kind whose numbers the run tells."""
        self.score(self.screen.told_by_run())

    def policies(self) -> None:
        """Other policies."""
        self.score(self.screen.policies())

    def variants(self) -> None:
        """Pairs of named variants, and each under another policy."""
        order = {s.change.key: i for i, s in enumerate(self.ranked)}
        fields = sorted(self._fields(), key=lambda c: order.get(c.key, len(order)))[:PAIRED]
        self._join([*itertools.combinations(fields, 2), *itertools.product(fields, self.screen.policies())])

    def numbers(self) -> None:
        """Hyperparameters off by a factor, zero or squared, and other whole numbers."""
        self.score(c for c in changes.factors(self.screen.rule) if set(c.rule) <= self.screen.used())
        self.score(self._wholes())

    def own_values(self) -> None:
        """The claim with the hyperparameters that the data tell."""
        found = self._valued(NONE, thorough=True)
        if found is None:
            return
        moved = [r for r in found.recovered if r.value != r.claimed]
        if found.kind == "value" and all(r.determined for r in moved):
            self.score([found])
        else:
            self._weak.append(found)

    def weak_values(self) -> None:
        """The same where values may be anything, or are others in one output alone: a mutant that fits explains more."""
        self.score(self._weak)

    def rules(self) -> None:
        """Other rules that the run could be judged as, and their named variants."""
        if self.claimed:
            others = sorted(self.score(changes.others(self.screen.rule)), key=lambda s: s.rank)
            near = [s.change for s in others[:PAIRED]]
            if not self.explained:
                self.score(other + c for other in near if other.of is not None for c in changes.named(other.of))

    def mutants(self) -> None:
        """Every mutant of the claim."""
        self.score(self._mutants)
        self.score(changes.rewritten(self.screen.rule, self.screen.kind))

    def beside(self) -> None:
        """What is nearly right with each named variant: a harmless convention beside a fault."""
        base = self.tried.get(NONE.key)
        if base is not None:
            most = base.wrong * NEARLY
            singles = [s for s in self.ranked if s.change.parts == 1 and not s.change.model and s.wrong <= most]
            pairs = itertools.product([s.change for s in singles[:BEST]], self._fields()[:PAIRED])
            self.score(c for change, variant in pairs for c in self._under(variant, change))

    def further(self) -> None:
        """Mutants that few programs are."""
        few = STEP_FURTHER if self.screen.kind.stepped else (*CASE_FURTHER, *FURTHER)
        self.score(_mutant(m) for m in mutations(self.screen.plans(NONE), few))

    def values(self) -> None:
        """Other whole numbers, and the claim's named variants, with the hyperparameters that the data tell."""
        rule = self.screen.rule
        wholes = sorted((self.tried[c.key] for c in self._wholes() if c.key in self.tried), key=lambda s: s.rank)
        self._recovered([s.change for s in wholes[:2]], thorough=True)
        order = {s.change.key: i for i, s in enumerate(self.ranked)}
        fields = sorted(changes.named(rule), key=lambda c: order.get(c.key, len(order)))[:PAIRED]
        self._recovered([*fields, *self.screen.switched_on()], thorough=False)

    def combined(self) -> None:
        """For each output that is wrong the changes that right it, put together."""
        base = self.tried.get(NONE.key)
        wrong = [o for o, c in base.counts.items() if c.outside] if base else []
        options = [self._righting(output) for output in wrong]
        if all(options):
            self._join(itertools.islice(itertools.product(*options), 200))

    def together(self) -> None:
        """Pairs (and triples with a policy) of the changes that leave the least outside."""
        singles = [s.change for s in self.ranked if s.change.parts == 1 and not s.change.model]
        rounding = [c for c in singles if c.kind == "policy" or "scalars" in c.rule]
        fields = [c for c in singles if c.kind == "field"]
        best = singles[: BEST * 3]
        few = itertools.product(singles[:BEST], fields)
        self._join([*itertools.combinations(best, 2), *few, *itertools.combinations(fields[:PAIRED], 2)])
        if not self.explained:
            self._join(itertools.product(singles[:60], rounding))
            doubles = [s.change for s in self.ranked if s.change.parts == 2][:BEST]
            self._join(itertools.product(doubles, rounding + fields))

    def mutant_values(self) -> None:
        """Mutants with the hyperparameters that the data tell."""
        self._recovered([s.change for s in self._single_mutants()[:FITTED]], thorough=False)

    def deeper(self) -> None:
        """Mutants of the best mutants, in the outputs that these leave wrong."""
        for scored in self._single_mutants()[:BEST]:
            wrong = [o for o, c in scored.counts.items() if c.outside]
            plans = self.screen.plans(scored.change)
            further = (m for m in mutations(plans, self._rewrites) if not m.precision and _touches(m, plans, wrong))
            self.score(scored.change + _mutant(m) for m in further)
            if self.explained or self.late():
                return

    def measured(self) -> None:
        """Intervals for a value that was found by a factor."""
        best, base = next(iter(self.ranked), None), self.tried.get(NONE.key)
        if best is None or base is None or not best.fits or best.change.kind != "value" or best.change.recovered:
            return
        found = valued(self.screen, NONE, base.counts, True, self.late, best.change.rule)
        if found is not None and dict(found.rule) == dict(best.change.rule):
            change = dataclasses.replace(best.change, recovered=found.recovered)
            self.tried[change.key] = Scored(change, best.counts, self._claim)

    # what they are made of

    @property
    def _rewrites(self) -> tuple:
        return REWRITES if self.screen.kind.stepped else CASE_REWRITES

    @cached_property
    def _mutants(self) -> list[Change]:
        return [_mutant(m) for m in mutations(self.screen.plans(NONE), self._rewrites)]

    def _under(self, variant: Change, change: Change) -> Iterator[Change]:
        """A change together with a named variant; of a mutant those of the variant by the same rewrites."""
        if not change.mutations:
            both = joined((change, variant))
            yield from [] if both is None else [both]
            return
        rewrites = tuple(m.rewrite for m in change.mutations if isinstance(m, Mutation))
        yield from (variant + _mutant(m) for m in mutations(self.screen.plans(variant), rewrites))

    def _single_mutants(self) -> list[Scored]:
        return [s for s in self.ranked if s.change.kind == "mutant" and s.change.parts == 1 and not s.change.precision]

    def _wholes(self) -> list[Change]:
        """Other whole numbers, of hyperparameters too that decide which form a step takes and do nothing else."""
        plans = self.screen.plans(NONE)
        deciding = {n for p in plans for e, _ in p.graph.guards if names_in(e) & set(p.free) for n in names_in(e)}
        valued_ = {n for plan in plans for e in plan.graph.scalars() for n in names_in(e)}
        return list(changes.wholes(self.screen.rule, deciding - valued_))

    def _righting(self, output: str) -> list[Change]:
        """The best single changes under which nothing of an output is outside."""
        singles = [s for s in self.ranked if s.change.parts == 1 and not s.change.model and not s.change.of]
        return [s.change for s in singles if output in s.counts and not s.unexplained(output)][:BEST]

    def _join(self, many: Iterable[Iterable[Change]]) -> None:
        self.score(c for c in map(joined, many) if c is not None)

    def _recovered(self, bases: Iterable[Change], thorough: bool) -> None:
        for base in bases:
            if self.explained or self.late():
                return
            found = self._valued(base, thorough)
            if found is not None:
                self.score([found])

    def _valued(self, base: Change, thorough: bool) -> Change | None:
        counts = None if self.explained or self.late() else self.screen.counts(base)
        return None if counts is None else valued(self.screen, base, counts, thorough, self.late)


def _mutant(mutation: Mutation) -> Change:
    return Change(mutation.name, mutation.sentence, "mutant", mutations=(mutation,))


def _touches(mutation: Mutation, plans: list[Plan], outputs: list[str]) -> bool:
    """True if a mutation changes one of some outputs, or what one is made of, as codes are of a slot."""
    for plan in plans:
        before, after = rewriting.keys(plan.graph), mutation.apply(plan).graph
        numbers = rewriting.keys(after)
        own = {o.partition(".")[0] for o in outputs} & plan.graph.outputs.keys() & after.outputs.keys()
        if any(before[plan.graph.outputs[o].index] != numbers[after.outputs[o].index] for o in own):
            return True
    return False
