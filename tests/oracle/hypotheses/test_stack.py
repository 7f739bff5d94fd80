"""Leaves of a run by step: what was there before some steps, and after."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.optimizers import AdamW
from refgrad.oracle.hypotheses.stack import stack_of
from tests.oracle.hypotheses.runs import INPUTS, record_of


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("steps", [(2,), (4,), (1, 3), (1, 2, 3, 4)], ids=str)
def test_steps_are_those_that_are_asked_for(steps: tuple[int, ...], whole: bool) -> None:
    record = record_of(AdamW(), AdamW())
    stack = stack_of(record, [0], whole, elements=10**6)
    before, after = stack.at(steps)
    assert set(before) == {"p", "g", "m", "v"}
    assert set(after) == {"p", "m", "v"}
    for row, t in enumerate(steps):
        seen, then = record.seen[t], record.seen[t - 1]
        wanted = {"p": then.params[0], "g": INPUTS.gradient(t, 0)}
        if t > 1:  # before the first step a state may not be there
            wanted |= {n: np.asarray(then.state[0][n]) for n in ("m", "v")}
        for name, array in wanted.items():
            assert np.array_equal(before[name][row].reshape(-1), np.reshape(array, -1)), (name, t)
        for name, array in {"p": seen.params[0], **{n: seen.state[0][n] for n in ("m", "v")}}.items():
            assert np.array_equal(after[name][row].reshape(-1), np.reshape(array, -1)), (name, t)
