"""Which change of a claim explains a run: single changes, then recovered values, then combinations of the best.

The search counts what it tries, so that it finds the same on every machine, unless it is given seconds: then what is
likely comes first, and a clock ends it.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from refgrad.arithmetic import rewriting
from refgrad.arithmetic.scalar_math import names_in
from refgrad.oracle.hypotheses import changes
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.recovery import Constants, Recovered, recover
from refgrad.oracle.hypotheses.screen import Counts, Screen
from refgrad.oracle.mutants import Mutation, mutations

#: how many changes go into combinations, and how many mutants hyperparameters are recovered under
BEST, FITTED = 4, 12

_ORDER = {"none": 0, "field": 1, "value": 2, "policy": 3, "mutant": 4}


@dataclass(frozen=True, eq=False)
class Scored:
    """A change and what is outside under it, on the screen."""

    change: Change
    counts: Counts

    @property
    def outside(self) -> int:
        """Elements outside, of all outputs."""
        return sum(c.outside for c in self.counts.values())

    @property
    def wrong(self) -> float:
        """The share of elements outside, averaged over outputs: an output that is right as a whole counts much.

        One that is undecided for the most part is not right.
        """
        shares = [
            (c.outside + c.undecided * (c.undecided > c.inside)) / c.total for c in self.counts.values() if c.total
        ]
        return sum(shares) / len(shares) if shares else 1.0

    @property
    def fits(self) -> bool:
        """Whether nothing is outside, and most of it is decided."""
        decided = all(c.inside >= c.undecided for c in self.counts.values())
        return self.outside == 0 and decided and any(c.total for c in self.counts.values())

    @property
    def rank(self) -> tuple[float, ...]:
        """What comes first: what fits, exactly, and with the fewest changes."""
        c = self.change
        wide = bool(c.policy) or "scalars" in c.rule
        return (not self.fits, self.wrong, c.model, c.precision, c.parts, wide, _ORDER[c.kind])


@dataclass(eq=False)
class Search:
    """The changes of a claim that were tried on a run."""

    screen: Screen
    tried: dict[tuple[str, str], Scored] = field(default_factory=dict)
    #: seconds that `run` may take, about; infinity lets it try all that it has
    seconds: float = math.inf
    #: whether `run` was ended by the clock
    stopped: bool = False
    _end: float = math.inf

    def score(self, candidates: Iterable[Change], end: float | None = None) -> list[Scored]:
        """What was not tried yet, scored, until the clock ends it; what cannot be judged is left out."""
        found = []
        for change in candidates:
            if self.late(end):
                break
            if change.key not in self.tried:
                counts = self.screen.counts(change)
                if counts is not None:
                    self.tried[change.key] = Scored(change, counts)
                    found.append(self.tried[change.key])
        return found

    def late(self, end: float | None = None) -> bool:
        """Whether the time is over, or that until an earlier end."""
        over = time.monotonic() > min(self._end, math.inf if end is None else end)
        self.stopped = self.stopped or over
        return over

    @property
    def ranked(self) -> list[Scored]:
        """All that was tried, best first."""
        return sorted(self.tried.values(), key=lambda s: s.rank)

    @property
    def exact(self) -> bool:
        """Whether something that is not a matter of roundings explains the run."""
        return any(s.fits and not s.change.precision for s in self.tried.values())

    @property
    def explained(self) -> bool:
        """Whether something other than a model of error explains the run."""
        return any(s.fits and not s.change.model for s in self.tried.values())

    @cached_property
    def mutants(self) -> list[Change]:
        """Every mutant of the claim."""
        return [_mutant(m) for m in mutations(self._plans(NONE))]

    @cached_property
    def _used(self) -> set[str]:
        """The names that the claim's scalars read."""
        return {n for plan in self._plans(NONE) for e in plan.graph.scalars() for n in names_in(e)}

    @cached_property
    def _deciding(self) -> set[str]:
        """The names that decide, together with the step or a number of the state, which form the claim's steps take."""
        plans = self._plans(NONE)
        return {n for p in plans for e, _ in p.graph.guards if names_in(e) & set(p.free) for n in names_in(e)}

    def _wholes(self) -> list[Change]:
        """Other whole numbers for hyperparameters that decide which form a step takes and do nothing else."""
        return list(changes.wholes(self.screen.stacks[0].rule, self._deciding - self._used))

    def _plans(self, change: Change) -> list:
        stacks = self.screen.stacks
        return list(
            dict.fromkeys(p for s in stacks[:1] for p in self.screen.plans(s, s.rule.replace(**change.rule), change))
        )

    def named(self) -> None:
        """The claim itself, and its named variants."""
        self.plain()
        if self.screen.stacks:
            self.score(changes.named(self.screen.stacks[0].rule))

    def plain(self) -> None:
        """The claim itself, whatever the time."""
        counts = self.screen.counts(NONE)
        if counts is not None and NONE.key not in self.tried:
            self.tried[NONE.key] = Scored(NONE, counts)

    def variants(self) -> None:
        """Pairs of named variants, and each under another policy."""
        fields = list(changes.named(self.screen.stacks[0].rule))
        pairs = [*itertools.combinations(fields, 2), *itertools.product(fields, changes.policies(self.screen.policy))]
        self.score(c for c in map(_joined, pairs) if c is not None)

    def claimed(self) -> None:
        """The claim with the hyperparameters that the data tell."""
        self._recovered([NONE], thorough=True)

    def run(self, deep: bool = True) -> Search:
        """All of it, until something explains the run; mutants of mutants only if it is to be deep."""
        if not self.screen.stacks:
            return self
        self._end = time.monotonic() + self.seconds
        self.named()
        rule = self.screen.stacks[0].rule
        if not self.tried[NONE.key].fits:
            self.score(changes.policies(self.screen.policy))
        if self.seconds < math.inf and not self.explained:
            self.variants()
        self.score(c for c in changes.factors(rule) if set(c.rule) <= self._used)
        self.score(self._wholes())
        if not self.late():
            # whatever the clock says, half of the time is left for what mutants are combined with
            self.score(self.mutants, (time.monotonic() + self._end) / 2)
        for stage in (self.values, self.combined, self.together):
            if self.explained or self.late():
                break
            stage()
        for stage in (self.mutant_values, self.deeper) if deep else ():
            if any(s.fits for s in self.tried.values()) or self.late():
                break
            stage()
        if not self.late():
            self._measured()
        return self

    def values(self) -> None:
        """The claim and its named variants with the hyperparameters that the data tell."""
        rule = self.screen.stacks[0].rule
        self.claimed()
        if not self.explained:
            zero = [n for n, v in rule.numbers().items() if v == 0.0 and n in rule.legal()]
            on = [
                Change(f"{n} on", f"{n} is not zero", "value", {n: 1e-8 if n.startswith("eps") else 1e-2}) for n in zero
            ]
            variants = list(changes.named(rule))
            wholes = sorted((self.tried[c.key] for c in self._wholes() if c.key in self.tried), key=lambda s: s.rank)
            self._recovered([s.change for s in wholes[:2]], thorough=True)
            self._recovered([*variants, *on], thorough=False)

    def mutant_values(self) -> None:
        """Mutants with the hyperparameters that the data tell."""
        singles = [
            s for s in self.ranked if s.change.kind == "mutant" and s.change.parts == 1 and not s.change.precision
        ]
        self._recovered([s.change for s in singles[:FITTED]], thorough=False)

    def _recovered(self, bases: Iterable[Change], thorough: bool) -> None:
        if importlib.util.find_spec("scipy") is None:
            return
        for base in bases:
            if self.explained or self.late():
                return
            counts = self.screen.counts(base)
            if counts is not None:
                valued = self._valued(base, counts, thorough)
                if valued is not None:
                    self.score([valued])

    def _size(self, base: Change) -> Callable[[str], tuple[int, bool, str]]:
        """How many hyperparameters an output reads, which says in what order they are told: others are known by then."""
        plans = self._plans(base)

        def size(output: str) -> tuple[int, bool, str]:
            cones = [rewriting.cone(p.graph, output) for p in plans if output in p.graph.outputs]
            names = {n for cone in cones for e in cone.scalars() for n in names_in(e)}
            return len(names), output != "p", output

        return size

    def _valued(self, base: Change, counts: Counts, thorough: bool) -> Change | None:
        """A change with other hyperparameters, so that each output that was wrong is right."""
        known: dict[str, float] = {}
        told: list[Recovered] = []
        for output in sorted((o for o, c in counts.items() if c.outside), key=self._size(base)):
            found = recover(self.screen, base, output, known, thorough)
            if found is None:
                return None
            told += found
            known |= {r.name: r.value for r in found if r.determined}
        moved = [r for r in told if r.value != r.claimed]
        if not moved:
            return None
        # a number that was only switched on is told by its value
        told_of = NONE if base.rule and set(base.rule) <= {r.name for r in moved} and not base.mutations else base
        everywhere = dataclasses.replace(
            told_of + _values(moved), rule={**base.rule, **{r.name: r.value for r in moved}}, recovered=tuple(told)
        )
        after = self.screen.counts(everywhere)
        if after is not None and not any(c.outside for c in after.values()):
            return everywhere
        return base + dataclasses.replace(_apart(moved), recovered=tuple(told))

    def _measured(self) -> None:
        """Intervals for a value that was found by a factor."""
        best = self.ranked[0] if self.tried else None
        if best is None or not best.fits or best.change.kind != "value" or best.change.recovered:
            return
        base, wrong = self.tried[NONE.key], best.change.rule
        if importlib.util.find_spec("scipy") is None or not self.screen.locked:
            return
        for output in (o for o, c in base.counts.items() if c.outside):
            told = recover(self.screen, NONE, output)
            if told is not None and {r.name: r.value for r in told if r.value != r.claimed} == dict(wrong):
                measured = dataclasses.replace(best.change, recovered=tuple(told))
                self.tried[measured.key] = Scored(measured, best.counts)
                return

    def combined(self) -> None:
        """For each output that is wrong the changes that right it, put together."""
        base = self.tried[NONE.key]
        options = []
        for output, count in base.counts.items():
            if count.outside:
                options.append(self._righting(output))
        if all(options):
            joined = (_joined(parts) for parts in itertools.islice(itertools.product(*options), 200))
            self.score(c for c in joined if c is not None)

    def _righting(self, output: str) -> list[Change]:
        singles = [s for s in self.tried.values() if s.change.parts == 1 and not s.change.model]
        right = [s for s in singles if output in s.counts and not s.counts[output].outside]
        return [s.change for s in sorted(right, key=lambda s: s.rank)[:BEST]]

    def together(self) -> None:
        """Pairs (and triples with a policy) of the changes that leave the least outside."""
        singles = [s.change for s in self.ranked if s.change.parts == 1 and not s.change.model]
        rounding = [c for c in singles if c.kind == "policy" or "scalars" in c.rule]
        fields = [c for c in singles if c.kind == "field"]
        pairs = [*itertools.combinations(singles[: BEST + 2], 2), *itertools.combinations(fields, 2)]
        self.score(c for c in map(_joined, pairs) if c is not None)
        if not self.explained:
            self.score(c for c in map(_joined, itertools.product(singles[:60], rounding)) if c is not None)
            doubles = [s.change for s in self.ranked if s.change.parts == 2][:BEST]
            self.score(c for c in map(_joined, itertools.product(doubles, rounding + fields)) if c is not None)

    def deeper(self) -> None:
        """Mutants of the best mutants, in the outputs that these leave wrong."""
        best = [s for s in self.ranked if s.change.kind == "mutant" and s.change.parts == 1 and not s.change.precision]
        for scored in best[:BEST]:
            wrong = [o for o, c in scored.counts.items() if c.outside]
            plans = self._plans(scored.change)
            further = (m for m in mutations(plans) if not m.precision and _touches(m, plans, wrong))
            self.score(scored.change + _mutant(m) for m in further)
            if self.explained or self.late():
                return


def _mutant(mutation: Mutation) -> Change:
    return Change(mutation.name, mutation.sentence, "mutant", mutations=(mutation,))


def _joined(parts: Iterable[Change]) -> Change | None:
    """Changes together; None where two of them change one field."""
    whole = NONE
    for part in parts:
        if whole.clashes(part) or part is whole:
            return None
        whole = whole + part
    return whole


def _touches(mutation: Mutation, plans: list, outputs: list[str]) -> bool:
    """Whether a mutation changes one of some outputs."""
    for plan in plans:
        before, after = rewriting.keys(plan.graph), mutation.apply(plan).graph
        numbers = rewriting.keys(after)
        if any(
            before[plan.graph.outputs[o].index] != numbers[after.outputs[o].index]
            for o in outputs
            if o in after.outputs
        ):
            return True
    return False


def _values(moved: list[Recovered]) -> Change:
    values = {r.name: r.value for r in moved}
    text = ", ".join(f"{n}={v:g}" if float(f"{v:g}") == v else f"{n}={v!r}" for n, v in values.items())
    claims = {r.name: r.claimed for r in moved}
    sentence = " and ".join(f"{n} is {values[n]!r}, not {claims[n]!r}" for n in values)
    return Change(text, sentence, "value", values, parts=len(values))


def _apart(moved: list[Recovered]) -> Change:
    """Hyperparameters that differ in some outputs alone."""
    by_output: dict[str, list[Recovered]] = {}
    for r in moved:
        by_output.setdefault(r.output, []).append(r)
    parts = list(_parts(by_output))
    name = ", ".join(f"{r.name}={r.value!r} in {r.output}'" for r in moved)
    sentence = " and ".join(f"{r.name} is {r.value!r}, not {r.claimed!r}, in {r.output}' alone" for r in moved)
    return Change(name, sentence, "mutant", mutations=tuple(parts), parts=len(moved))


def _parts(by_output: dict[str, list[Recovered]]) -> Iterator[Constants]:
    for output, told in by_output.items():
        yield Constants(output, tuple((r.name, r.value) for r in told))
