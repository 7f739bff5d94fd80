"""Faults of settings: numbers that are taken and ignored, built in, or whose neutral default hides what is done with them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from refgrad.errors import ArgumentError
from refgrad.oracle.inputs.settings import neutral, other_setting
from refgrad.rule import Range, Rule
from refgrad.strength.situations.fault import Fault


def claim_faults(rule: Rule) -> Iterator[Fault]:
    """A number that the rule claims and the program does not follow.

    Args:
        rule: the rule with its defaults. Numbers of rules within it are theirs.
    """
    for name, value in _numbers(rule).items():
        other = other_setting(rule, [name])
        if other is None:
            continue
        theirs = getattr(other, name)
        yield Fault(
            "claim",
            "default used",
            f"{name}={theirs:g} is claimed, and {value:g} used",
            claim=other,
            settings=_fixed(name, value),
        )
        yield Fault(
            "claim",
            "built in",
            f"{name}={theirs:g} is built in where {value:g} is claimed",
            claim=rule.replace(**{name: value}),
            settings=_fixed(name, theirs),
        )
        if not neutral(value):
            yield Fault("claim", "ignored", f"{name} is taken and ignored", settings=_fixed(name, value))


def default_faults(rule: Rule) -> Iterator[Fault]:
    """What a neutral number hides, left out or wrong; and a named behaviour that shows only off the defaults.

    Args:
        rule: the rule with its defaults.
    """
    for name, value in _numbers(rule).items():
        if not neutral(value) or other_setting(rule, [name]) is None:
            continue
        yield Fault("default", "left out", f"{name} is left out", settings=_fixed(name, value))
        for kind, change in {"twice": 2.0, "half": 0.5, "other sign": -1.0}.items():
            wrong = _scaled(name, change)
            if wrong(other_setting(rule, [name])) != other_setting(rule, [name]):
                yield Fault("default", kind, f"{name} is used {change:g} times", settings=wrong)
    for behaviour, variant in rule.variants():
        field = behaviour.partition("=")[0]
        if not _alike(rule, variant):
            continue
        off = functools.partial(_off_default, rule, field, getattr(variant, field))
        yield Fault("default", "behaviour", f"{behaviour} where a number is off its default", settings=off)


def _alike(rule: Rule, other: Rule) -> bool:
    """True if rules take and give the same arrays, so that one can stand in the other's place."""
    arrays = lambda each: (dict(each.takes()), dict(each.gives()), each.slots(), getattr(each, "parts", ()))  # noqa: E731
    return bool(arrays(rule) == arrays(other))


def _numbers(rule: Rule) -> dict[str, float]:
    """The rule's own numbers that its algorithm reads."""
    own = {n: getattr(rule, n) for n, legal in rule.legal().items() if isinstance(legal, Range) and n in rule.reads()}
    return {n: value for n, value in own.items() if isinstance(value, float)}


def _fixed(name: str, value: float) -> Callable[[Any], Any]:
    return lambda told: _replaced(told, {name: value})


def _scaled(name: str, factor: float) -> Callable[[Any], Any]:
    def scaled(told: Any) -> Any:
        value = getattr(told, name)
        return told if neutral(value) else _replaced(told, {name: value * factor})

    return scaled


def _off_default(rule: Rule, field: str, value: Any, told: Any) -> Any:
    """The rule as it is told, with another behaviour once a number is not the default."""
    return told if told.numbers() == rule.numbers() else _replaced(told, {field: value})


def _replaced(told: Any, changes: dict[str, Any]) -> Any:
    """The rule with other settings; as it is where it does not have them."""
    try:
        return told.replace(**changes)
    except ArgumentError:
        return told
