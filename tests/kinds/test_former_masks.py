"""A mask that keeps something of the one before it is refused, and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.kinds.former_masks import WAYS, FormerMasks, before
from refgrad.sparsity import Magnitude

RULE = Magnitude(sparsity=0.5, rounding="floor")


class Kept:
    """Masks by magnitude that hold the last one, as a program does that is stepped again and again."""

    def __init__(self) -> None:
        self.mask: dict[Any, np.ndarray] = {}

    def last(self, w: np.ndarray) -> np.ndarray:
        return self.mask.get(w.shape, np.ones(w.shape, bool))


def product() -> Callable[[Any], Any]:
    kept = Kept()

    def prune(w: Any) -> Any:
        kept.mask[w.shape] = RULE.mask(w) & kept.last(w)
        return kept.mask[w.shape]

    return prune


def of_pruned() -> Callable[[Any], Any]:
    kept = Kept()

    def prune(w: Any) -> Any:
        kept.mask[w.shape] = RULE.mask(w * kept.last(w))
        return kept.mask[w.shape]

    return prune


@pytest.mark.parametrize(
    ("make", "name"), [(product, "mask times the mask before"), (of_pruned, "mask of pruned weights")]
)
def test_what_a_mask_keeps_of_the_last_is_named(make: Callable[[], Any], name: str) -> None:
    verdict = refgrad.verify(make(), RULE, shrink=False)
    assert verdict.explanation is not None
    assert (verdict.explanation.name, verdict.explanation.sure) == (name, "fact")


def test_masks_by_hand() -> None:
    up, down = (np.asarray(w, np.float32) for w in ([1, 2, 3, 4], [4, 3, 2, 1]))
    first, nothing = np.asarray([False, False, True, True]), np.zeros(4, bool)
    known = before([({"w": up}, {"mask": first}), ({"w": down}, {"mask": nothing})])
    found = FormerMasks("mask times the mask before", known)
    assert found.undone(RULE, {"w": down}, nothing).tolist() == [True, True, False, False]
    assert found.undone(RULE, {"w": down}, ~first).tolist() != [True, True, False, False]
    assert found.undone(RULE, {"w": up}, first).tolist() == first.tolist()  # whatever was before it
    assert set(WAYS) == {"mask times the mask before", "mask of pruned weights"}
