"""The rule of each parameter: what is claimed, what its group says, and what a file of names says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refgrad.audits.naming import Names
from refgrad.candidates.names import HYPERPARAMETERS, PACKED, known_as
from refgrad.errors import ArgumentError
from refgrad.legal import Choice, Flag
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Nested

#: what groups of torch have that a rule without it does not follow, if it is true
FLAGS = ("maximize", "amsgrad", "nesterov", "centered", "no_prox")


@dataclass(frozen=True)
class Told:
    """The rule that one parameter is judged as.

    Attributes:
        rule: with the hyperparameters of its group.
        notes: where what is claimed and what the group says differ, and what of the group is not followed.
    """

    rule: Optimizer
    notes: tuple[str, ...] = ()


def told(rule: Optimizer, name: str, group: Mapping[str, Any], names: Names) -> Told:
    """The rule of a parameter.

    What a file of names says counts before all else, what is claimed before what a group says, and that before defaults.

    Args:
        rule: the claim.
        name: of the parameter.
        group: the hyperparameters that are kept for it, by the optimizer's own names.
        names: what is stated of names and groups.

    Raises:
        ArgumentError: a hyperparameter is unknown, or not legal.
    """
    changes, notes, where = dict[str, Any](), list[str](), f"param_groups[{group.get('group', 0)}]"
    inner = _within(rule)
    for word, legal in inner.legal().items():
        value = _of_group(word, legal, group)
        if value is None or value == getattr(inner, word):
            continue
        if word in inner.claimed:
            notes.append(f"{word}={getattr(inner, word)!r} is claimed; {where} has {value!r}")
        else:
            changes[word] = value
    notes += [
        f"{where} has {flag}=True, which {type(inner).__name__} does not follow"
        for flag in FLAGS
        if group.get(flag) is True and flag not in inner.legal()
    ]
    stated = {_own_name(inner, word): value for word, value in names.told(name).items()}
    changed = _replaced(rule, inner, {**changes, **stated})
    return Told(changed, tuple(notes))


def _within(rule: Optimizer) -> Optimizer:
    """The rule that a group's numbers are of: of one around another the inner one."""
    found = rule.told()
    return found if isinstance(found, Optimizer) else rule


def _replaced(rule: Optimizer, inner: Optimizer, changes: Mapping[str, Any]) -> Optimizer:
    if not changes:
        return rule
    if inner is rule:
        return rule.replace(**changes)
    fields = [n for n, legal in rule.legal().items() if isinstance(legal, Nested)]
    nested = [n for n in fields if isinstance(getattr(rule, n), Optimizer)]
    return rule.replace(**{nested[0]: _replaced(getattr(rule, nested[0]), inner, changes)})


def _own_name(rule: Optimizer, word: str) -> str:
    if word in rule.legal():
        return word
    found = next((name for name in rule.legal() if word in HYPERPARAMETERS.get(name, ())), None)
    if found is None:
        raise ArgumentError(f"map['groups'] has {word!r}; legal: parameters, and {', '.join(rule.legal())}")
    return found


def _of_group(word: str, legal: Any, group: Mapping[str, Any]) -> Any:
    """A hyperparameter's value in a group, or None if it is not there."""
    key = known_as(word, HYPERPARAMETERS, group)
    value = group[key] if key is not None else None
    if key is None:
        pack = next((pack for pack, fields in PACKED.items() if word in fields and pack in group), None)
        values, index = (group[pack], PACKED[pack].index(word)) if pack is not None else ((), 0)
        value = values[index] if isinstance(values, list | tuple) and index < len(values) else None
    if isinstance(legal, Flag):
        return value if isinstance(value, bool) else None
    if isinstance(legal, Nested | Choice) or isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value)
