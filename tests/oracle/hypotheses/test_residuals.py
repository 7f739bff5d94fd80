"""How far what came out is from a truth, in half-widths of the sets."""

from __future__ import annotations

import numpy as np

from refgrad.optimizers import SGD
from refgrad.oracle.hypotheses.changes import NONE
from refgrad.oracle.hypotheses.residuals import problem_of
from tests.oracle.hypotheses.runs import screen_of


def test_distances_are_in_half_widths() -> None:
    """p' = p - lr g: with lr off by d the truth is off by d |g|, and that over the half-width is the distance."""
    problem = problem_of(screen_of(SGD(lr=0.125), SGD(lr=0.125)), NONE, "p")
    assert problem is not None
    (segment,) = problem.segments
    assert (np.abs(problem.residuals({"lr": 0.125})) <= 1).all()
    assert 0 < segment.half[segment.usable].max() < 1e-5
    found = problem.residuals({"lr": 0.25})
    expected = (-0.125 * segment.arrays["g"] / segment.half)[segment.usable]
    np.testing.assert_allclose(found, expected, atol=1.01)
    assert np.median(np.abs(found)) > 1e4
