"""The steps of a long run that are furthest from the rule are judged, whichever they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.kinds.strays import MOST, distances, strays
from refgrad.optimizers import SGD, Lion

F = np.float32


def test_the_furthest_steps_of_each_output_are_found() -> None:
    far = {"p": {3: 2.0, 5: 4.0, 6: 3.0, 8: 1.0}, "m": {8: 1.0}}
    found = strays([lambda t: {name: at.get(t, 0.0) for name, at in far.items()}], range(1, 9))
    assert {3, 5, 6, 8} <= found
    assert len(found) <= 2 * MOST


def test_a_distance_is_measured_beside_the_largest_number_of_a_step() -> None:
    p, g = np.full(2, 8.0, F), np.full(2, 7.0, F)
    found = distances(SGD(lr=1.0), {"p": p, "g": g}, {"t": 1.0}, {"p": np.asarray([1.0, 1.5], F)})
    assert found == {"p": 0.5 / 8.0}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_is_as_far_as_can_be(value: float) -> None:
    given = {"p": np.ones(1, F), "g": np.zeros(1, F)}
    assert distances(SGD(lr=1.0), given, {"t": 1.0}, {"p": np.asarray([value], F)}) == {"p": np.inf}


@pytest.mark.slow
@pytest.mark.parametrize(("first", "last"), [(18, 19), (140, 150)])
def test_a_stretch_of_wrong_steps_is_found_wherever_it_is(first: int, last: int) -> None:
    steps = 0

    def lion(p: Any, g: Any, m: Any, t: int, lr: float, beta1: float, beta2: float, weight_decay: float) -> Any:
        nonlocal steps
        steps += 1
        u = np.sign(F(beta1) * m + F(1 - beta1) * g)
        rate = lr * 1.001 if first <= t <= last else lr
        return p * F(1 - lr * weight_decay) - F(rate) * u, F(beta2) * m + F(1 - beta2) * g

    verdict = refgrad.verify(lion, Lion(lr=0.01), explain=False, shrink=False)
    assert steps
    assert verdict.situation.startswith("repeated gradients" if last < 25 else "late steps")
    assert verdict.first is not None
    assert first <= verdict.first.step <= last
