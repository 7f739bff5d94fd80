"""Steps far along: the count is set where a state that was saved late has it, so that few steps are taken."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from refgrad.arithmetic.scalar_math import names_in
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.calls import LATE, small_run
from refgrad.oracle.inputs.cases import Cases

#: counts that stand before a step or two: past round numbers and powers of two, where a count of 16 bits is full, with and
#: without a sign, and where one in float16 (from 2049 on) or bfloat16 no longer counts on
COUNTS = {999: 2, 2050: 1, 4096: 1, 10_000: 1, 32_767: 1, 65_536: 1}
#: steps that are taken before, by which a candidate shows where it keeps its count
FIRST = 2
#: the name of the situation
FAR_STEPS = "far steps"
#: rules' own numbers of steps beyond this are past what any count holds exactly in float32
MOST = 2**24


def far_steps(rule: Optimizer, dtype: np.dtype, seed: int) -> Cases | None:
    """One small leaf at its first steps, then at steps far along; None of a rule whose step does not depend on the count.

    The state is that of the steps before: each step is judged from it, whatever it is.

    Args:
        rule: what the leaf is for.
        dtype: of parameter and gradients.
        seed: of the numbers.
    """
    if not counts(rule):
        return None
    told, at = {}, FIRST
    for count, steps in sorted({**dict(_own(rule)), **COUNTS}.items()):
        told[at] = count
        at += steps
    judged = frozenset(range(FIRST, at))  # the first steps are those of every run
    cases = small_run(rule, dtype, seed, at, ((3, 2),))
    p = cases.p[0].copy()
    p[1:] = 0  # beside an ordinary parameter a small difference of the update is lost
    return dataclasses.replace(cases.with_array(0, "p", p), counts=told, judged=judged)


def counts(rule: Optimizer) -> bool:
    """True if a step depends on how many there were before.

    Args:
        rule: an optimizer.

    >>> from refgrad.optimizers import SGD, Adam
    >>> counts(Adam()), counts(SGD(lr=0.1))
    (True, False)
    """
    graph = rule.plan((2, 2), 1).graph
    return any("t" in names_in(each) for each in (*graph.scalars(), *(guard for guard, _ in graph.guards)))


def numbers_kept(rule: Optimizer) -> bool:
    """True if the state has numbers that follow from all steps before, as of no late state that is made up.

    Args:
        rule: an optimizer.
    """
    return any(slot.scalar for slot in rule.slots().values())


def why_not_far(rule: Optimizer, last: int = LATE) -> str:
    """Why no step far along was driven, of a rule whose step depends on the count.

    Args:
        rule: an optimizer.
        last: the last step that was driven.
    """
    if numbers_kept(rule):
        why = "the state has numbers that follow from all steps before"
    elif rule.inner_rules():
        why = "counts within counts are not set"
    else:
        why = "the count of steps cannot be set"
    return f"{FAR_STEPS}: {why}, so that none beyond {last} is driven"


def _own(rule: Optimizer) -> Iterator[tuple[int, int]]:
    """Before and after each of the rule's own numbers that may be one of steps and that no other run reaches."""
    for name in sorted(rule.reads() & rule.numbers().keys()):
        value = rule.numbers()[name]
        if LATE <= value < MOST and value.is_integer():
            yield int(value) - 1, 2
