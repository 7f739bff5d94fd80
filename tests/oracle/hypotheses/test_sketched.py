"""A hypothesis that is wrong beyond doubt is told by its results, and none that is right is."""

from __future__ import annotations

import numpy as np

from refgrad.oracle.acceptance.judgement import INSIDE, UNDECIDED, Judged
from refgrad.oracle.hypotheses.sketched import BEYOND, FEW, Sets, counted, hopeless

TRUTH = np.asarray([1.0, 2.0, 4.0, 8.0])
STATUS = np.asarray([INSIDE, INSIDE, INSIDE, UNDECIDED])


def sets(half: float) -> Sets:
    return Sets.of(Judged(STATUS, TRUTH, TRUTH - half, TRUTH + half), TRUTH)


def test_distances_are_in_half_widths_of_what_is_decided() -> None:
    assert list(sets(0.5).distances(TRUTH + 1.0)) == [2.0, 2.0, 2.0]
    assert counted(sets(0.5).distances(TRUTH + np.asarray([0.0, 0.25, 1.0, 9.0]))).outside == 1


def test_one_of_a_few_far_away_is_enough_and_a_wider_set_is_not() -> None:
    far = np.asarray([0.0, 0.0, 2.0 * BEYOND, 0.0])
    assert hopeless([sets(1.0).distances(TRUTH + far)], FEW)
    assert not hopeless([sets(1.0).distances(TRUTH + far / 4)], FEW)


def test_a_rounding_of_what_was_observed_is_never_far_away() -> None:
    """Where the claim's terms are tiny its sets are as well, and another rule's may be a rounding of larger terms."""
    narrow = sets(2.0**-48)
    rounded = TRUTH * (1 + 2.0**-24)
    assert hopeless([narrow.distances(rounded)], FEW)
    assert not hopeless([narrow.blunted(np.dtype(np.float32)).distances(rounded)], FEW)


def test_steps_are_put_in_order() -> None:
    first, second = (Sets(*(np.full((1, 2), k) for _ in range(3))) for k in (1.0, 2.0))
    joined = Sets.stacked([second, first], [1, 0])
    assert joined.half.tolist() == [[1.0, 1.0], [2.0, 2.0]]
    assert joined.rows([1]).half.tolist() == [[2.0, 2.0]]
