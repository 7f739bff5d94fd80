"""The oracle accepts every legal way of writing AdamW and rejects every wrong one."""

from __future__ import annotations

import numpy as np
import pytest

import refgrad
from refgrad.optimizers import AdamW
from refgrad.oracle.engine.verdict import WrongImplementationError
from tests.depth import at_depth
from tests.oracle.adam_cases import LEGAL, MUTANTS, Program


def judged(program: Program, **options: object) -> refgrad.Verdict:
    """The verdict on a program as a function of NumPy arrays."""

    def candidate(p, g, m, v, t):
        with np.errstate(all="ignore"):
            return program(p, g, m, v, t)

    return refgrad.verify(candidate, AdamW(), **options)


#: sets of inputs for each legal program, each with a third of a million numbers of the parameter
SEEDS = at_depth(quick=1, suite=1, thorough=3)


@pytest.mark.sample(suite=2)
@pytest.mark.slow
@pytest.mark.parametrize("name", LEGAL)
def test_legal_programs_are_accepted(name: str) -> None:
    for seed in range(SEEDS):
        verdict = judged(LEGAL[name], steps=28, seed=seed)
        assert verdict.conforms, str(verdict)
        assert verdict.counts["p"].total * 3 > 1_000_000
        assert verdict.total.undecided == 0


@pytest.mark.sample(quick=3, suite=10)
@pytest.mark.parametrize("name", MUTANTS)
def test_mutants_are_rejected(name: str) -> None:
    verdict = judged(MUTANTS[name], shrink=False, explain=False)
    assert verdict.total.outside > 0


@pytest.mark.slow
def test_the_negative_control_fails() -> None:
    with pytest.raises(WrongImplementationError, match="DOES NOT CONFORM"):
        judged(MUTANTS["eps inside the root"], steps=3, explain=False, shrink=False).raise_if_wrong()


@pytest.mark.slow
def test_the_sets_are_not_slack() -> None:
    """Some legal program comes near the edge: the sets could not be much smaller."""
    assert any(judged(program, steps=5).tightest["p"] > 0.5 for program in LEGAL.values())


@pytest.mark.slow
def test_the_smallest_failing_input_is_one_element() -> None:
    verdict = judged(MUTANTS["eps inside the root"], explain=False)
    assert verdict.counterexample is not None
    assert np.prod(verdict.counterexample.shape) == 1
    assert len(verdict.counterexample.g) == 1
