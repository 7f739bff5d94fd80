"""Hyperparameters that act through decisions alone: where these turn over."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.optimizers import Lion
from refgrad.oracle.hypotheses import crossings
from refgrad.oracle.hypotheses.changes import NONE
from refgrad.oracle.hypotheses.residuals import problem_of
from tests.oracle.hypotheses.runs import screen_of


def test_the_value_with_which_no_sign_is_wrong() -> None:
    used = Lion(beta1=0.8)
    problem = problem_of(screen_of(used, Lion()), NONE, "p")
    assert problem is not None
    assert problem.decided == ["beta1"]
    value = crossings.value_of(problem, "beta1", problem.numbers)
    assert value is not None
    assert problem.refined({"beta1": value}).outside == 0
    low, high = crossings.interval(problem, "beta1", value, problem.numbers)
    assert low <= 0.8 <= high
    assert not low <= Lion().beta1 <= high
    for beyond in (low - 1e-4, high + 1e-4):
        assert problem.refined({"beta1": beyond}).outside > 0


def test_the_last_number_that_fits() -> None:
    assert crossings.edge(lambda v: v < 0.75, 0.5, 1.0) == pytest.approx(0.75, abs=1e-6)
    assert crossings.edge(lambda v: True, 0.5, 1.0) == 1.0


def test_the_middle_of_where_the_fewest_are_wrong() -> None:
    starts, ends = np.asarray([0.0, 0.0, 0.6]), np.asarray([0.2, 0.3, 1.0])
    assert crossings._middle(starts, ends, 0.0, 1.0) == pytest.approx(0.45)
    assert crossings._middle(np.zeros(1), np.ones(1), 0.0, 1.0) == pytest.approx(0.5)
