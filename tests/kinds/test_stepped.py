"""Kinds whose candidates take steps: what is looked at after each, whatever adapter they come by."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from refgrad.candidates.protocol import Observation
from refgrad.kinds.stepped import PROBED_STEPS
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.inputs.cases import Inputs

RULE = SGD(lr=0.5, momentum=0.5)
CASES = Inputs.of([1.0, 2.0], [[1.0, -1.0]] * 4)


class Descent:
    """SGD with momentum 1/2, whose ``update`` may do something else at a step; it takes arrays without an adapter."""

    name = "descent"

    def __init__(self, update: Callable[[Descent, int, np.ndarray], None] = lambda run, step, g: None) -> None:
        self.update, self.taken = update, 0

    def start(self, rule: Any, params: Sequence[np.ndarray]) -> Descent:
        self.p = np.array(params[0])
        self.buffer = np.zeros_like(self.p)
        return self

    def step(self, grads: Sequence[np.ndarray]) -> None:
        self.taken += 1
        self.buffer = self.buffer / 2 + grads[0]
        self.p = self.p - self.buffer / 2
        self.update(self, self.taken, grads[0])

    def observe(self) -> Observation:
        return Observation([self.p], [{"buffer": self.buffer}])


def faults(candidate: Descent) -> list[tuple[str, int]]:
    return [(f.kind, f.step) for f in drive(kind_of(RULE), candidate, RULE, CASES).faults]


def writes(run: Descent, step: int, g: np.ndarray) -> None:
    if step == 3:
        g[1] = 0


def turns(run: Descent, step: int, g: np.ndarray) -> None:
    g *= -1


def keeps(run: Descent, step: int, g: np.ndarray) -> None:
    if step == PROBED_STEPS:
        run.buffer = g


def raises(run: Descent, step: int, g: np.ndarray) -> None:
    if step == 2:
        raise ZeroDivisionError("by zero")


def widens(run: Descent, step: int, g: np.ndarray) -> None:
    run.p = run.p.astype(np.float64)


def flattens(run: Descent, step: int, g: np.ndarray) -> None:
    run.p = run.p[:1]


def forgets(run: Descent, step: int, g: np.ndarray) -> None:
    run.buffer = run.buffer[:1]


@pytest.mark.sample(quick=100)
@pytest.mark.parametrize(
    ("update", "expected"),
    [
        (writes, [("mutated", 3)]),
        (turns, [("mutated", 1)]),
        (keeps, [("aliased", PROBED_STEPS)]),
        (raises, [("raised", 2)]),
        (widens, [("dtype", 1)]),
        (flattens, [("shape", 1)]),
        (forgets, [("shape", 1)]),
    ],
)
def test_what_is_done_wrong_is_a_fault_of_the_step_that_does_it(
    update: Callable[[Descent, int, np.ndarray], None], expected: list[tuple[str, int]]
) -> None:
    assert faults(Descent(update)) == expected


def test_what_is_right_has_no_fault() -> None:
    assert faults(Descent()) == []
