"""What hypotheses are tried on shows what is wrong with the whole run."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.estimators import ClippedSTE
from refgrad.optimizers import SGD, RAdam
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.run import Claim
from refgrad.oracle.hypotheses.changes import NONE
from refgrad.oracle.hypotheses.run_screen import RunScreen
from refgrad.oracle.hypotheses.screen import StepScreen
from refgrad.oracle.hypotheses.screens import screen_like, screen_of, some_wrong, telling_screen
from refgrad.oracle.hypotheses.stack import _chosen
from refgrad.oracle.hypotheses.stacked import ELEMENTS
from refgrad.oracle.inputs.written import Inputs

RANDOM = np.random.default_rng(3)
P, *G = (RANDOM.standard_normal((40, 40)).astype(np.float32) for _ in range(3))
#: an element that is not looked at where nothing says that it is wrong
HIDDEN = next(i for i in range(P.size) if i not in _chosen(P.size, 0, ELEMENTS))


def wrong_at_one(p: Any, g: Any) -> Any:
    new = p - np.float32(0.1) * g
    new.reshape(-1)[HIDDEN] += 1
    return new


def test_what_is_wrong_is_looked_at_though_it_is_one_element() -> None:
    claim = Claim.of(Request.of(wrong_at_one, SGD(lr=0.1), inputs=Inputs([P], [[g] for g in G])))
    record = claim.driven(claim.cases())
    assert {leaf: list(places) for leaf, places in some_wrong(claim, record).items()} == {0: [HIDDEN]}
    few, enough = (telling_screen(claim, record, wrong).counts(NONE) for wrong in (lambda: False, lambda: True))
    assert few == screen_of(claim, record).counts(NONE)
    assert few is not None
    assert enough is not None
    assert (few["p"].outside, enough["p"].outside) == (0, len(G))


def test_steps_that_are_judged_have_mutants_too() -> None:
    """Those of the first two plans: what only the judge tells apart, such as the sign of zero, has a name."""
    rule = RAdam()
    claim = Claim.of(Request.of(rule, rule, inputs=Inputs([P], [[g] for g in (*G, *G, *G, *G)])))
    plans = RunScreen(claim.kind, claim.driven(claim.cases()), claim.request.policy).plans(NONE)
    assert [plan.rule for plan in plans] == [rule] * len(plans)
    assert len(plans) == 2


def test_another_run_is_looked_at_where_a_candidate_is() -> None:
    """Else a control would fit what shows at these elements alone."""
    claim = Claim.of(Request.of(wrong_at_one, SGD(lr=0.1), inputs=Inputs([P], [[g] for g in G])))
    record = claim.driven(claim.cases())
    screen = telling_screen(claim, record, lambda: True)
    assert isinstance(screen, StepScreen)
    other = screen_like(screen, claim, record, record)
    assert isinstance(other, StepScreen)
    assert other.counts(NONE) == screen.counts(NONE)
    assert screen_like(screen_of(claim, record), claim, record, record) is None


def test_a_whole_run_is_looked_at_as_a_whole() -> None:
    claim = Claim.of(Request.of(ClippedSTE(), ClippedSTE()))
    record = claim.driven(claim.cases())
    other = screen_like(RunScreen(claim.kind, record, claim.request.policy), claim, record, record)
    assert isinstance(other, RunScreen)
    assert other.record is record
