"""Every rule, rewritten: what means the same is accepted, what does not is rejected."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad.optimizers.base import Optimizer
from refgrad.rule import rules
from tests.depth import at_depth
from tests.oracle.rewritten import LEGAL, MUTANTS, ids, rewritten

#: a fault that shows in the first steps shows in more; what does not show there is looked at for as long as by default
STEPS_OF_MUTANTS = at_depth(quick=(3, 10), suite=(3, 10), thorough=(10,))
STEPS = at_depth(quick=3, suite=5, thorough=10)


@pytest.mark.sample(quick=4, suite=16)
@pytest.mark.parametrize("case", MUTANTS, ids=ids)
def test_a_mutant_is_rejected(case: tuple[Any, ...]) -> None:
    rule, mutant = case[0], rewritten(*case)
    verdicts = (refgrad.verify(mutant, rule, steps=n, shrink=False, explain=False) for n in STEPS_OF_MUTANTS)
    assert any(verdict.exit_code == 1 for verdict in verdicts), f"{rule} accepts it"


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=2)
@pytest.mark.parametrize("case", LEGAL, ids=ids)
def test_what_means_the_same_is_accepted(case: tuple[Any, ...]) -> None:
    rule = case[0]
    verdict = refgrad.verify(rewritten(*case), rule, steps=STEPS, shrink=False, explain=False)
    assert verdict.exit_code == 0, str(verdict)


def test_every_rule_is_rewritten_both_ways() -> None:
    shipped = set(rules(Optimizer))
    assert {type(case[0]).__name__ for case in LEGAL} == shipped
    assert {type(case[0]).__name__ for case in MUTANTS} | {"AdamW"} == shipped  # AdamW's mutants are in adam_cases
