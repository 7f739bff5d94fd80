"""The line that gives a verdict again: its rules and arrays are those that it was made from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import optimizers, quantizers, sparsity
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.engine.reproduce import call, called, nested
from refgrad.rule import Positive, Rule

RULES: list[Rule] = [
    optimizers.AdamW(),
    optimizers.SGD(lr=0.5, nesterov=True, momentum=0.9),
    optimizers.Lookahead(inner=optimizers.SGD(lr=0.5)),
    optimizers.GradientBefore(of=optimizers.ClipByValue(bound=2.0)),
    quantizers.EightBit(optimizers.Adam(lr=0.5), min_8bit_size=1),
    sparsity.NOfM(n=1, m=4),
]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_call_makes_the_rule(rule: Rule) -> None:
    assert eval(called(rule), {"refgrad": refgrad}) == rule


def test_what_was_asked_for_is_said_and_what_was_not_is_left_out() -> None:
    given = {"options": {"fused": True}, "policy": {"roundings": 5}, "state_names": None}
    line = call("verify", "torch.optim:AdamW(fused=True)", optimizers.AdamW(), "steps=2", given)
    assert line == (
        "refgrad.verify('torch.optim:AdamW', refgrad.optimizers.AdamW(), steps=2, "
        "options={'fused': True}, policy={'roundings': 5})"
    )
    unbounded = call("verify", "m:f", optimizers.SGD(), "steps=2", {"options": {"limits": (0.0, float("inf"))}})
    assert unbounded.endswith("options={'limits': (0.0, float('inf'))})")  # no name that nobody has defined
    assert call("identify", "mine", optimizers.SGD(lr=0.5), "steps=2", {"options": {}}) == (
        "refgrad.identify(mine, refgrad.optimizers.SGD(lr=0.5), steps=2)"
    )


def test_a_rule_of_someone_else_is_called_by_the_place_that_it_is_in() -> None:
    class Mine(Optimizer):
        lr: Positive = 0.1

    rule = Mine(lr=0.5)
    Mine.__module__ = "mine"  # which is in no package
    assert called(rule) == "mine.Mine(lr=0.5)"


ARRAYS: list[Any] = [
    [[1.0, -0.0], [2.0**-149, 0.1]],
    [np.nan, np.inf, -np.inf, 3.0],
    [[[1e30], [7.0]]],
    [999.0, 1000.0, 0.5],
]


@pytest.mark.parametrize("values", ARRAYS, ids=str)
def test_arrays_are_written_exactly(values: Any) -> None:
    array = np.asarray(values, np.float32)
    text = repr(nested(array))
    for made in (refgrad.Cases.of("float32", w=eval(text)).arrays[0],):
        assert made["w"].shape == array.shape
        assert made["w"].tobytes() == array.tobytes()
