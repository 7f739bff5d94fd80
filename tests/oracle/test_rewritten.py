"""Every rule, rewritten: what means the same is accepted, what does not is rejected."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad.optimizers.base import Optimizer
from refgrad.rule import rules
from tests.oracle.rewritten import LEGAL, MUTANTS, rewritten


def ids(case: tuple[Any, ...]) -> str:
    return f"{type(case[0]).__name__}: {case[1]} -> {case[2]}".replace("\n", "")


@pytest.mark.parametrize("case", MUTANTS, ids=ids)
def test_a_mutant_is_rejected(case: tuple[Any, ...]) -> None:
    rule = case[0]
    verdict = refgrad.verify(rewritten(*case), rule, shrink=False, explain=False)
    assert verdict.exit_code == 1, str(verdict)


@pytest.mark.parametrize("case", LEGAL, ids=ids)
def test_what_means_the_same_is_accepted(case: tuple[Any, ...]) -> None:
    rule = case[0]
    verdict = refgrad.verify(rewritten(*case), rule, shrink=False, explain=False)
    assert verdict.exit_code == 0, str(verdict)


def test_every_rule_is_rewritten_both_ways() -> None:
    shipped = {name for name, cls in rules(Optimizer).items() if cls.__module__.startswith("refgrad.")}
    assert {type(case[0]).__name__ for case in LEGAL} == shipped
    assert {type(case[0]).__name__ for case in MUTANTS} | {"AdamW"} == shipped  # AdamW's mutants are in adam_cases
