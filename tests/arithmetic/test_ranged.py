"""Choices among numbers that carry bounds: each that may be taken is taken on one way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from refgrad.arithmetic.bounded import Bounded
from refgrad.arithmetic.explorer import Explorer, OpenChoice
from refgrad.arithmetic.ranged import Ranged
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy


def places(values: list[float], errors: list[float]) -> list[int]:
    """Where the least number is said to stand, way by way."""
    model, pending, found = model_for(Policy(), np.dtype(np.float32)), [()], []
    while pending:
        forced = pending.pop()
        x = Ranged(Bounded(np.array(values), np.array(errors)), model, Explorer(forced))
        try:
            found.append(int(np.argmin(x)))
        except OpenChoice:
            pending += [(*forced, False), (*forced, True)]
    return found


@pytest.mark.parametrize(
    ("values", "errors", "wanted"),
    [
        ([3.0, 1.0, 2.0], [0.0, 0.0, 0.0], [1]),
        ([1.0, 1.0, 2.0], [0.0, 0.0, 0.0], [0]),  # of equal ones that are known the first
        ([2.0, 1.0, 1.5, 9.0], [0.1, 0.3, 0.3, 0.1], [1, 2]),
        ([1.0, 1.0, 1.0], [0.1, 0.1, 0.1], [0, 1, 2]),
        ([1.0, 1.05, 1.05, 1.0], [0.0, 0.1, 0.0, 0.0], [0, 1]),
        ([np.inf, np.inf], [0.0, 0.0], [0]),
    ],
)
def test_the_least_is_each_that_may_be_and_on_one_way(
    values: list[float], errors: list[float], wanted: list[int]
) -> None:
    assert sorted(places(values, errors)) == wanted
    assert all(a < b for a, b in pairwise(sorted(places(values, errors))))
