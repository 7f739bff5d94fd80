"""No legal program of any estimator is rejected, and no mutant of any is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from refgrad.estimators.base import Estimator
from refgrad.rule import rules
from refgrad.strength.legal_programs import measure_random
from refgrad.strength.mutants import measure_mutants
from refgrad.strength.programs import programs_of
from refgrad.strength.survivor_reasons import reason

#: mutants of a rule that are looked at here; ``python -m refgrad.strength`` looks at all
MOST = 10
ALL = [cls() for cls in rules(Estimator).values()]


@pytest.mark.sample(quick=2, suite=18)
@pytest.mark.parametrize("rule", ALL, ids=str)
def test_legal_programs_conform(rule: Any) -> None:
    found = measure_random(programs_of(rule), 1)
    assert found.outside == 0
    assert found.values > 2 * found.undecided


@pytest.mark.sample(quick=2, suite=12)
@pytest.mark.parametrize("rule", ALL, ids=str)
def test_mutants_are_rejected(rule: Any) -> None:
    programs = programs_of(rule)
    found = measure_mutants(programs, programs.mutants(list(programs.cases(0)), MOST).tried)
    assert found.made
    assert [s.name for s in found.survivors if reason(type(rule).__name__, s.name) is None] == []
