"""What is given as one slot may be the result of another one: it is read before it is overwritten, by every backend."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic.primitives import tree_sum
from refgrad.axes import ROW, TENSOR
from refgrad.optimizers import LBFGS
from refgrad.optimizers.base import Optimizer
from refgrad.rule import Slot, State, zeros_like_param
from refgrad.tracing import literal
from tests.backends.test_same_bits import bits


class Rotated(Optimizer):
    """Slots with the same axes take one another's places; the parameter takes that of one, which depends on a sum of sums."""

    state = State(
        a=zeros_like_param,
        b=zeros_like_param,
        row1=Slot(axes=ROW),
        row2=Slot(axes=ROW),
        one=Slot(axes=TENSOR),
        other=Slot(axes=TENSOR),
    )

    def update(self, p: Any, g: Any, a: Any, b: Any, row1: Any, row2: Any, one: Any, other: Any, t: Any) -> Any:  # type: ignore[override]
        last = g + tree_sum(tree_sum(p * b, "row") * a) + row1 + one
        return a, b, last, row2, row1, other, one


def filled(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
    """A parameter, a gradient, and a state of numbers that are all different."""
    random = np.random.default_rng(0)
    p, g = (random.standard_normal(shape).astype(np.float32) for _ in range(2))
    state = Rotated().init(p)
    return p, g, {n: v if n == "t" else random.standard_normal(v.shape).astype(np.float32) for n, v in state.items()}


@pytest.mark.parametrize("shape", [(), (5,), (4, 3)], ids=str)
@pytest.mark.parametrize("backend", ["numpy", pytest.param("numba", marks=pytest.mark.slow)])
def test_slots_that_change_places(backend: str, shape: tuple[int, ...]) -> None:
    rule, (p, g, state) = Rotated(), filled(shape)
    expected = literal(rule, {"p": p, "g": g, **{n: v for n, v in state.items() if n != "t"}}, {"t": 1.0})
    new, after = rule.step(p, g, state, backend=backend)
    assert bits(new) == bits(state["a"])
    assert {n: bits(v) for n, v in {**after, "p": new}.items() if n != "t"} == {n: bits(v) for n, v in expected.items()}
    q, in_place = p.copy(), {n: v if n == "t" else v.copy() for n, v in state.items()}
    rule.step_(q, g, in_place, backend=backend)
    assert bits(q) == bits(new)
    assert {n: bits(v) for n, v in in_place.items()} == {n: bits(v) for n, v in after.items()}


def test_the_step_that_lbfgs_remembers_is_the_one_that_was_subtracted() -> None:
    """The latest pair is the step before this one, which is the slot that is overwritten with this one."""
    rule = LBFGS(difference="steps", history=3)
    random = np.random.default_rng(1)
    p = random.standard_normal(6)
    state = rule.init(p)
    for _ in range(4):
        before, (p, state) = state, rule.step(p, random.standard_normal(6), state, backend="numpy")
        if before["t"]:
            assert bits(state["s1"]) == bits(before["previous"])
