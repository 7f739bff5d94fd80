"""What may be changed of a claim: the rule or its fields, fields of the policy, rewrites of the rule's graph, a kind's own."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, cast

from refgrad.errors import ArgumentError
from refgrad.kinds.kind import Kind
from refgrad.kinds.record import Record, Wanted
from refgrad.oracle.acceptance.policy import CHOICES, Policy
from refgrad.oracle.hypotheses.recovered import Recovered
from refgrad.rule import Choice, Flag, Range, Rule, Whole, rules, short_name
from refgrad.tracing import Plan, known_plans, plan_for

R = TypeVar("R", bound=Rule)


class Mutates(Protocol):
    """Something that rewrites plans."""

    @property
    def name(self) -> str:
        """What completes "AdamW with ..."."""

    @property
    def model(self) -> bool:
        """True if it widens the acceptance sets instead of changing what is computed."""

    @property
    def precision(self) -> bool:
        """True if it changes roundings alone."""

    @property
    def scalars(self) -> bool:
        """True if it rounds a scalar."""

    def apply(self, plan: Plan) -> Plan:
        """The plan, rewritten."""


#: what is legal of a hyperparameter that is a number
NUMBERS = (Range, Whole)
#: fields that say how exactly a rule is computed, and nothing of what
WIDENING = frozenset({"internals"})


@dataclass(frozen=True)
class Change:
    """One departure from a claim.

    Attributes:
        name: what tells it from others in a list, such as ``eps_placement=inside``.
        sentence: the same in words.
        kind: "none", "field" (a named behaviour), "value", "policy", "mutant", or "rule" (another rule).
        rule: fields of the rule, with their values.
        policy: fields of the policy, with their values.
        mutations: rewrites of the rule's graph, in the order in which they are made.
        parts: how many things it changes.
        recovered: what was recovered of hyperparameters on the way, see `refgrad.oracle.hypotheses.recovery`.
        of: another rule of the same signature, whose fields then are changed; None for the claim's own.
        how: departures that only the kind has, each with its keywords, see `Kind.departures`.
    """

    name: str
    sentence: str
    kind: str = "field"
    rule: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    mutations: tuple[Mutates, ...] = ()
    parts: int = 1
    recovered: tuple[Recovered, ...] = ()
    of: Rule | None = None
    how: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __add__(self, other: Change) -> Change:
        if not other.parts or not self.parts:
            return self if self.parts else other
        kinds = {self.kind, other.kind}
        return Change(
            f"{self.name}, {other.name}",
            f"{self.sentence}, and {other.sentence}",
            next(k for k in ("mutant", "rule", "value", "policy", "field") if k in kinds),
            {**self.rule, **other.rule},
            {**self.policy, **other.policy},
            self.mutations + other.mutations,
            self.parts + other.parts,
            self.recovered + other.recovered,
            self.of or other.of,
            {**self.how, **other.how},
        )

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from other changes of the same claim."""
        return self.name, self.sentence

    def clashes(self, other: Change) -> bool:
        """True if both change one thing, or one only widens what is acceptable, so that any other would fit beside it."""
        if (self.rule.keys() | other.rule.keys()) & WIDENING or (self.of and other.of):
            return True
        if any(m.scalars for c in (self, other) for m in c.mutations) and "scalars" in {**self.rule, **other.rule}:
            return True  # all scalars are rounded already
        pairs = ((self.rule, other.rule), (self.policy, other.policy), (self.keywords, other.keywords))
        return any(set(one) & set(two) for one, two in pairs)

    def includes(self, other: Change) -> bool:
        """True if it changes all that another does in the same way, and maybe more."""
        fields = ((self.rule, other.rule), (self.policy, other.policy), (self.how, other.how))
        names = {m.name for m in other.mutations} <= {m.name for m in self.mutations}
        same = all(all(n in own and own[n] == value for n, value in theirs.items()) for own, theirs in fields)
        return names and same and other.of in (None, self.of)

    @property
    def model(self) -> bool:
        """True if it is a model of error in part."""
        return any(m.model for m in self.mutations)

    @property
    def precision(self) -> bool:
        """True if it changes roundings alone in part."""
        return bool(self.policy) or "scalars" in self.rule or any(m.precision for m in self.mutations)

    @property
    def keywords(self) -> dict[str, Any]:
        """The keywords of the kind's own departures."""
        return {n: value for keywords in self.how.values() for n, value in keywords.items()}

    @property
    def besides(self) -> list[str]:
        """The names of what the changed rule's own hyperparameters do not say."""
        policy = [f"{n}={value}" for n, value in self.policy.items()]
        return [*(m.name for m in self.mutations), *self.how, *policy]

    def changed(self, rule: R) -> R:
        """The rule that is meant, where a candidate was told to be a rule.

        Raises:
            ArgumentError: the change is not defined for these hyperparameters.
        """
        base = rule if self.of is None else cast(R, self.of)  # of the kind of the claim
        return base.replace(**self.rule) if self.rule else base

    def settable(self, named: frozenset[str]) -> frozenset[str]:
        """Of hyperparameters by name those that it leaves as they are told."""
        return frozenset() if self.of is not None else named - self.rule.keys()

    def wanted(self, policy: Policy) -> Wanted:
        """How outputs are judged under it, where the claim is judged under a policy."""
        return Wanted(self.policy_of(policy), self.plans if self.mutations else plan_for, self.keywords)

    def plans(self, rule: Any, ndim: int, free: tuple[float, ...]) -> Plan:
        """The rewritten plan of a rule that already has the changed fields."""
        plan = self.rewritten(plan_for(rule, ndim, free))
        if not self.mutations or plan.holds(*free):
            return plan
        # a rewrite may move the step at which a branch is taken: to one of those that were traced, or that are beside it
        others = itertools.chain(known_plans(rule, ndim), (plan_for(rule, ndim, near) for near in _near(plan, free)))
        return next((other for other in map(self.rewritten, others) if other.holds(*free)), plan)

    def rewritten(self, plan: Plan) -> Plan:
        """A plan with every mutation applied in turn."""
        for mutation in self.mutations:
            plan = mutation.apply(plan)
        return plan

    def policy_of(self, policy: Policy) -> Policy:
        """A policy with the changed fields."""
        return dataclasses.replace(policy, **self.policy) if self.policy else policy


def _near(plan: Plan, free: tuple[float, ...]) -> Iterator[tuple[float, ...]]:
    """What is free in a plan, at the steps beside its own, at the first ones, and at late ones."""
    if "t" in plan.free:
        place = plan.free.index("t")
        for t in dict.fromkeys((free[place] + 1, free[place] - 1, *(2**k for k in range(12)))):
            if t >= 1:
                yield (*free[:place], t, *free[place + 1 :])


NONE = Change("", "", "none", parts=0)


def joined(parts: Iterable[Change]) -> Change | None:
    """Changes together; None if two of them change one thing, or one would widen what the others do."""
    whole = NONE
    for part in parts:
        if whole.clashes(part) or part is whole:
            return None
        whole = whole + part
    return whole


def named(rule: Rule) -> Iterator[Change]:
    """Every other named behaviour of a rule."""
    for name, legal in rule.legal().items():
        if isinstance(legal, Choice):
            for value, sentence in legal.sentences.items():
                if value != getattr(rule, name):
                    yield Change(f"{name}={value}", sentence, "field", {name: value})
        elif isinstance(legal, Flag):
            flag = not getattr(rule, name)
            yield Change(f"{name}={flag}", legal.said(flag), "field", {name: flag})
    for field_, nested in rule.inner_rules().items():
        for change in named(nested):
            values = {f"{field_}_{n}": value for n, value in change.rule.items()}
            yield Change(f"{field_}_{change.name}", change.sentence, "field", values)


#: values of a policy's fields under which less is right than under the usual ones, so that they explain nothing, or which the
#: fault itself names
NARROWING = frozenset(
    {("sums", "blocked"), *itertools.product(("accumulate", "result"), ("float32", "float64")), ("result", "own")}
)


def policies(policy: Policy) -> Iterator[Change]:
    """Every other value of a policy's fields, but for those that only narrow it."""
    for field_, choice in CHOICES.items():
        for value, sentence in choice.sentences.items():
            if value != getattr(policy, field_) and (field_, value) not in NARROWING:
                yield Change(f"policy {field_}={value}", sentence, "policy", {}, {field_: value})


FACTORS: Mapping[str, float] = {"twice": 2.0, "ten times": 10.0, "half": 0.5, "a tenth of": 0.1}


def factors(rule: Rule) -> Iterator[Change]:
    """Each hyperparameter off by a factor or squared; of a decay, its distance from one."""
    for name, value in rule.numbers().items():
        legal = rule.range_of(name)
        if not isinstance(legal, Range) or value == 0.0:
            continue
        decay = legal.high == 1.0 and value > 0.5
        yield from _legal(legal, name, 0.0, f"{name} is zero")
        for word, factor in FACTORS.items():
            new = float(f"{1.0 - (1.0 - value) * factor:.15g}") if decay else float(f"{value * factor:.15g}")
            what = f"1 - {name}" if decay else name
            yield from _legal(legal, name, new, f"{name} is {new:g}: {what} is {word} that of the claim")
        squared = float(f"{value * value:.15g}")
        yield from _legal(legal, name, squared, f"{name} is {squared:g}, the square of {value:g}")


#: whole numbers around a claim that are tried, about half of them below it
WHOLES = 16


def wholes(rule: Rule, deciding: Iterable[str] = ()) -> Iterator[Change]:
    """Whole numbers around each hyperparameter that is declared to be one, or is one of ``deciding`` and happens to be."""
    for name, legal in rule.legal().items():
        if isinstance(legal, Whole):
            yield from _around(legal, name, getattr(rule, name))
    for name in sorted(set(deciding) & set(rule.numbers())):
        known, value = rule.range_of(name), rule.numbers()[name]
        if isinstance(known, Range) and float(value).is_integer():
            yield from _around(known, name, value)


def _around(legal: Range | Whole, name: str, value: float) -> Iterator[Change]:
    start = max(legal.low, value - WHOLES // 2)
    for new in (start + k for k in range(WHOLES + 1)):
        if new != value:
            yield from _legal(legal, name, new, f"{name} is {new:g}, not {value:g}")


#: what numbers are named for that say how many elements have a scale of their own, and the ones that are tried
SIZES, TRIED_SIZES = frozenset({"size", "group", "block", "bucket"}), tuple(2**k for k in range(2, 11))


def sizes(rule: Rule) -> Iterator[Change]:
    """Other sizes of blocks, powers of two, of a rule whose parts have a number for each block."""
    for name, legal in rule.legal().items():
        if isinstance(legal, Whole) and SIZES & set(name.split("_")):
            known = getattr(rule, name)
            for new in TRIED_SIZES:
                yield from _legal(legal, name, new, f"{name} is {new}, not {known}") if new != known else ()


def departures(rule: Rule, kind: Kind) -> Iterator[Change]:
    """Departures that only the rule's kind has."""
    for name, sentence, keywords in kind.departures(rule):
        yield Change(name, sentence, "field", how={name: keywords})


def told(rule: Rule, kind: Kind, record: Record) -> Iterator[Change]:
    """Departures that only the rule's kind has and whose numbers a run tells."""
    for name, sentence, keywords in kind.told_departures(rule, record):
        yield Change(name, sentence, "field", how={name: keywords})


def rewritten(rule: Rule, kind: Kind) -> Iterator[Change]:
    """Mutants of a rule without a graph, made of its text."""
    for name, sentence, keywords in kind.rewritten(rule):
        yield Change(name, sentence, "mutant", how={name: keywords})


def others(rule: Rule) -> Iterator[Change]:
    """Every other rule of the kind: with all numbers that it shares with a rule, with those that it uses, and with its own."""
    for cls in rules().values():
        if cls.kind != rule.kind or cls is type(rule):
            continue
        plain = cls()
        off = {n for n, value in plain.hyperparameters().items() if value == 0}
        for other in dict.fromkeys([*_shared(rule, plain), *_shared(rule, plain, off), plain]):
            text = str(other).removesuffix("()")
            yield Change(text, f"it is {text}, not {short_name(type(rule))}", "rule", of=other)


def _shared(rule: Rule, other: Rule, off: Collection[str] = ()) -> Iterator[Rule]:
    """Another rule with the numbers that both have, but those that are off; nothing if these are not legal there."""
    own, legal = rule.legal(), other.legal()
    both = [n for n in own.keys() & legal.keys() if isinstance(own[n], NUMBERS) and isinstance(legal[n], NUMBERS)]
    try:
        yield other.replace(**{n: getattr(rule, n) for n in sorted(set(both) - set(off))})
    except ArgumentError:
        return


def _legal(legal: Range | Whole, name: str, value: float, sentence: str) -> Iterator[Change]:
    try:
        checked = legal.check(name, value)
    except ArgumentError:
        return
    yield Change(f"{name}={value:g}", sentence, "value", {name: checked})
