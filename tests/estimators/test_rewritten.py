"""No legal program of any estimator is rejected, and no mutant of any is accepted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad import Cases
from refgrad.estimators.base import Estimator
from refgrad.oracle.aimed import generate
from refgrad.rule import rules
from tests.oracle.graph_programs import legal, mutants, mutated

#: mutants of a rule that are looked at here; `python -m tests.estimators.test_rewritten` looks at all
MOST = 10
ALL = [cls() for cls in rules(Estimator).values()]


class FromGraph:
    """A candidate whose results are made of arrays by a function; choices are the reference's own."""

    name = "a program"

    def __init__(self, function: Callable[..., dict[str, np.ndarray]]) -> None:
        self.function = function

    def start(self, rule: Any) -> Callable[..., dict[str, np.ndarray]]:
        return lambda arrays: self.function(rule.prepared(arrays) if rule.chosen else arrays)


def cut(rule: Any, cases: Cases, rows: int, columns: int) -> Cases:
    """The first rows and columns of each case, with the choices that follow from these."""
    found = []
    for arrays in cases.arrays:
        few = {n: a[:rows, :columns].copy() for n, a in arrays.items() if n not in rule.chosen}
        found.append(rule.prepared(few))
    return Cases(found, cases.names, cases.seed)


def judged(rule: Any, function: Callable[..., dict[str, np.ndarray]], cases: Cases) -> Any:
    return refgrad.verify(FromGraph(function), rule, inputs=cases, shrink=False, explain=False, time_limit=float("inf"))


@pytest.mark.parametrize("rule", ALL, ids=str)
def test_legal_programs_conform(rule: Any) -> None:
    random = np.random.Generator(np.random.Philox(1))
    cases = cut(rule, generate(rule, 6, np.dtype(np.float32), 2), 16, 32)
    verdict = judged(rule, lambda arrays: legal(rule, arrays, random), cases)
    assert verdict.conforms, str(verdict)


@pytest.mark.parametrize("rule", ALL, ids=str)
def test_mutants_are_rejected(rule: Any) -> None:
    assert not survivors(rule, MOST)


def survivors(rule: Any, most: int) -> list[str]:
    """The mutants that are accepted."""
    whole = generate(rule, 3, np.dtype(np.float32), 3)
    few = cut(rule, whole, 4, 16)
    assert judged(rule, lambda arrays: mutated(rule, None, arrays), few).conforms
    found = mutants(rule, list(cut(rule, whole, 2, 4).arrays[:2]), MOST)
    assert found
    left = []
    for mutation in found:
        function = lambda arrays, m=mutation: mutated(rule, m, arrays)  # noqa: E731
        if judged(rule, function, few).conforms and judged(rule, function, whole).conforms:
            left.append(mutation.name)
    return left


def main() -> None:
    """Every mutant of every estimator, or of those named."""
    import sys

    for rule in [rules(Estimator)[n]() for n in sys.argv[1:]] or ALL:
        print(rule, survivors(rule, 10_000), flush=True)


if __name__ == "__main__":
    main()
