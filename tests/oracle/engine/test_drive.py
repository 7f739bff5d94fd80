"""Driving: one guard for every kind, faults told once, and what ends a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from refgrad.candidates.protocol import Observation
from refgrad.errors import CandidateError
from refgrad.kinds.table import kind_of
from refgrad.optimizers import SGD
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.written import Inputs
from refgrad.sparsity import Magnitude

RULE = Magnitude()
CASES = Cases([{"w": np.arange(1.0, 5.0, dtype=np.float32) * k} for k in (1, 2, 3)], ["one", "two", "three"])


def masked(function: Callable[[Any], Any], time_limit: float = np.inf) -> Any:
    kind = kind_of(RULE)
    return drive(kind, kind.resolve(function, RULE, {}, None), RULE, CASES, time_limit)


def test_every_case_is_asked_with_copies() -> None:
    handed = []

    def mask(w: np.ndarray) -> np.ndarray:
        handed.append(w)
        return w > 2 * w.min()

    record = masked(mask)
    assert record.answered == 3
    assert [seen["mask"].tolist() for seen in record.seen] == [[False, False, True, True]] * 3
    assert not any(np.shares_memory(w, arrays["w"]) for w, arrays in zip(handed, CASES.arrays, strict=True))


def test_a_fault_of_one_case_does_not_end_the_others_and_is_told_once() -> None:
    def mask(w: np.ndarray) -> np.ndarray:
        if w[0] > 1:
            raise ValueError("too large")
        return w > 2

    record = masked(mask)
    assert [(f.kind, f.step) for f in record.faults] == [("raised", 2)]
    assert "too large" in record.faults[0].message
    assert "'two'" in record.faults[0].message
    assert [seen is None for seen in record.seen] == [False, True, True]


def test_what_is_handed_over_must_come_back_unchanged() -> None:
    def mask(w: np.ndarray) -> np.ndarray:
        kept = w > 2
        w[0] = 0
        return kept

    record = masked(mask)
    assert {f.kind for f in record.faults} == {"mutated"}
    assert record.answered == 0


def test_a_refusal_is_no_fault() -> None:
    def mask(w: np.ndarray) -> np.ndarray:
        raise CandidateError("it takes matrices alone")

    with pytest.raises(CandidateError, match="matrices alone"):
        masked(mask)


def test_a_kind_with_state_goes_no_further_after_a_fault() -> None:
    steps = []

    def step(p: np.ndarray, g: np.ndarray, lr: float) -> np.ndarray:
        steps.append(1)
        if len(steps) == 2:
            raise ValueError("once")
        return p - p.dtype.type(lr) * g

    rule, kind = SGD(lr=0.5), kind_of("optimizer")
    cases = Inputs.of([1.0], [[1.0]] * 4)
    record = drive(kind, kind.resolve(step, rule, {}, None), rule, cases)
    assert len(steps) == 2
    assert [(f.kind, f.step) for f in record.faults] == [("raised", 2)]
    assert record.steps == 1
    assert record.seen[1].params[0].tolist() == [0.5]


class Clips:
    """Descent that clips the gradients that it is handed in place, as `torch.nn.utils.clip_grad_norm_` does."""

    name = "clips"
    state: list[dict[str, np.ndarray]] = [{}]

    def start(self, rule: SGD, params: list[np.ndarray]) -> Clips:
        self.lr, self.params = rule.lr, params
        return self

    def step(self, grads: list[np.ndarray]) -> None:
        for p, g in zip(self.params, grads, strict=True):
            g *= g.dtype.type(0.5)
            p -= p.dtype.type(self.lr) * g

    def observe(self) -> Observation:
        return Observation(self.params, self.state)


def test_a_gradient_that_is_written_into_ends_no_run() -> None:
    """What it was handed is a copy: the fault stands once, and each step is seen."""
    rule, kind = SGD(lr=0.5), kind_of("optimizer")
    record = drive(kind, Clips(), rule, Inputs.of([1.0], [[1.0]] * 4))
    assert [(f.kind, f.step) for f in record.faults] == [("mutated", 1)]
    assert [float(seen.params[0][0]) for seen in record.seen] == [1.0, 0.75, 0.5, 0.25, 0.0]
