"""`identify`: what is this implementation?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from refgrad.candidates.protocol import Candidate
from refgrad.candidates.resolve import resolve
from refgrad.errors import ArgumentError, CandidateError, bad_argument, nearest
from refgrad.optimizers.base import Optimizer
from refgrad.oracle import identification as i
from refgrad.oracle import identify_cases
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.drive import Record, drive
from refgrad.oracle.engine.environment import environment
from refgrad.oracle.engine.joint_leaf import joined
from refgrad.oracle.engine.steps import judge_record
from refgrad.oracle.engine.time_limit import TIME_LIMIT, check_time_limit
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.hypotheses.equivalence import same
from refgrad.oracle.hypotheses.screen import Screen, small_run
from refgrad.oracle.hypotheses.search import Scored, Search
from refgrad.oracle.identification import Explanation, Identification
from refgrad.oracle.inputs.cases import Inputs
from refgrad.oracle.inputs.steps import completed, generate
from refgrad.oracle.verify import as_dtype
from refgrad.rule import Rule, rules, short_name
from refgrad.tracing import free_values

#: the kind of rules with a state
OPTIMIZER = "optimizer"
#: how many rules are tried with their variants, and searched in depth; explanations judged on the whole run; near ones shown
NAMED, DEEP, JUDGED, NEAREST = 12, 3, 6, 3
#: elements of each leaf that tell a hyperparameter that a few did not tell finely enough
FINE = 2048


def identify(
    candidate: Any,
    rule: Any = None,
    *,
    steps: int = 10,
    dtype: Any = None,
    seed: int = 0,
    policy: Policy | Mapping[str, Any] | None = None,
    inputs: Inputs | None = None,
    options: Mapping[str, Any] | None = None,
    time_limit: float = TIME_LIMIT,
) -> Identification:
    """Name what a candidate computes: a rule, a named variant, a rule with other hyperparameters, or with a fault.

    Args:
        candidate: as for `refgrad.verify`.
        rule: the rule that it claims to be, an instance or a class; by default every optimizer that fits its state. A kind
            of rules, "optimizer", "estimator", "quantizer" or "mask", for every rule of that kind that gives what the
            candidate gives.
        steps: how many steps are taken.
        dtype: the dtype of the parameters; by default the one that the rule keeps them in, float32 for most and for a kind.
        seed: of the generated inputs.
        policy: what counts as correct.
        inputs: your own in place of generated ones.
        options: extra keyword arguments for the candidate's constructor.
        time_limit: seconds that building the candidate, or one step of it, may take.

    Returns:
        What explains all that was seen, or the nearest that is known.

    Raises:
        ArgumentError: an argument is not legal.
        CandidateError: the candidate cannot be found, or cannot be run as any rule that was asked for.
    """
    rule = rule() if isinstance(rule, type) and issubclass(rule, Rule) else rule
    dtype = as_dtype(dtype if dtype is not None else rule.kept_in if isinstance(rule, Rule) else "float32")
    without_state = _without_state(candidate, rule)
    if without_state is not None:
        return identify_cases.identify(
            candidate,
            without_state,
            steps=steps,
            dtype=dtype,
            seed=seed,
            policy=Policy.of(policy),
            inputs=inputs,
            options=dict(options or {}),
            time_limit=check_time_limit(time_limit),
        )
    if not isinstance(inputs, Inputs | None):
        raise bad_argument("inputs", inputs, "refgrad.Inputs, or None")
    claims = _claims(rule)
    subject = resolve(candidate, options)
    given = inputs if inputs is not None else generate(steps, dtype, seed)
    limit = check_time_limit(time_limit)
    trials = _trials(subject, claims, given, Policy.of(policy), limit)
    searched = _searched(trials)
    return _identification(subject, rule, trials, searched)


def _without_state(candidate: Any, rule: Any) -> Rule | str | None:
    """The claim, where it is one of a rule without state, or of a kind of such rules; None for an optimizer's."""
    if isinstance(rule, str):
        kinds = (OPTIMIZER, *identify_cases.ASKED)
        if rule not in kinds:
            legal = "a rule such as refgrad.optimizers.AdamW(lr=1e-3), or one of " + ", ".join(map(repr, kinds))
            raise ArgumentError(f"rule is {rule!r}{nearest(rule, kinds)}; legal: {legal}")
        return None if rule == OPTIMIZER else rule
    if rule is None and isinstance(candidate, Rule) and candidate.kind in identify_cases.ASKED:
        return candidate.kind
    return rule if isinstance(rule, Rule) and rule.kind in identify_cases.ASKED else None


def _claims(rule: Any) -> list[Optimizer]:
    if rule is None or rule == OPTIMIZER:
        return [cls() for cls in rules(Optimizer).values() if issubclass(cls, Optimizer)]
    if not isinstance(rule, Optimizer):
        kinds = ", ".join((OPTIMIZER, *identify_cases.ASKED))
        raise bad_argument("rule", rule, f"a rule of these kinds: {kinds}; or None")
    return [rule]


@dataclass(eq=False)
class _Trial:
    """A candidate run as if it were a rule, and the search for what it is instead."""

    rule: Optimizer
    record: Record
    policy: Policy
    search: Search

    @property
    def best(self) -> Scored | None:
        """The best of what was tried."""
        return self.search.ranked[0] if self.search.tried else None

    @property
    def ndim(self) -> int:
        return self.record.inputs.p[0].ndim

    @property
    def judged(self) -> Optimizer:
        """The rule with the hyperparameters that the candidate told."""
        return self.record.rules[0]

    @property
    def besides(self) -> int:
        """How many other rules and extra inputs the rule has, of which nothing may have shown."""
        return len(self.rule.inner_rules()) + len(self.rule.inputs())

    @property
    def told(self) -> int:
        """How many numbers the candidate was told that are not zero."""
        return sum(v != 0 for v in self.judged.numbers().values())

    def counts(self, change: Change) -> Any:
        """A change on the whole run."""
        changed = [r.replace(**change.rule) if change.rule else r for r in self.record.rules]
        return judge_record(self.record, changed, change.policy_of(self.policy), change.plans).counts

    def finer(self, change: Change) -> Change:
        """The values of a change, told by many elements; the change itself if they tell nothing else."""
        search = Search(Screen(self.record, self.policy, FINE))
        search.claimed()
        found = [s.change for s in search.tried.values() if s.fits and s.change.rule.keys() == change.rule.keys()]
        return found[0] if found else change

    def look_closer(self) -> None:
        """The hyperparameters that many elements tell, where what explains a few of them does not explain the run."""
        if self.search.explained:
            search = Search(Screen(self.record, self.policy, FINE))
            search.claimed()
            wrong = {key: s for key, s in self.search.tried.items() if not s.fits}
            self.search.tried = (wrong if search.explained else self.search.tried) | search.tried

    def explanation(self, change: Change, counts: Any) -> Explanation:
        """A change with what is outside under it."""
        mutants = [m.name for m in change.mutations] + [f"{n}={v}" for n, v in change.policy.items()]
        changed = self.judged.replace(**change.rule)
        return Explanation(
            str(changed).removesuffix("()"),
            " and ".join(mutants),
            change.sentence,
            change.kind,
            change.model,
            counts,
            recovered=change.recovered,
            formula=_formula(self, change),
        )


def _trials(
    subject: Candidate, claims: Iterable[Optimizer], inputs: Inputs, policy: Policy, limit: float
) -> list[_Trial]:
    found: list[_Trial] = []
    refused: list[Exception] = []
    for claim in claims:
        try:
            record = _driven(subject, claim, inputs, limit)
        except (ArgumentError, CandidateError) as error:
            refused.append(error)
            continue
        looked_at = small_run(record, partial(_driven, subject, claim, limit=limit))
        search = Search(Screen(looked_at, policy))
        found.append(_Trial(claim, record, policy, search))
    if not found:
        raise refused[0]
    locked = [t for t in found if t.search.screen.locked and any(not s.scalar for s in t.rule.slots().values())]
    stateless = [t for t in found if not t.rule.slots()]
    return [*locked, *stateless] if locked else found


def _driven(subject: Candidate, claim: Optimizer, inputs: Inputs, limit: float) -> Record:
    record = drive(subject, claim, completed(inputs, claim), limit)
    return joined(record, claim) if claim.scope == "tree" else record


def _searched(trials: list[_Trial]) -> list[_Trial]:
    """The trials that come nearest, searched in depth."""
    for trial in trials:
        trial.search.plain()
    ranked = _ranked(trials)
    for trial in ranked[:NAMED]:
        trial.search.named()
    ranked = _ranked(ranked)
    for stage in (Search.variants, Search.claimed):
        if len(ranked) > 1 and not _exact(ranked[0]):
            for trial in ranked[: 2 * DEEP]:
                stage(trial.search)
            ranked = _ranked(ranked)
    exact = [t for t in ranked if _exact(t)]
    for trial in exact[:1] or ranked[:DEEP]:
        trial.search.run(deep=trial is ranked[0])
        if _exact(trial):
            break
    return _ranked(exact or ranked[:DEEP])


def _ranked(trials: list[_Trial]) -> list[_Trial]:
    """The nearest first; of those as near the plainest, and of these the one whose hyperparameters say the most."""
    found = [t for t in trials if t.best is not None]
    return sorted(found, key=lambda t: (t.best.rank if t.best else (), t.besides, -t.told))


def _exact(trial: _Trial) -> bool:
    return trial.search.exact


def _identification(subject: Candidate, rule: Any, trials: list[_Trial], searched: list[_Trial]) -> Identification:
    explanations, explained = _explanations(searched)
    if not explanations:
        for trial in searched:
            trial.look_closer()
        explanations, explained = _explanations(searched)
    shown = explained or (searched[0] if searched else trials[0])
    nearest = () if explanations else tuple(_nearest(searched))
    judged = any(len(t.record.seen) > 1 and t.best is not None for t in trials)
    itself = shown.explanation(NONE, shown.counts(NONE)) if judged else None
    return Identification(
        outcome=i.outcome_of(explanations, judged),
        candidate=subject.name,
        claim=str(shown.rule) if isinstance(rule, Rule) else None,
        explanations=explanations,
        nearest=nearest,
        itself=itself,
        rules=tuple(short_name(type(t.rule)) for t in trials),
        hypotheses=sum(len(t.search.tried) for t in trials),
        mode="step-locked" if shown.search.screen.locked else "free-running",
        steps=shown.record.steps,
        dtype=str(shown.record.inputs.p[0].dtype),
        seed=shown.record.inputs.seed,
        faults=tuple(shown.record.faults),
        environment=environment(),
        notes=tuple(dict.fromkeys([*shown.record.notes, *_hidden(shown, explanations)])),
    )


def _hidden(shown: _Trial, explanations: tuple[Explanation, ...]) -> Iterable[str]:
    """Why nothing may be known of a candidate whose state is hidden, and what to do about it."""
    seen = shown.record.seen[-1].state[0] if shown.record.seen else {}
    names = [n for n, slot in shown.rule.slots().items() if not slot.scalar and n not in seen]
    if names and not explanations and shown.record.steps:
        yield (
            f"{' and '.join(names)} could not be read, so that the run was followed from its start and a fault shows in the "
            "parameter alone; a candidate that takes and returns them, or keeps them under a name that says so, is judged "
            "tensor by tensor, which finds more (docs/candidates.md)"
        )


def _explanations(searched: list[_Trial]) -> tuple[tuple[Explanation, ...], _Trial | None]:
    """What fits the whole run: exact explanations if there are any, else of the roundings, else models of error."""
    fits = [(t, s) for t in searched for s in t.search.ranked if s.fits]
    # of rules that a candidate was run as the plainest, and of these the one that told it the most hyperparameters
    fits.sort(key=lambda pair: (pair[1].rank, pair[0].besides, -pair[0].told))
    for eligible in (lambda c: not c.precision, lambda c: not c.model, lambda c: True):
        found, first, besides = [], None, []
        for trial, changes in _distinct([(t, s.change) for t, s in fits if eligible(s.change)])[:JUDGED]:
            counts = trial.counts(changes[0][1])
            if sum(c.outside for c in counts.values()) and changes[0][1].recovered:
                changes[0] = (trial, trial.finer(changes[0][1]))
                counts = trial.counts(changes[0][1])
            if not sum(c.outside for c in counts.values()):
                best = trial.explanation(changes[0][1], counts)
                policy = changes[0][1].policy
                others = [(t, c) for t, c in changes[1:] if c.kind != "value" and c.policy == policy]
                names = [_alias(best, t, c) for t, c in others]
                found.append(
                    dataclasses.replace(best, aliases=tuple(n for n in dict.fromkeys(names) if n != best.title))
                )
                first = first or trial
                besides.append(trial.besides)
        if found:
            # what leaves undecided what the simplest explanation decides explains less; and where a rule explains all,
            # one around it, or one that takes a loss besides, of which nothing shows, is no other explanation
            fewest = _undecided(found[0])
            plain = zip(found, besides, strict=True)
            return tuple(e for e, more in plain if _undecided(e) <= fewest and more <= besides[0]), first
    return (), None


def _undecided(explanation: Explanation) -> int:
    return sum(c.undecided for c in explanation.counts.values())


_Fit = tuple[_Trial, Change]


def _distinct(pairs: list[_Fit]) -> list[tuple[_Trial, list[_Fit]]]:
    """Changes that are the same in real arithmetic, put together, the simplest first."""
    groups: list[tuple[_Trial, list[_Fit]]] = []
    for pair in pairs:
        for _, known in groups:
            if _one(known[0], pair):
                known.append(pair)
                break
        else:
            groups.append((pair[0], [pair]))
    return groups


def _one(first: _Fit, second: _Fit) -> bool:
    """Whether two explanations are one: the same, one interval of a value, or a rule at hyperparameters of another."""
    (trial, a), (other, b) = first, second
    if trial is other:
        interval = a.kind == b.kind == "value" and a.rule.keys() == b.rule.keys() and len(a.rule) == 1
        roundings = a.policy != b.policy and (a.rule, a.mutations) == (b.rule, b.mutations)
        return interval or roundings or same((trial.judged, a), (trial.judged, b), trial.ndim)
    return any(_special(x, y) for x, y in ((first, second), (second, first)))


def _special(general: _Fit, special: _Fit) -> bool:
    """Whether one rule is the other at the hyperparameters that the candidate was told for it."""
    (trial, a), (other, b) = general, special
    told = other.judged.replace(**b.rule).numbers()
    shared = {n: v for n, v in told.items() if n in trial.judged.numbers() and n not in a.rule}
    try:
        return same((trial.judged.replace(**shared), a), (other.judged, b), trial.ndim)
    except (ArgumentError, ArithmeticError):
        return False


def _alias(best: Explanation, trial: _Trial, change: Change) -> str:
    title = trial.explanation(change, {}).title
    if best.rule.partition("(")[0] == short_name(type(trial.judged)):
        return title
    zero = [n for n, v in trial.judged.replace(**change.rule).numbers().items() if v == 0.0 and n == "weight_decay"]
    return f"{title}, at {zero[0]}=0" if zero else title


def _nearest(searched: list[_Trial]) -> Iterable[Explanation]:
    scored = [(t, s) for t in searched for s in t.search.ranked if not s.change.model]
    for trial, s in sorted(scored, key=lambda pair: pair[1].rank)[:NEAREST]:
        yield trial.explanation(s.change, trial.counts(s.change))


def _formula(trial: _Trial, change: Change) -> tuple[str, ...]:
    """The lines of the last step's formula that a rewrite changed."""
    if not change.mutations:
        return ()
    p = trial.record.inputs.p[0]
    scalar_values = dict.fromkeys(trial.judged.scalar_inputs(), 1.0)
    free = free_values(p.shape, {**scalar_values, "t": float(max(trial.record.steps, 1))})
    rule = trial.judged.replace(**change.rule)
    return i.new_lines(NONE.plans(rule, p.ndim, free), change.plans(rule, p.ndim, free))
