"""Known departures: when a run is not the rule, is it a named variant of it, or the rule under another policy?"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from refgrad.errors import ArgumentError
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.drive import Record
from refgrad.oracle.policy import CHOICES, Policy
from refgrad.oracle.trajectory import judge_record
from refgrad.oracle.verdict import Departure
from refgrad.rule import Choice, Flag


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


def departures(record: Record, policy: Policy, most: int = 5) -> tuple[Departure, ...]:
    """The run judged again under each single departure, and under pairs of the best if none explains it alone."""
    singles = _scored(record, policy, _changes(record.rules[0], policy))
    found = singles
    if singles and not singles[0][1].explains:
        best = [change for change, _ in singles[:4]]
        pairs = [
            a + b
            for a, b in itertools.combinations(best, 2)
            if not (set(a.rule) & set(b.rule) or set(a.policy) & set(b.policy))
        ]
        found = sorted(singles + _scored(record, policy, pairs), key=lambda pair: pair[1].outside)
    return tuple(departure for _, departure in found[:most])


def _scored(record: Record, policy: Policy, changes: Iterable[_Change]) -> list[tuple[_Change, Departure]]:
    scored = []
    for change in changes:
        try:
            rules = [rule.replace(**change.rule) for rule in record.rules]
            if rules[0].slots().keys() != record.rules[0].slots().keys():
                continue
            counts = judge_record(record, rules, dataclasses.replace(policy, **change.policy)).counts.values()
        except (ArgumentError, ArithmeticError):
            continue  # the departure is not defined for these hyperparameters
        departure = Departure(
            change.name, change.sentence, sum(c.outside for c in counts), sum(c.total for c in counts)
        )
        scored.append((change, departure))
    return sorted(scored, key=lambda pair: pair[1].outside)


def _changes(rule: Optimizer, policy: Policy) -> Iterator[_Change]:
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
