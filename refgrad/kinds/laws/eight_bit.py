"""Laws of optimizers with 8-bit state: those of optimizers that say nothing of elements by themselves, and one of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from refgrad.kinds.laws.optimizer import BY_NAME, Law


def _of_the_update(name: str) -> Law:
    """A law of the update rule, which holds however its state is kept."""
    law = BY_NAME[name]
    applies: Any = lambda rule: law.applies(rule.rule) and name not in rule.rule.exempt()  # noqa: E731
    return replace(law, applies=applies)


REPEATABLE = Law(
    "repeatable",
    "the same parameter and gradients give the same steps",
    lambda rule: True,
    lambda cases, rule: cases,
    lambda after, start, other: after,
    {},
)

LAWS: tuple[Law, ...] = (REPEATABLE, _of_the_update("still"), _of_the_update("no rate"))
