"""A few planted faults of each kind of rule: what `refgrad.verify` refuses is refused here, and the right program is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.rule import find
from refgrad.strength.situations import SITUATIONS, Fault, Trial, planted
from refgrad.strength.situations.fault import only, spoilt
from refgrad.strength.situations.planting import MOST, program
from refgrad.strength.situations.probe import differ
from refgrad.strength.situations.trial import EQUAL, OUT_OF_REACH, REFUSED, SURVIVES

#: a rule of each kind, which takes little time
RULES = ("SGD", "Perceptron", "BatchScaledRate", "TernGrad", "IdentitySTE", "Magnitude", "RigL")


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=4)
@pytest.mark.parametrize("name", RULES)
def test_the_right_program_conforms_and_some_faults_do_not(name: str) -> None:
    rule = find(name)()
    trial = Trial(rule)
    assert trial.right()
    firsts = {fault.situation: fault for fault in planted(rule)[::-1] if fault.situation not in ("value", "default")}
    for fault in firsts.values():
        assert trial.of(fault).outcome in (REFUSED, EQUAL, OUT_OF_REACH), fault.name


@pytest.mark.slow
@pytest.mark.parametrize("name", ["TernGrad", "Magnitude"])
def test_what_is_found_is_what_verify_finds(name: str) -> None:
    rule = find(name)()
    trial = Trial(rule)
    for fault in planted(rule)[::5]:
        claim = rule if fault.claim is None else fault.claim
        verdict = refgrad.verify(program(claim, fault), claim, explain=False, shrink=False)
        assert (verdict.outcome == "does not conform") == (trial.of(fault).outcome == REFUSED), fault.name


def test_lots_do_not_depend_on_anything_but_the_rule() -> None:
    first, second = (planted(find("Lion")()) for _ in range(2))
    assert [fault.name for fault in first] == [fault.name for fault in second]
    assert {fault.situation for fault in first} == set(SITUATIONS)
    for situation, most in MOST.items():
        assert sum(fault.situation == situation for fault in first) <= most


def test_what_no_default_run_drives_survives_and_is_told_by_the_probe() -> None:
    rule = find("TernGrad")()
    only_there = only(frozenset(), lambda new, old, at: spoilt(new) if at.given["x"].size == 37 else new)
    outcome = Trial(rule).of(Fault("shape", "one length", "arrays of 37 elements are wrong", result=only_there))
    assert outcome.outcome == SURVIVES
    assert "(37,)" in outcome.where


def test_what_changes_nothing_is_no_fault() -> None:
    assert Trial(find("TernGrad")()).of(Fault("part", "none", "nothing is wrong")).outcome == EQUAL


@pytest.mark.parametrize(
    ("one", "other", "different"),
    [
        (np.float32(1), np.float32(1 + 2e-7), False),
        (np.float32(1), np.float32(1.001), True),
        (np.float32(np.nan), np.float32(np.nan), False),
        (np.float32(np.nan), np.float32(1), True),
        (np.float32(np.inf), np.float32(3e38), True),
        (np.array([True]), np.array([False]), True),
        (np.zeros(2), np.zeros(3), True),
    ],
)
def test_a_difference_is_more_than_rounding(one: Any, other: Any, different: bool) -> None:
    assert differ({"y": one}, {"y": other}) == different
