"""Scalings: whole numbers exactly, rates to within the roundings of float64, one number for each result."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError
from refgrad.kinds.scaling import KIND
from refgrad.optimizers import BatchScaledRate, RegimeAdaptation
from refgrad.oracle.acceptance.judgement import INSIDE
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.inputs.cases import Cases
from refgrad.testing import check_laws

ARRAYS = {"batch": np.array(384.0), "epochs": np.array(90.0)}


def inside(rule: Any, **seen: float) -> dict[str, bool]:
    found = KIND.judge(rule, ARRAYS, {n: np.asarray(v) for n, v in seen.items()}, Policy())
    return {n: bool(judged.status == INSIDE) for n, (judged, _) in found.items()}


@pytest.mark.parametrize("law", ["linear", "sqrt"])
def test_a_rate_is_right_to_within_roundings(law: str) -> None:
    rule = BatchScaledRate(law=law)
    rate = rule.rate(384)
    assert inside(rule, rate=np.nextafter(rate, 1.0)) == {"rate": True}
    assert inside(rule, rate=rate * (1 + 1e-12)) == {"rate": False}
    assert inside(rule, rate=float(np.float32(rate))) == {"rate": float(np.float32(rate)) == rate}
    assert inside(rule, rate=np.nan) == {"rate": False}


def test_whole_numbers_are_right_or_wrong() -> None:
    rule = RegimeAdaptation()
    right = rule.scaled(384, 90)
    assert "epochs" in right
    assert all(inside(rule, **right).values())
    off = {**right, "epochs": right["epochs"] + 1}
    assert {n for n, ok in inside(rule, **off).items() if not ok} == {"epochs"}


@pytest.mark.parametrize("returned", [[0.1, 0.2], "0.1", None, {"speed": 1.0}])
def test_what_is_not_one_number_is_a_fault(returned: Any) -> None:
    with pytest.raises(CandidateFault, match="legal: "):
        KIND.results(BatchScaledRate(), ARRAYS, returned, "it")


def test_one_number_is_the_rate_and_others_go_by_name() -> None:
    rule = RegimeAdaptation()
    assert set(KIND.results(rule, ARRAYS, 0.5, "it")) == {"rate"}
    assert set(KIND.results(rule, ARRAYS, {**rule.scaled(384, 90), "more": 1.0}, "it")) == set(rule.scaled(1))


def test_smaller_cases_are_smaller_batches() -> None:
    cases = Cases([ARRAYS], [""])
    sizes = [float(c.arrays[0]["batch"][0]) for c in KIND.smaller(BatchScaledRate(), cases, (0,))]
    assert sizes == [1.0, 2.0, 3.0, 192.0]
    one = Cases([{"batch": np.array(1.0)}], [""])
    assert list(KIND.smaller(BatchScaledRate(), one, (0,))) == []


@pytest.mark.parametrize("batch", [0.0, np.nan, [1.0, 2.0]])
def test_batches_are_numbers_from_one(batch: Any) -> None:
    with pytest.raises(ArgumentError, match="batch, one number from 1"):
        KIND.checked(BatchScaledRate(), Cases([{"batch": np.asarray(batch)}], [""]))


def test_a_number_that_is_not_shown_is_named_first() -> None:
    rule = RegimeAdaptation()
    verdict = refgrad.verify(lambda batch: rule.rate(batch), rule)
    assert verdict.conforms, verdict
    assert verdict.unexercised[0] == "epochs: the candidate does not show it"


def test_the_smallest_input_is_written_in_its_own_dtype() -> None:
    verdict = refgrad.verify(lambda batch: 7.0, BatchScaledRate(), explain=False)
    assert "inputs=refgrad.Cases.of('float64', batch=[1.0], epochs=[" in verdict.reproduce


def test_no_law_holds_within_rounding_of_a_constant() -> None:
    reports = {r.law: r.outcome for r in check_laws(lambda batch: 7.0, BatchScaledRate(), examples=5)}
    assert reports["own batch"] == "broken"
    assert "holds within rounding" not in reports.values()
