"""A transform as a candidate, and which argument of a function takes which of its hyperparameters."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.optimizers.transform import Transform
from refgrad.rule import Rule

#: hyperparameter -> names that functions give it, besides its own
NAMES: Mapping[str, tuple[str, ...]] = {
    "bound": ("clip_value", "max_delta", "max_value"),
    "max_norm": ("max_norm", "clip_norm"),
    "clipping": ("clipping", "clip_factor"),
    "threshold": ("clip_value", "max_norm"),
    "keep": ("k",),
    "faults": ("f",),
}

Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class TransformCandidate:
    """A candidate: what it makes of arrays by the rule's names."""

    name: str
    call: Callable[[Transform, Arrays], Any]


def told(rule: Rule, parameters: Mapping[str, inspect.Parameter]) -> dict[str, Any]:
    """The rule's numbers, those of a rule in it as well, by the names that a function gives them."""
    found: dict[str, Any] = {}
    for inner in rule.inner_rules().values():
        found |= told(inner, parameters)
    for word, value in rule.hyperparameters().items():
        known = next((n for n in (word, *NAMES.get(word, ())) if n in parameters), None)
        if known is not None and not isinstance(value, str | Rule):
            found[known] = value
    return found


def told_names(rule: Rule, parameters: Mapping[str, inspect.Parameter]) -> frozenset[str]:
    """The numbers of a rule, and of those in it, that a function is told by name, each by the name that the rule has for it.

    Args:
        rule: what the function claims to be.
        parameters: those of the function.
    """
    own = {
        word
        for word in rule.numbers()
        if word in rule.hyperparameters() and any(n in parameters for n in (word, *NAMES.get(word, ())))
    }
    within = {
        f"{field}_{word}" for field, inner in rule.inner_rules().items() for word in told_names(inner, parameters)
    }
    return frozenset(own | within)
