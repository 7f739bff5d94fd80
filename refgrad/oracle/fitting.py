"""What fits a whole run: exact explanations if there are any, else of the roundings, else models of error; each told once."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator

from refgrad.errors import ArgumentError, CandidateError
from refgrad.oracle.acceptance.findings import Counts
from refgrad.oracle.engine.outcomes import FACT
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.engine.tally import where_none_is_outside
from refgrad.oracle.explanation import Explanation, new_lines
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.equivalence import same
from refgrad.oracle.hypotheses.recovered import vague
from refgrad.oracle.hypotheses.run_screen import UNDEFINED
from refgrad.oracle.hypotheses.scored import Scored, decided
from refgrad.oracle.trials import Trial
from refgrad.rule import Range, short_name

#: explanations that are judged on the whole run, and near ones that are shown
JUDGED, NEAREST = 6, 3
#: hypotheses that are compared with one another, to tell which are one
COMPARED = 48

#: a trial, and a change of its rule
Fit = tuple[Trial, Change]


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """A hypothesis that fits a whole run: a change of the rule of a trial."""

    explanation: Explanation
    trial: Trial
    change: Change


@dataclasses.dataclass(frozen=True, eq=False)
class Fitting:
    """What fits, the simplest first."""

    found: tuple[Found, ...] = ()

    @property
    def explanations(self) -> tuple[Explanation, ...]:
        """The same to be told: of several, each with the doubt that the others fit as well."""
        return _alone(tuple(each.explanation for each in self.found))

    def doubted(self, reason: str) -> Fitting:
        """The same, each with a doubt if it has none."""
        return Fitting(
            tuple(
                dataclasses.replace(
                    f, explanation=dataclasses.replace(f.explanation, doubt=f.explanation.doubt or reason)
                )
                for f in self.found
            )
        )

    @property
    def trial(self) -> Trial | None:
        """That of the first."""
        return self.found[0].trial if self.found else None

    @property
    def change(self) -> Change:
        """That of the first."""
        return self.found[0].change if self.found else NONE


def fitting(searched: list[Trial]) -> Fitting:
    """What fits the whole run, the simplest first; the claim itself, if it does, whatever a search on a small run says."""
    for trial in searched:
        if trial.claims_wholly:
            return Fitting((Found(explanation(trial, NONE, trial.whole), trial, NONE),))
    fits = [(t, s) for t in searched for s in t.search.tried.values() if s.fits]
    fits.sort(key=lambda pair: _order(*pair))
    for eligible in _ELIGIBLE:
        groups = _distinct(_simplest([(t, s.change) for t, s in fits if eligible(s)])[:COMPARED])
        found = _believed([f for f in (_judged(group) for group in groups[:JUDGED]) if f is not None])
        if found:
            return Fitting(tuple(_as_good(found)))
    return Fitting()


def _believed(found: list[Found]) -> list[Found]:
    """The facts, if there are any: what is looser than they are is not told beside them."""
    return [f for f in found if f.explanation.sure == FACT] or found


def _alone(told: tuple[Explanation, ...]) -> tuple[Explanation, ...]:
    """Explanations as they are, if there is one; else each with the doubt that the others fit as well."""
    titles = [e.title for e in told]
    doubts = [f"it is explained as well by {', '.join(t for t in titles if t != e.title)}" for e in told]
    return tuple(
        e if len(told) == 1 or e.doubt else dataclasses.replace(e, doubt=doubt)
        for e, doubt in zip(told, doubts, strict=True)
    )


def _simplest(fits: list[Fit]) -> list[Fit]:
    """Those with the fewest changes, where what fits besides is of no interest; else all."""
    fewest = min((change.parts for trial, change in fits if not trial.exhaustive), default=0)
    return [(trial, change) for trial, change in fits if trial.exhaustive or change.parts <= fewest]


_ELIGIBLE: tuple[Callable[[Scored], bool], ...] = (
    lambda s: not s.loose and not s.change.precision,
    lambda s: not s.loose and not s.change.model,
    lambda s: not s.loose,
    lambda s: not s.change.precision,
    lambda s: not s.change.model,
    lambda s: True,
)


def near_misses(searched: list[Trial]) -> list[Explanation]:
    """The nearest of what does not fit, on the whole run, which the search has seen a part of."""
    scored = [(t, s) for t in searched for s in t.search.tried.values() if not s.change.model]
    best = sorted(scored, key=lambda pair: _order(*pair))[:NEAREST]
    found = [explanation(trial, each.change, trial.counts(each.change) or each.counts) for trial, each in best]
    return sorted(found, key=lambda each: each.outside)


def _order(trial: Trial, scored: Scored) -> tuple[object, ...]:
    """The best first; of rules that explain as much the plainest; where nothing is claimed, the one that decides the most."""
    return (scored.rank, trial.plainness, 0.0 if trial.search.claimed else -scored.decided)


def fitting_alone(trial: Trial, change: Change) -> Found | None:
    """One hypothesis, if it fits the whole run."""
    return _judged([(trial, change)])


def _judged(group: list[Fit]) -> Found | None:
    """The first of hypotheses that are one, if it fits the whole run, with the others as aliases."""
    (trial, change), others = group[0], group[1:]
    counts = trial.explained(change)
    if change.recovered and (counts is None or _outside(trial, change, counts)):
        change = trial.finer(change)
        counts = trial.explained(change)
    if counts is None or _outside(trial, change, counts):
        return None
    best = dataclasses.replace(explanation(trial, change, counts), doubt=_doubt(trial, change))
    names = [_alias(best, t, c) for t, c in others if c.kind != "value" and c.policy == change.policy]
    aliases = tuple(n for n in dict.fromkeys(names) if n != best.title)
    return Found(dataclasses.replace(best, aliases=aliases), trial, change)


def _doubt(trial: Trial, change: Change) -> str:
    """Why a change that fits the whole run is no fact; empty of one beside the claim itself, if that fits too."""
    base = trial.search.tried.get(NONE.key)
    if vague(change.recovered):
        return vague(change.recovered)
    if not change.parts or base is None or base.fits or trial.control is None:
        return ""
    return trial.control.doubt(change)


def _outside(trial: Trial, change: Change, counts: Counts) -> int:
    """The elements of the whole run that a change does not explain."""
    return Scored(change, counts, trial.search.reference(trial.whole)).outside


def _as_good(found: list[Found]) -> Iterator[Found]:
    """The first, and those that decide as much as all that are simpler, and could be told apart from it by other inputs.

    Where a rule explains all, one around it, or one that takes a loss besides, of which nothing shows, is no other
    explanation.
    """
    first, most, usual = found[0], 0.0, None
    for each in found:
        share = decided(each.explanation.counts)
        if share < most or each.trial.besides > first.trial.besides:
            continue
        if each.change.parts > first.change.parts:
            usual = usual or _reference(first) or first.trial
            if usual is not first.trial and _explains(each, usual):
                continue
        most = share
        yield each


def _reference(found: Found) -> Trial | None:
    """The run, on generated inputs, of what was found as refgrad has it itself; None of a rewritten rule, which it has not."""
    rule = found.change.changed(found.trial.told)
    if found.change.mutations or found.change.how:
        return None
    own = found.trial.claim.request
    request = dataclasses.replace(own, candidate=rule, rule=rule, options={}, state_names=None, inputs=None)
    try:
        claim = Claim.of(request)
        return dataclasses.replace(found.trial, claim=claim, record=claim.driven(claim.cases()))
    except (ArgumentError, CandidateError):
        return None


def _explains(found: Found, usual: Trial) -> bool:
    """True if a hypothesis explains a run on generated inputs as well, so that its sets take in what it is not."""
    told = found.trial.told
    rules = [found.change.changed(told)] * len(usual.record.rules)
    try:
        wanted = found.change.wanted(usual.claim.request.policy)
        return where_none_is_outside(usual.claim.kind.outputs(usual.record, rules, wanted)) is not None
    except UNDEFINED:
        return False


def _distinct(pairs: list[Fit]) -> list[list[Fit]]:
    """Hypotheses that are the same function, put together, the simplest first."""
    groups: list[list[Fit]] = []
    for pair in pairs:
        known = next((group for group in groups if _one(group[0], pair)), None)
        if known is None:
            groups.append([pair])
        else:
            known.append(pair)
    return groups


def _one(first: Fit, second: Fit) -> bool:
    """True if two hypotheses are one: the same, one interval of a value, or a rule at hyperparameters of another."""
    (trial, a), (other, b) = first, second
    if trial is other:
        interval = a.kind == b.kind == "value" and a.rule.keys() == b.rule.keys() and _continuous(trial, a)
        roundings = a.policy != b.policy and (a.rule, a.mutations) == (b.rule, b.mutations)
        return interval or roundings or trial.search.screen.same(a, b)
    if not trial.claim.kind.stepped:
        return same((trial.told, a), (other.told, b))
    return any(_special(x, y) for x, y in ((first, second), (second, first)))


def _continuous(trial: Trial, change: Change) -> bool:
    """True if a change is of one hyperparameter that may be any number of a range."""
    return len(change.rule) == 1 and isinstance(trial.told.range_of(next(iter(change.rule))), Range)


def _special(general: Fit, special: Fit) -> bool:
    """True if one rule is the other at the hyperparameters that the candidate was told for it."""
    (trial, a), (other, b) = general, special
    try:
        told = b.changed(other.told).numbers()
        shared = {n: v for n, v in told.items() if n in trial.told.numbers() and n not in a.rule}
        at = trial.told.replace(**shared)
    except (ArgumentError, ArithmeticError):
        return False
    return same((at, a), (other.told, b), trial.record.cases.arrays[0][trial.told.primary].ndim)


def _alias(best: Explanation, trial: Trial, change: Change) -> str:
    changed = change.changed(trial.told)
    title = explanation(trial, change, {}).title
    if best.rule.partition("(")[0] == short_name(type(changed)):
        return title
    zero = [n for n, v in changed.numbers().items() if v == 0.0 and n == "weight_decay"]
    return f"{title}, at {zero[0]}=0" if zero else title


def explanation(trial: Trial, change: Change, counts: Counts) -> Explanation:
    """A change with what is outside under it."""
    return Explanation(
        str(change.changed(trial.told)).removesuffix("()"),
        " and ".join(change.besides),
        change.sentence,
        change.kind,
        change.model,
        counts,
        recovered=change.recovered,
        formula=_formula(trial, change),
    )


def _formula(trial: Trial, change: Change) -> tuple[str, ...]:
    """The lines of the formula, of the last step if there are steps, that a rewrite changed."""
    if not change.mutations:
        return ()
    screen = trial.search.screen
    after = screen.plans(change)
    before = screen.plans(dataclasses.replace(change, mutations=()))
    return new_lines(before[-1], after[-1]) if before and after else ()
