"""A candidate driven as several rules: which share a run, which are dropped, and which is searched in depth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import CandidateError
from refgrad.estimators import TQT, ArcTan, ClippedSTE, Rectangular
from refgrad.optimizers import SGD, Adam, AdamW, AMSGrad
from refgrad.oracle.engine.request import Request
from refgrad.oracle.hypotheses.changes import NONE
from refgrad.oracle.trials import Trial, searched, trials
from refgrad.quantizers import INQ, Affine
from refgrad.rule import Rule


def tried(candidate: Any, rules: Sequence[Rule], claimed: bool = False) -> list[Trial]:
    request = Request(candidate=candidate, rule=rules[0], steps=2, dtype=np.dtype(np.float32), time_limit=60.0)
    return trials(request, rules, claimed)


def test_rules_without_state_of_one_signature_share_a_run() -> None:
    first, second, third = tried(ArcTan(), [ArcTan(), ClippedSTE(), Rectangular()])
    assert first.record.seen[0] is second.record.seen[0] is third.record.seen[0]
    assert [type(t.told) for t in (first, second, third)] == [ArcTan, ClippedSTE, Rectangular]
    assert [t.search.screen.rule for t in (first, second)] == [ArcTan(), ClippedSTE()]


def test_rules_with_state_are_told_apart() -> None:
    first, second = tried(lambda p, g, lr: p - p.dtype.type(lr) * g, [SGD(lr=0.1), SGD(lr=0.2)])
    assert first.record is not second.record
    assert not np.array_equal(first.record.seen[-1].params[0], second.record.seen[-1].params[0])
    assert all(not t.search.run().tried[NONE.key].outside for t in (first, second))


def test_rules_whose_state_is_not_what_was_read_are_dropped() -> None:
    found = tried(AdamW(), [AdamW(), AMSGrad(), SGD()])
    assert [type(t.rule) for t in found] == [AdamW, SGD]


def test_rules_as_which_a_candidate_often_does_not_answer_are_dropped() -> None:
    found = tried(Affine(), [INQ(), Affine()])
    assert [type(t.rule) for t in found] == [Affine]


def test_a_candidate_that_can_be_driven_as_none() -> None:
    with pytest.raises(CandidateError):
        tried(lambda p, g, momenta: (p, momenta), [SGD(), Adam()])


@pytest.mark.slow
def test_the_nearest_is_searched_in_depth() -> None:
    near, *_ = searched(tried(ArcTan(alpha=3.7), [ClippedSTE(), Rectangular(), ArcTan()]))
    assert isinstance(near.rule, ArcTan)
    assert near.best is not None
    assert near.best.change.rule == {"alpha": 3.7}
    assert near.plainness[0] == 0


@pytest.mark.slow
def test_more_elements_tell_more_finely() -> None:
    (trial,) = tried(AdamW(lr=3.3e-3), [AdamW()], claimed=True)
    trial.search.own_values()
    told = trial.search.ranked[0].change
    finer = trial.finer(told)
    assert told.rule == finer.rule == {"lr": 3.3e-3}
    few, many = (next(r for r in c.recovered if r.name == "lr") for c in (told, finer))
    assert many.high - many.low < few.high - few.low
    assert trial.whole == trial.counts(NONE)


def rounded_threshold() -> tuple[Any, Any]:
    """TQT whose scale is the nearest power of two rather than the next, which whole numbers of ``log2_t`` hide."""

    def scale_of(log2_t: np.ndarray, dtype: np.dtype) -> np.ndarray:
        return np.exp2(np.rint(log2_t) - 7).astype(dtype)

    def forward(x: np.ndarray, log2_t: np.ndarray) -> np.ndarray:
        s = scale_of(log2_t, x.dtype)
        return np.clip(np.rint(x / s), -128, 127).astype(x.dtype) * s

    def backward(g: np.ndarray, x: np.ndarray, log2_t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        s = scale_of(log2_t, x.dtype)
        r = np.rint(x / s)
        c = np.where(r < -128, -128, np.where(r > 127, 127, r - x / s))
        total = s * math.log(2.0) * np.sum((g * c).astype(np.float64))
        return g * ((r >= -128) & (r <= 127)), total.astype(x.dtype)

    return forward, backward


@pytest.mark.slow
@pytest.mark.sample(quick=1, suite=1)
@pytest.mark.parametrize("asked", [TQT(), "estimator"], ids=str)
def test_what_verify_refuses_is_not_identified(asked: Any) -> None:
    """Among all rules of a kind too a rule is tried on the cases that are made for it, which aim at its decisions."""
    candidate = rounded_threshold()
    assert refgrad.verify(candidate, TQT(), explain=False, shrink=False).outcome == "does not conform"
    titles = [e.title for e in refgrad.identify(candidate, asked).explanations]
    assert "TQT" not in titles


def test_what_shared_the_cases_of_another_rule_is_driven_with_its_own() -> None:
    found = tried(ArcTan(), [ClippedSTE(), ArcTan()])
    assert [t.shared for t in found] == [False, True]
    near = searched(found)[0]
    assert isinstance(near.rule, ArcTan)
    assert not near.shared
    own = near.claim.cases()
    assert [a.tobytes() for c in near.record.cases.arrays for a in c.values()] == [
        a.tobytes() for c in own.arrays for a in c.values()
    ]
