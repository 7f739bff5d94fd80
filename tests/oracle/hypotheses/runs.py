"""Small runs of optimizers, with their state read or hidden."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.kinds.record import Record
from refgrad.kinds.table import kind_of
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.hypotheses.screen import StepScreen
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.written import Inputs

RANDOM = np.random.Generator(np.random.Philox(11))
P, *G = (RANDOM.standard_normal((12, 12)).astype(np.float32) for _ in range(5))
INPUTS: Cases = Inputs([P, P[:5, :7]], [[g, g[:5, :7]] for g in G])  # type: ignore[assignment]


def hidden(rule: Optimizer) -> Callable[..., Any]:
    """A rule that keeps its state to itself."""
    memory: dict[tuple[tuple[int, ...], int], Any] = {}

    def step(p: Any, g: Any, t: int) -> Any:
        p, memory[p.shape, t] = rule.step(p, g, rule.init(p) if t == 1 else memory[p.shape, t - 1])
        return p

    return step


def record_of(used: Any, claimed: Optimizer, cases: Cases = INPUTS) -> Record:
    """What a candidate does that claims to be a rule."""
    kind = kind_of(claimed)
    return drive(kind, kind.resolve(used, claimed, {}, None), claimed, cases)


def screen_of(used: Any, claimed: Optimizer, cases: Cases = INPUTS) -> StepScreen:
    """The same, looked at."""
    return StepScreen(record_of(used, claimed, cases), Policy())
