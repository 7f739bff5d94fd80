"""What may be changed of a claim: fields of the rule, fields of the policy, and rewrites of the rule's graph."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from refgrad.errors import ArgumentError
from refgrad.oracle.acceptance.policy import CHOICES, Policy
from refgrad.rule import Choice, Flag, Range, Rule
from refgrad.tracing import Plan, known_plans, plan_for


class Mutates(Protocol):
    """Something that rewrites plans."""

    @property
    def name(self) -> str:
        """What completes "AdamW with ..."."""

    @property
    def model(self) -> bool:
        """Whether it widens the acceptance sets instead of changing what is computed."""

    @property
    def precision(self) -> bool:
        """Whether it changes roundings alone."""

    def apply(self, plan: Plan) -> Plan:
        """The plan, rewritten."""


#: fields that say how exactly a rule is computed, and nothing of what
WIDENING = frozenset({"internals"})


@dataclass(frozen=True)
class Change:
    """One departure from a claim; ``kind`` is "none", "field", "policy", "value" or "mutant"."""

    name: str
    sentence: str
    kind: str = "field"
    rule: Mapping[str, Any] = field(default_factory=dict)
    policy: Mapping[str, Any] = field(default_factory=dict)
    mutations: tuple[Mutates, ...] = ()
    parts: int = 1
    #: what was recovered of hyperparameters on the way, see `refgrad.oracle.hypotheses.recovery`
    recovered: tuple[Any, ...] = ()

    def __add__(self, other: Change) -> Change:
        if not other.parts or not self.parts:
            return self if self.parts else other
        kinds = {self.kind, other.kind}
        return Change(
            f"{self.name}, {other.name}",
            f"{self.sentence}, and {other.sentence}",
            next(k for k in ("mutant", "value", "policy", "field") if k in kinds),
            {**self.rule, **other.rule},
            {**self.policy, **other.policy},
            self.mutations + other.mutations,
            self.parts + other.parts,
            self.recovered + other.recovered,
        )

    @property
    def key(self) -> tuple[str, str]:
        """What tells it from other changes."""
        return self.name, self.sentence

    def clashes(self, other: Change) -> bool:
        """Whether both change one field, or one only widens what is acceptable, so that any other would fit beside it."""
        if (self.rule.keys() | other.rule.keys()) & WIDENING:
            return True
        return bool(set(self.rule) & set(other.rule) or set(self.policy) & set(other.policy))

    @property
    def model(self) -> bool:
        """Whether it is a model of error in part."""
        return any(m.model for m in self.mutations)

    @property
    def precision(self) -> bool:
        """Whether it changes roundings alone in part."""
        return bool(self.policy) or "scalars" in self.rule or any(m.precision for m in self.mutations)

    def plans(self, rule: Any, ndim: int, free: tuple[float, ...]) -> Plan:
        """The rewritten plan of a rule that already has the changed fields."""
        plan = self.rewritten(plan_for(rule, ndim, free))
        if not self.mutations or plan.holds(*free):
            return plan
        # a rewrite may move the step at which a branch is taken
        others = (self.rewritten(known) for known in known_plans(rule, ndim))
        return next((other for other in others if other.holds(*free)), plan)

    def rewritten(self, plan: Plan) -> Plan:
        """A plan with every mutation applied in turn."""
        for mutation in self.mutations:
            plan = mutation.apply(plan)
        return plan

    def policy_of(self, policy: Policy) -> Policy:
        """A policy with the changed fields."""
        return dataclasses.replace(policy, **self.policy) if self.policy else policy


NONE = Change("", "", "none", parts=0)


def named(rule: Rule) -> Iterator[Change]:
    """Every other named behaviour of a rule."""
    for name, legal in rule.legal().items():
        if isinstance(legal, Choice):
            for value, sentence in legal.sentences.items():
                if value != getattr(rule, name):
                    yield Change(f"{name}={value}", sentence, "field", {name: value})
        elif isinstance(legal, Flag):
            flag = not getattr(rule, name)
            sentence = legal.sentence if flag else f"not: {legal.sentence}"
            yield Change(f"{name}={flag}", sentence, "field", {name: flag})
    for field_, nested in rule.inner_rules().items():
        for change in named(nested):
            values = {f"{field_}_{n}": value for n, value in change.rule.items()}
            yield Change(f"{field_}_{change.name}", change.sentence, "field", values)


def policies(policy: Policy) -> Iterator[Change]:
    """Every other value of a policy's fields."""
    for field_, choice in CHOICES.items():
        for value, sentence in choice.sentences.items():
            if value != getattr(policy, field_):
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


#: whole numbers on either side of a claim that are tried
WHOLES = 8


def wholes(rule: Rule, names: Iterable[str]) -> Iterator[Change]:
    """Other whole numbers for each of some hyperparameters that are whole, such as how many steps lie between two of a kind."""
    for name in sorted(set(names) & set(rule.numbers())):
        value, legal = rule.numbers()[name], rule.range_of(name)
        if isinstance(legal, Range) and float(value).is_integer():
            for new in (value + k for k in range(-WHOLES, WHOLES + 1) if k):
                yield from _legal(legal, name, new, f"{name} is {new:g}, not {value:g}")


def _legal(legal: Range, name: str, value: float, sentence: str) -> Iterator[Change]:
    try:
        legal.check(name, value)
    except ArgumentError:
        return
    yield Change(f"{name}={value:g}", sentence, "value", {name: value})
