"""No legal program of any mask or mask update is rejected, and no mutant of any is accepted."""

from __future__ import annotations

from typing import Any

import pytest

import refgrad
from refgrad.rule import rules
from refgrad.sparsity import NOfM, Transposable
from refgrad.sparsity.base import Mask
from refgrad.sparsity.dynamic import MaskUpdate
from refgrad.strength.legal_programs import measure_random
from refgrad.strength.mutants import measure_mutants
from refgrad.strength.programs import programs_of

MASKS = [cls() for cls in rules(Mask).values()]
MASKS += [Transposable(method="greedy_pruned"), Transposable(method="at_most"), NOfM(n=1, m=8), Transposable(n=3, m=6)]
UPDATES = [cls() for cls in rules(MaskUpdate).values()]
#: mutants of a rule's scores that are looked at
MOST = 12


@pytest.mark.sample(quick=2, suite=16)
@pytest.mark.parametrize("rule", [*MASKS, *UPDATES], ids=str)
def test_legal_programs_conform(rule: Any) -> None:
    found = measure_random(programs_of(rule), 1)
    assert found.outside == 0
    assert found.undecided > 0 or type(rule).__name__ in ("Movement", "RandomMask", "SoftMovement")


@pytest.mark.sample(suite=16)
@pytest.mark.parametrize("rule", [*MASKS, *UPDATES], ids=str)
def test_mutants_are_rejected(rule: Any) -> None:
    programs = programs_of(rule)
    found = measure_mutants(programs, programs.mutants(list(programs.cases(0)), MOST).tried)
    assert found.made >= 5
    assert found.survivors == ()


@pytest.mark.sample(quick=1, suite=2)
@pytest.mark.parametrize("rule", UPDATES, ids=str)
def test_named_variants_of_mask_updates_are_told_apart(rule: Any) -> None:
    for text, variant in rule.variants():
        if text.startswith(("scalars", "ties")):
            continue
        verdict = refgrad.verify(variant, rule, shrink=False)
        assert not verdict.conforms, text
        assert verdict.explanation is not None
