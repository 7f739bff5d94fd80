"""What a candidate of which only the parameter is seen is: followed from the start, named, and solved for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import Inputs
from refgrad.optimizers import SGD, AdamW, Lion, RMSprop
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.explanation import UNKNOWN
from tests.oracle.adam_cases import MUTANTS, Program

RANDOM = np.random.Generator(np.random.Philox(4))
P, *G = (RANDOM.standard_normal((16, 16)).astype(np.float32) for _ in range(7))
INPUTS = Inputs([P], [[g] for g in G])


def hidden(rule: Optimizer) -> Callable[..., Any]:
    """A rule that keeps its state to itself."""
    memory: dict[int, Any] = {}

    def step(p: Any, g: Any, t: int) -> Any:
        p, memory[t] = rule.step(p, g, rule.init(p) if t == 1 else memory[t - 1])
        return p

    return step


def hidden_program(program: Program) -> Callable[..., Any]:
    """A program of AdamW that does."""
    memory: dict[int, Any] = {}

    def step(p: Any, g: Any, t: int) -> Any:
        with np.errstate(all="ignore"):
            p, *memory[t] = program(p, g, *((np.zeros_like(p),) * 2 if t == 1 else memory[t - 1]), t)
        return p

    return step


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("used", "claimed"),
    [
        (AdamW(lr=3.3e-3, weight_decay=0.1), AdamW()),
        (SGD(momentum=0.83, lr=0.033), SGD(momentum=0.9, lr=0.01)),
        (Lion(beta2=0.95), Lion()),
        (RMSprop(alpha=0.93), RMSprop()),
    ],
    ids=str,
)
def test_hyperparameters_are_told_by_the_parameter_alone(used: Optimizer, claimed: Optimizer) -> None:
    found = refgrad.identify(hidden(used), claimed, inputs=INPUTS)
    assert found.mode == "free-running"
    assert found.best is not None, str(found)
    assert found.best.title == str(used), str(found)
    assert found.best.outside == 0
    told = {r.name: r for r in found.best.recovered}
    assert {n for n, v in used.numbers().items() if v != claimed.numbers()[n]} <= set(told)
    for name, r in told.items():
        assert r.low <= used.numbers()[name] <= r.high


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "title"),
    [
        ("eps twice", "AdamW with eps under the root and beside it"),
        ("no eps", "AdamW(eps=0.0)"),
    ],
)
def test_faults_are_named_from_the_parameter_alone(program: str, title: str) -> None:
    small = Inputs([P], [[g * np.float32(1e-6)] for g in G])  # as small as eps makes a difference
    found = refgrad.identify(hidden_program(MUTANTS[program]), AdamW(), inputs=small)
    assert title in [e.title for e in found.explanations], str(found)


@pytest.mark.slow
def test_what_is_unknown_for_want_of_state_says_so() -> None:
    def bent(p: Any, g: Any, t: int) -> Any:
        return p - np.float32(0.03) * np.tanh(g)

    found = refgrad.identify(bent, SGD(momentum=0.9), inputs=INPUTS.at_steps(slice(2)))
    assert found.outcome == UNKNOWN
    assert any("buffer could not be read" in note for note in found.notes), str(found)
