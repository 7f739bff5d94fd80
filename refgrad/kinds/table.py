"""The one table of kinds: what a rule says that it is, and the module that knows what that means."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from refgrad.errors import ArgumentError, bad_argument, nearest
from refgrad.kinds.kind import Kind
from refgrad.rule import Rule

#: `Rule.kind` -> the module whose ``KIND`` is the kind; loaded when it is first asked for
MODULES: Mapping[str, str] = {
    "optimizer": "refgrad.kinds.optimizer",
    "8-bit-optimizer": "refgrad.kinds.eight_bit",
    "transform": "refgrad.kinds.transform",
    "scaling": "refgrad.kinds.scaling",
    "quantizer": "refgrad.kinds.quantizer",
    "estimator": "refgrad.kinds.estimator",
    "mask": "refgrad.kinds.mask",
    "mask-update": "refgrad.kinds.mask_update",
}

#: `Transform.variant` -> the module whose ``KIND`` is the kind of such a rule
VARIANTS: Mapping[str, str] = {
    "formula": "refgrad.kinds.formula",
    "opaque": "refgrad.kinds.opaque",
    "solved": "refgrad.kinds.solved",
}

LEGAL = "a rule such as refgrad.optimizers.AdamW(lr=1e-3), or its class"


def kind_of(rule: Rule | str) -> Kind:
    """The kind of a rule, or the kind of that name.

    Raises:
        ArgumentError: there is no such kind.
    """
    name = rule if isinstance(rule, str) else rule.kind
    if name not in MODULES:
        raise ArgumentError(f"kind is {name!r}{nearest(name, MODULES)}; legal: {', '.join(MODULES)}")
    found: Kind = importlib.import_module(VARIANTS.get(getattr(rule, "variant", ""), MODULES[name])).KIND
    return found


def kinds() -> Iterator[Kind]:
    """Every kind."""
    return (kind_of(name) for name in MODULES)


def rule_of(value: Any, legal: str = LEGAL) -> Rule:
    """An argument ``rule`` as an instance; `ArgumentError` if it is no rule of a kind that is known."""
    rule = value() if isinstance(value, type) and issubclass(value, Rule) else value
    if not isinstance(rule, Rule):
        raise bad_argument("rule", value, legal)
    kind_of(rule)
    return rule
