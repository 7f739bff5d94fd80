"""Every rule of the room: programs with an operation of its body replaced, or another answer in its place, are refused."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.kinds.table import kind_of
from refgrad.optimizers.transform import Transform
from refgrad.rule import rules
from tests.gradients.judged import verdict

RULES = [cls() for cls in rules(Transform).values() if cls.__module__.startswith("refgrad.gradients")]
#: replaced operations of each rule that are tried; some of them are the same in real arithmetic
TRIED = 4


def doubled(rule: Transform) -> Any:
    """A program that gives twice what is right, and one where that is zero."""

    def result(found: Any) -> Any:
        return np.where(found == 0, 1.0, 2.0 * found).astype(found.dtype)

    def program(*arrays: np.ndarray) -> Any:
        found = rule(*arrays)
        if isinstance(found, dict):
            return {name: result(np.asarray(each)) for name, each in found.items()}
        return tuple(map(result, map(np.asarray, found))) if isinstance(found, tuple) else result(np.asarray(found))

    return program


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_twice_what_is_right_is_refused(rule: Transform) -> None:
    assert not verdict(doubled(rule), rule).conforms


@pytest.mark.sample(quick=2, suite=24)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_programs_with_an_operation_replaced_are_refused(rule: Transform) -> None:
    kind: Any = kind_of(rule)
    found = list(kind.rewritten(rule))
    step = max(1, len(found) // TRIED)
    tried = [kind.departed(rule, how) for _, _, how in found[::step][:TRIED]]
    assert not tried or any(
        not refgrad.verify(partial(_called, each), rule, explain=False, shrink=False).conforms for each in tried
    )


def _called(departed: Any, *arrays: np.ndarray) -> Any:
    return departed(*arrays)
