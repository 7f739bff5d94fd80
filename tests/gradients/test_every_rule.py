"""Every rule of the room: programs with an operation of its body replaced, or another answer in its place, are refused."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest

from refgrad.kinds.result_faults import faults_of
from refgrad.kinds.table import kind_of
from refgrad.optimizers.transform import Transform
from refgrad.oracle.acceptance.bodies import named
from refgrad.oracle.inputs.transforms import generate
from refgrad.rule import rules
from tests.gradients.judged import verdict

RULES = [cls() for cls in rules(Transform).values() if cls.__module__.startswith("refgrad.gradients")]
#: replaced operations of each rule that are tried, of those that are not the same within this share of a result
TRIED, APART = 6, 1e-3


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


@pytest.mark.sample(quick=2, suite=60)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_twice_what_is_right_is_refused(rule: Transform) -> None:
    assert not verdict(doubled(rule), rule).conforms


def differs(program: Any, rule: Transform) -> bool:
    """True if a program is another function than the rule on what `verdict` drives: on ordinary numbers, in float64."""
    for arrays in generate(rule, 8, np.dtype(np.float32), 0).arrays[:1]:
        wide = [a.astype(np.float64) if a.dtype.kind == "f" else a for a in arrays.values()]
        with np.errstate(all="ignore"):
            own, other = ([np.asarray(each, float) for each in named(each(*wide)).values()] for each in (rule, program))
        for right, wrong in zip(own, other, strict=True):
            if (np.abs(right - wrong) > APART * np.max(np.abs(right), initial=0.0)).any():
                return True
    return False


@pytest.mark.sample(quick=2, suite=12)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_programs_with_an_operation_replaced_are_refused(rule: Transform) -> None:
    """Every one that is tried, where it is another function; of a rule without steps its results with factors."""
    kind: Any = kind_of(rule)
    arrays = generate(rule, 1, np.dtype(np.float64), 0).arrays[0]
    if rule.by_steps:
        programs = [(words, partial(_called, kind.departed(rule, how))) for words, _, how in kind.rewritten(rule)]
    else:
        programs = [(fault.words, partial(_made, fault, rule)) for fault in faults_of(rule, arrays)]
    told = [(words, program) for words, program in programs if differs(program, rule)]
    tried = told[:: max(1, len(told) // TRIED)][:TRIED]
    assert tried, "no fault of it is another function"
    assert [words for words, program in tried if verdict(program, rule).conforms] == []


def _called(departed: Any, *arrays: np.ndarray) -> Any:
    return departed(*arrays)


def _made(fault: Any, rule: Transform, *arrays: np.ndarray) -> Any:
    return {name: np.asarray(each).astype(arrays[0].dtype) for name, each in named(fault.made(rule, arrays)).items()}
