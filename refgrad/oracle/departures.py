"""Known departures: when a run is not the rule, is it a named variant of it, or the rule under another policy?"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from refgrad.errors import ArgumentError
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.drive import Record
from refgrad.oracle.policy import CHOICES, Policy
from refgrad.oracle.trajectory import judge_record
from refgrad.oracle.verdict import Departure
from refgrad.rule import Choice, Flag


def departures(record: Record, policy: Policy, most: int = 5) -> tuple[Departure, ...]:
    """The run judged again under each single departure; those that leave fewest outside come first."""
    found = []
    for name, sentence, rules, other in _alternatives(record.rules, policy):
        try:
            counts = judge_record(record, rules, other).counts.values()
        except (ArgumentError, ArithmeticError):
            continue  # the departure is not defined for these hyperparameters
        total = sum(c.total for c in counts)
        found.append(Departure(name, sentence, sum(c.outside for c in counts), total))
    return tuple(sorted(found, key=lambda d: d.outside)[:most])


def _alternatives(rules: list[Optimizer], policy: Policy) -> Iterator[tuple[str, str, list[Optimizer], Policy]]:
    legal = type(rules[0]).legal()
    for name, _ in rules[0].variants():
        field, _, value = name.partition("=")
        about = legal[field]
        sentence = about.sentences[value] if isinstance(about, Choice) else about.sentence if isinstance(about, Flag) else ""
        new = value == "True" if isinstance(about, Flag) else value
        try:
            changed = [rule.replace(**{field: new}) for rule in rules]
        except ArgumentError:
            continue
        if changed[0].slots().keys() == rules[0].slots().keys():
            yield name, sentence, changed, policy
    for field, choice in CHOICES.items():
        for value, sentence in choice.sentences.items():
            if value != getattr(policy, field):
                yield f"policy {field}={value}", sentence, rules, dataclasses.replace(policy, **{field: value})
