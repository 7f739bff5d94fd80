"""A candidate whose steps are random programs: it conforms, and each seed and block is another program."""

from __future__ import annotations

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.kinds.table import kind_of
from refgrad.optimizers import AdaHessian, AdamW, PolyakSGD
from refgrad.oracle.engine.drive import drive
from refgrad.oracle.inputs.steps import generate
from refgrad.strength.random_candidate import RandomCandidate
from refgrad.strength.rounding_styles import STYLES


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("style", STYLES)
def test_it_conforms_under_the_policy_of_its_style(style: str) -> None:
    taken = STYLES[style]
    for rule in (AdamW(), AdaHessian()):  # of which one takes another array besides
        assert refgrad.verify(RandomCandidate(taken), rule, steps=3, policy=taken.policy).conforms


def test_a_rule_that_couples_its_leaves_is_run_on_one() -> None:
    with pytest.raises(ArgumentError, match="2 leaves; legal: one"):
        RandomCandidate(STYLES["rewritten"]).start(PolyakSGD(), [np.zeros(2, np.float32)] * 2)


def last_parameter(seed: int, blocks: int = 1) -> np.ndarray:
    candidate, rule = RandomCandidate(STYLES["rewritten"], seed, blocks), AdamW()
    record = drive(kind_of(rule), candidate, rule, generate(4, "float32", 0))
    return np.asarray(record.seen[-1].params[0])


def test_seeds_and_blocks_are_other_programs() -> None:
    assert np.array_equal(last_parameter(1), last_parameter(1))
    assert not np.array_equal(last_parameter(1), last_parameter(2))
    assert not np.array_equal(last_parameter(1), last_parameter(1, blocks=8))
    assert np.allclose(last_parameter(1), last_parameter(1, blocks=8), atol=1e-5)
