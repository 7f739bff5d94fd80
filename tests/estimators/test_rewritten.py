"""No legal program of any estimator is rejected, and no mutant of any is accepted."""

from __future__ import annotations

from typing import Any

import pytest

from refgrad.estimators.base import Estimator
from refgrad.rule import rules
from tests.oracle.strength import casewise
from tests.oracle.strength.reasons import reason
from tests.oracle.strength.subjects import subject

#: mutants of a rule that are looked at here; ``python -m tests.oracle.strength`` looks at all
MOST = 10
ALL = [cls() for cls in rules(Estimator).values()]


@pytest.mark.parametrize("rule", ALL, ids=str)
def test_legal_programs_conform(rule: Any) -> None:
    found = casewise.random_programs(subject(rule), 1)
    assert found["outside"] == 0
    assert found["values"] > 2 * found["undecided"]


@pytest.mark.parametrize("rule", ALL, ids=str)
def test_mutants_are_rejected(rule: Any) -> None:
    tried = subject(rule)
    found = casewise.mutants(tried, tried.mutants(list(tried.cases(0))[: tried.few], MOST))
    assert found["made"]
    assert [s["name"] for s in found["survivors"] if reason(type(rule).__name__, s["name"]) is None] == []
