"""Masks: the scores by their enclosure, then the mask given the scores that were seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.candidates.masks import MaskSeen
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.selections import judge_mask
from refgrad.sparsity import Magnitude, NOfM
from refgrad.sparsity.base import Mask

RULE = Magnitude(sparsity=0.5)


def statuses(w: Any, mask: Any, scores: Any = None, rule: Mask = RULE) -> dict[str, list[int]]:
    seen = MaskSeen(np.asarray(mask, bool), None if scores is None else np.asarray(scores, np.float32))
    found = judge_mask(rule, {"w": np.asarray(w, np.float32)}, seen, Policy())
    return {n: j.status.reshape(-1).astype(int).tolist() for n, j in found.items()}


@pytest.mark.parametrize("mask", [[1, 1, 0, 0], [0, 0, 1, 1], [1, 0, 1, 0]])
def test_of_equal_scores_any_may_be_kept(mask: list[int]) -> None:
    (found,) = statuses([2.0, -2.0, 2.0, 2.0], mask).values()
    assert OUTSIDE not in found
    assert UNDECIDED in found
    assert OUTSIDE in statuses([2.0, 2.0, 2.0, 2.0], [1, 1, 1, 0])["mask"]


@pytest.mark.parametrize(
    ("ties", "right"), [("prune_all", [0, 0, 0, 0, 1, 0, 1, 0]), ("keep_all", [1, 1, 1, 1, 1, 0, 1, 0])]
)
@pytest.mark.parametrize("measure", ["magnitude", "square", "signed"])
def test_a_threshold_parts_no_entries_of_one_magnitude(measure: str, ties: str, right: list[int]) -> None:
    """What rounding makes of a square is unknown, but it is one number for all entries of one magnitude."""
    rule, w = NOfM(n=2, m=4, measure=measure, ties=ties), [0.3, 0.3, 0.3, 0.3, 0.7, 0.1, 0.9, 0.2]
    assert statuses(w, right, rule=rule)["mask"] == [INSIDE] * 8
    for wrong in ([1, 1, 0, 0], [0, 0, 0, 1], [1 - right[0]] * 4):
        assert OUTSIDE in statuses(w, wrong + right[4:], rule=rule)["mask"]


def test_scores_that_rounding_may_order_otherwise_stay_open_under_a_threshold() -> None:
    near = np.float32([1 + 2**-23, 1.0, 1 + 2**-22, 3.0])
    rule = NOfM(n=2, m=4, measure="square", ties="prune_all")
    assert OUTSIDE not in statuses(near, [1, 0, 0, 1], rule=rule)["mask"]
    assert OUTSIDE not in statuses(near, [0, 0, 1, 1], rule=rule)["mask"]


def test_a_smaller_one_may_not_be_kept_before_a_larger() -> None:
    assert statuses([1.0, -4.0, 2.0, 3.0], [0, 1, 0, 1])["mask"] == [INSIDE] * 4
    assert statuses([1.0, -4.0, 2.0, 3.0], [0, 1, 1, 0])["mask"] == [INSIDE, INSIDE, OUTSIDE, OUTSIDE]


def test_scores_are_judged_and_then_the_mask_is_judged_given_them() -> None:
    w = [1.0, -4.0, 2.0, 3.0]
    assert statuses(w, [0, 1, 0, 1], [1.0, 4.0, 2.0, 3.0]) == {"scores": [INSIDE] * 4, "mask": [INSIDE] * 4}
    signed = statuses(w, [0, 0, 1, 1], w)
    assert signed == {"scores": [INSIDE, OUTSIDE, INSIDE, INSIDE], "mask": [INSIDE] * 4}
