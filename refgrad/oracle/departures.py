"""Known departures: when a run is not the rule, is it a named variant of it, or the rule under another policy?"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from refgrad.errors import ArgumentError
from refgrad.oracle.policy import CHOICES, Policy
from refgrad.oracle.verdict import Count, Departure
from refgrad.rule import Choice, Flag, Rule

#: the same observations judged with some hyperparameters changed, under a policy; None where they cannot be
Rejudge = Callable[[Mapping[str, Any], Policy], "Mapping[str, Count] | None"]


@dataclass(frozen=True)
class _Change:
    """One departure: fields of the rules, or of the policy, that take another value."""

    name: str
    sentence: str
    rule: Mapping[str, Any]
    policy: Mapping[str, Any]

    def __add__(self, other: _Change) -> _Change:
        sentence = f"{self.sentence}, and {other.sentence}"
        return _Change(
            f"{self.name}, {other.name}", sentence, {**self.rule, **other.rule}, {**self.policy, **other.policy}
        )


def departures(rule: Rule, policy: Policy, rejudge: Rejudge, most: int = 5) -> tuple[Departure, ...]:
    """The run judged again under each single departure, and under pairs of the best if none explains it alone."""
    singles = _scored(rejudge, policy, _changes(rule, policy))
    found = singles
    if singles and not singles[0][1].explains:
        best = [change for change, _ in singles[:4]]
        pairs = [
            a + b
            for a, b in itertools.combinations(best, 2)
            if not (set(a.rule) & set(b.rule) or set(a.policy) & set(b.policy))
        ]
        found = sorted(singles + _scored(rejudge, policy, pairs), key=lambda pair: pair[1].outside)
    return tuple(departure for _, departure in found[:most])


def _scored(rejudge: Rejudge, policy: Policy, changes: Iterable[_Change]) -> list[tuple[_Change, Departure]]:
    scored = []
    for change in changes:
        try:
            counts = rejudge(change.rule, dataclasses.replace(policy, **change.policy))
        except (ArgumentError, ArithmeticError):
            continue  # the departure is not defined for these hyperparameters
        if counts is None:
            continue
        outside, total = sum(c.outside for c in counts.values()), sum(c.total for c in counts.values())
        scored.append((change, Departure(change.name, change.sentence, outside, total)))
    return sorted(scored, key=lambda pair: pair[1].outside)


def _changes(rule: Rule, policy: Policy) -> Iterator[_Change]:
    for name, legal in rule.legal().items():
        if isinstance(legal, Choice):
            for value, sentence in legal.sentences.items():
                if value != getattr(rule, name):
                    yield _Change(f"{name}={value}", sentence, {name: value}, {})
        elif isinstance(legal, Flag):
            flag = not getattr(rule, name)
            yield _Change(f"{name}={flag}", legal.sentence if flag else f"not: {legal.sentence}", {name: flag}, {})
    for field, choice in CHOICES.items():
        for value, sentence in choice.sentences.items():
            if value != getattr(policy, field):
                yield _Change(f"policy {field}={value}", sentence, {}, {field: value})
