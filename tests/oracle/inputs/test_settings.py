"""Another setting: whole numbers that select behaviours, and numbers that only the first state reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.gradients import CenteredClipping
from refgrad.optimizers import SGD, Adagrad, AdaHessian, Lookahead, RMSprop, Rprop
from refgrad.oracle.inputs.settings import whole_settings
from refgrad.quantizers import NF4, QSGD, Affine, Cast
from refgrad.rule import Rule
from refgrad.sparsity import NOfM

HOW: dict[str, Any] = {"shrink": False, "explain": False}


@pytest.mark.parametrize(
    ("rule", "names", "changed"),
    [
        (NF4(), ["block_size"], [{"block_size": 32}]),
        (Affine(), ["bits", "range"], [{"bits": 4}]),
        (NOfM(), ["n", "m"], [{"m": 2}, {"n": 3}]),
        (Cast(), ["seed"], []),
        (QSGD(), ["levels"], [{"levels": 8}]),
        (CenteredClipping(), ["rounds", "radius"], [{"rounds": 2}]),
        (AdaHessian(), ["interval"], []),  # which is at every step, and changed with the numbers
    ],
    ids=str,
)
def test_each_whole_number_is_another_by_itself(rule: Rule, names: list[str], changed: list[dict[str, int]]) -> None:
    before = rule.hyperparameters()
    found = [
        {n: v for n, v in each.hyperparameters().items() if v != before[n]} for each in whole_settings(rule, names)
    ]
    assert found == changed


@pytest.mark.parametrize("reads", [True, False])
def test_a_number_of_rounds_that_is_built_in_is_found(reads: bool) -> None:
    def clipped(gradients: Any, start: Any, radius: float, rounds: int) -> Any:
        v = start
        for _ in range(int(rounds) if reads else 1):
            d = gradients - v
            norm = np.sqrt((d * d).sum(-1, keepdims=True))
            with np.errstate(divide="ignore"):
                v = v + (d * np.minimum(np.float32(1), np.float32(radius) / norm)).mean(0)
        return v

    verdict = refgrad.verify(clipped, CenteredClipping(), **HOW)
    assert verdict.conforms == reads, verdict
    assert verdict.situation == ("" if reads else "another setting, as CenteredClipping(rounds=2)")


@pytest.mark.parametrize(
    ("rule", "name"),
    [(Adagrad(), "initial_accumulator_value"), (RMSprop(), "initial_scale"), (Rprop(), "lr")],
    ids=str,
)
def test_what_a_state_starts_from_is_used(rule: Any, name: str) -> None:
    assert name in rule.uses() - rule.reads()
    assert SGD(lr=0.1).uses() == SGD(lr=0.1).reads()
    assert Lookahead().uses() >= Lookahead().reads()


def test_a_state_that_starts_from_what_is_built_in_is_found() -> None:
    torch = pytest.importorskip("torch")

    class FromZero(torch.optim.Adagrad):  # type: ignore[misc]
        def __init__(self, params: Any, lr: float = 0.01, initial_accumulator_value: float = 0.0) -> None:
            super().__init__(params, lr=lr, eps=1e-10)

    verdict = refgrad.verify(FromZero, Adagrad(), steps=2, **HOW)
    assert verdict.situation.startswith("another setting, as Adagrad("), verdict
    assert "initial_accumulator_value=0.37" in verdict.situation
