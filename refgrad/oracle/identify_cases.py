"""`identify` for rules without state: estimators, quantizers and masks.

A candidate is asked once, on a few arrays; every hypothesis of the same signature is judged on what it answered: rules, their
named variants, other hyperparameters (whole numbers one by one, others by how far the values lie outside), and mutants of
the rule's own graph. What explains all of it is judged again on many arrays, and only then named.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.errors import ArgumentError, CandidateError, bad_argument
from refgrad.oracle import identification as i
from refgrad.oracle.acceptance.findings import Count
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.asked import ASKED, Asked
from refgrad.oracle.engine.environment import environment
from refgrad.oracle.hypotheses import changes
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.identification import Explanation, Identification
from refgrad.oracle.mutants import CASE_REWRITES, mutations
from refgrad.rule import Rule, Whole, rules, short_name

#: explanations that are judged on many arrays; rules whose mutants are tried; near ones that are shown
JUDGED, DEEP, NEAREST = 8, 2, 3
#: whole numbers around a claim that are tried, at most
WHOLES = 16
#: a number is looked for over so many powers of two on either side, in so many steps, and then so finely
OCTAVES, FINE = 8, 40


@dataclass(frozen=True, eq=False)
class Scored:
    """A hypothesis: a rule with a change, and what is outside under it."""

    rule: Rule
    change: Change
    counts: Mapping[str, Count]

    @property
    def changed(self) -> Rule:
        """The rule with the fields of the change."""
        return self.rule.replace(**self.change.rule) if self.change.rule else self.rule

    @property
    def outside(self) -> int:
        """Elements outside, of all results."""
        return sum(c.outside for c in self.counts.values())

    @property
    def fits(self) -> bool:
        """Whether nothing is outside, and most of it is decided."""
        decided = all(c.inside >= c.undecided for c in self.counts.values())
        return self.outside == 0 and decided and any(c.total for c in self.counts.values())

    def rank(self, claim: Rule | None) -> tuple[float, ...]:
        """What comes first: what fits, with the fewest changes of what was claimed."""
        shares = [c.outside / c.total for c in self.counts.values() if c.total]
        order = {"none": 0, "field": 1, "value": 2, "mutant": 3}[self.change.kind]
        other = claim is not None and type(self.rule) is not type(claim)
        wrong = sum(shares) / max(len(shares), 1)
        return (not self.fits, wrong, self.change.precision, other, self.change.parts, order)

    @property
    def undecided(self) -> int:
        """Elements that could not be decided."""
        return sum(c.undecided for c in self.counts.values())


@dataclass(eq=False)
class Search:
    """What a candidate answered, as a rule of some kind, and the hypotheses that were judged on it."""

    asked: Asked
    claim: Rule
    policy: Policy
    tried: dict[tuple[Rule, tuple[str, str]], Scored] = field(default_factory=dict)

    def score(self, hypotheses: Iterable[tuple[Rule, Change]]) -> None:
        """Judge what was not tried; what cannot be judged is left out."""
        for rule, change in hypotheses:
            if (rule, change.key) not in self.tried:
                counts = self.asked.counts(rule, change, self.policy)
                if counts is not None:
                    self.tried[rule, change.key] = Scored(rule, change, counts)

    def ranked(self, claim: Rule | None) -> list[Scored]:
        """All that was tried, best first."""
        return sorted(self.tried.values(), key=lambda s: s.rank(claim))

    @property
    def explained(self) -> bool:
        """Whether something explains all that was seen."""
        return any(s.fits for s in self.tried.values())

    def named(self, rule: Rule) -> list[Change]:
        """A rule's named variants."""
        return list(changes.named(rule))

    def run(self, others: Sequence[Rule], claimed: bool) -> None:
        """Rules and variants, then numbers, then pairs, then mutants, until something explains it."""
        self.score((rule, NONE) for rule in others)
        self.score((rule, c) for rule in others for c in self.named(rule))
        near = self._near(others, claimed)
        stages: tuple[Any, ...] = (self._wholes, self._pairs, self._numbers, self._mutants, self._variants_with_numbers)
        for stage in stages:
            if self.explained:
                return
            for rule in near:
                stage(rule)

    def _near(self, others: Sequence[Rule], claimed: bool) -> list[Rule]:
        ranked = [s.rule for s in self.ranked(self.claim if claimed else None)]
        first = [self.claim] if claimed else []
        return list(dict.fromkeys(first + ranked))[:DEEP]

    def _wholes(self, rule: Rule) -> None:
        for name, legal in rule.legal().items():
            if isinstance(legal, Whole):
                claimed = getattr(rule, name)
                low = max(legal.low, claimed - WHOLES // 2)
                high = low + WHOLES if legal.high is None else min(legal.high, low + WHOLES)
                self.score((rule, _value({name: v}, rule)) for v in range(low, high + 1) if v != claimed)

    def _pairs(self, rule: Rule) -> None:
        singles = [s.change for s in self.ranked(None) if s.rule == rule and s.change.parts == 1]
        pairs = ((a, b) for a, b in itertools.combinations(singles[:12], 2) if not a.clashes(b))
        self.score((rule, a + b) for a, b in pairs)

    def _numbers(self, rule: Rule) -> None:
        self.score((rule, c) for c in changes.factors(rule))
        for name, value in rule.numbers().items():
            if self.explained:
                return
            found = self.asked.recovered(rule, name, value, self.policy)
            if found is not None:
                self.score([(rule, dataclasses.replace(_value({name: found.value}, rule), recovered=(found,)))])

    def _mutants(self, rule: Rule) -> None:
        self.score((rule, c) for c in self.mutants(rule))

    def mutants(self, rule: Rule) -> list[Change]:
        """Every mutant of a rule's own graph, if it has one."""
        plan = self.asked.plan(rule)
        if plan is None:
            return []
        return [Change(m.name, m.sentence, "mutant", mutations=(m,)) for m in mutations([plan], CASE_REWRITES)]

    def _variants_with_numbers(self, rule: Rule) -> None:
        for change in self.named(rule):
            changed = rule.replace(**change.rule)
            for name, value in changed.numbers().items():
                if self.explained:
                    return
                found = self.asked.recovered(changed, name, value, self.policy)
                if found is not None:
                    told = dataclasses.replace(_value({name: found.value}, rule), recovered=(found,))
                    self.score([(rule, change + told)])


def _value(values: Mapping[str, Any], rule: Rule) -> Change:
    text = ", ".join(f"{n}={v!r}" for n, v in values.items())
    sentence = " and ".join(f"{n} is {v!r}, not {rule.hyperparameters()[n]!r}" for n, v in values.items())
    return Change(text, sentence, "value", dict(values))


def identify(
    candidate: Any,
    claim: Rule | str,
    *,
    steps: int,
    dtype: np.dtype,
    seed: int,
    policy: Policy,
    inputs: Any,
    options: Mapping[str, Any],
    time_limit: float,
) -> Identification:
    """Name what a candidate computes that claims to be a rule, or to be of a kind of rules, given by its name."""
    kind = claim if isinstance(claim, str) else claim.kind
    if kind not in ASKED:
        raise bad_argument("rule", claim, f"a rule, or one of {', '.join(map(repr, ASKED))}")
    every = [cls() for cls in rules().values() if cls.kind == kind]
    claims = every if isinstance(claim, str) else [claim]
    search, refused = None, []
    for each in claims:
        try:
            asked = ASKED[kind].ask(candidate, options, each, dtype, seed, inputs, time_limit)
        except (ArgumentError, CandidateError) as error:
            refused.append(error)
            continue
        if asked.answers or search is None:
            search = Search(asked, each, policy)
        if asked.answers:
            break
    if search is None:
        raise refused[0]
    claimed = not isinstance(claim, str)
    others = [search.claim, *(r for r in every if type(r) is not type(search.claim) and search.asked.alike(r))]
    if search.asked.answers:
        search.run(others, claimed)
    return _identification(search, claim if claimed else None, others, steps, seed)


def _identification(search: Search, claim: Any, others: Sequence[Rule], steps: int, seed: int) -> Identification:
    explanations = tuple(_explanations(search, claim))
    ranked = search.ranked(claim)
    nearest = () if explanations else tuple(_explained(search, s, s.counts) for s in ranked[:NEAREST])
    shown = claim if claim is not None else (ranked[0].rule if ranked else search.claim)
    itself = search.asked.many.counts(shown, NONE, search.policy) if ranked else None
    return Identification(
        outcome=i.outcome_of(explanations, bool(ranked)),
        candidate=search.asked.name,
        claim=None if claim is None else str(claim),
        explanations=explanations,
        nearest=nearest,
        itself=None if itself is None else Explanation(str(shown).removesuffix("()"), "", "", "none", False, itself),
        rules=tuple(short_name(type(r)) for r in others),
        hypotheses=len(search.tried),
        mode="case by case",
        steps=len(search.asked.many.answers),
        dtype=str(search.asked.dtype),
        seed=seed,
        faults=tuple(search.asked.faults),
        environment=environment(),
    )


def _explanations(search: Search, claim: Any) -> Iterator[Explanation]:
    """What fits on many arrays as well; what computes the same is one, with aliases."""
    groups: list[tuple[Scored, list[Scored]]] = []
    fits = [s for s in search.ranked(claim) if s.fits]
    # what changes roundings alone, or leaves undecided what the simplest explanation decides, explains less
    fits = [s for s in fits if s.change.precision <= fits[0].change.precision and s.undecided <= fits[0].undecided]
    fewest = min((s.change.parts for s in fits), default=0)
    for scored in [s for s in fits if s.change.parts <= fewest][: JUDGED * 3]:
        known = next((g for g in groups if search.asked.same(g[0], scored)), None)
        if known is not None:
            known[1].append(scored)
        elif len(groups) < JUDGED:
            groups.append((scored, []))
    for scored, aliases in groups:
        counts = search.asked.many.counts(scored.rule, scored.change, search.policy)
        if counts is not None and not sum(c.outside for c in counts.values()):
            best = _explained(search, scored, counts)
            names = [_explained(search, s, {}).title for s in aliases]
            yield dataclasses.replace(best, aliases=tuple(n for n in dict.fromkeys(names) if n != best.title))


def _explained(search: Search, scored: Scored, counts: Mapping[str, Count]) -> Explanation:
    change = scored.change
    return Explanation(
        str(scored.changed).removesuffix("()"),
        " and ".join(m.name for m in change.mutations),
        change.sentence,
        "value" if type(scored.rule) is not type(search.claim) and change.kind == "none" else change.kind,
        change.model,
        counts,
        recovered=change.recovered,
        formula=_formula(search, scored),
    )


def _formula(search: Search, scored: Scored) -> tuple[str, ...]:
    """The lines of the formula that a rewrite changed."""
    plan = search.asked.plan(scored.changed) if scored.change.mutations else None
    if plan is None:
        return ()
    return i.new_lines(plan, scored.change.rewritten(plan))
