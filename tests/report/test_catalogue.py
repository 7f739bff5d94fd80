"""What is told of a rule: its update, and when that holds."""

from __future__ import annotations

import pytest

from refgrad.optimizers import AdamW, Lookahead, RAdam
from refgrad.optimizers.base import Optimizer
from refgrad.report.catalogue import update

LONG = "2 / (1 - beta2) - 1 - (2 t) beta2^t / (1 - beta2^t) > 4"


@pytest.mark.parametrize(
    ("rule", "step", "guards"),
    [
        (RAdam(), 1, [f"as long as not {LONG}"]),
        (RAdam(), 10, [f"as long as {LONG}"]),
        (Lookahead(k=5), 4, ["as long as not mod(t, k) == 0"]),
        (Lookahead(k=5), 5, ["as long as mod(t, k) == 0"]),
        (AdamW(), 1, []),
    ],
    ids=str,
)
def test_formulas_end_with_the_conditions_on_the_step(rule: Optimizer, step: int, guards: list[str]) -> None:
    told = update(rule, step)
    assert [line for line in told if line.startswith("as long as")] == guards == told[len(told) - len(guards) :]
    assert any(line.startswith("p' = ") for line in told)
