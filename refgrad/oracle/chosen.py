"""Judging the choices that an estimator's value shows, and handing the candidate's own ones on to what is judged after them."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.candidates.masks import MaskSeen
from refgrad.estimators.choosing import Choosing
from refgrad.kinds.mask import judge_leaf
from refgrad.oracle.acceptance.judge import Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine.run import Arrays

Choices = dict[str, tuple[Judged, np.ndarray]]


def judge_choices(rule: Choosing, arrays: Arrays, seen: Arrays, policy: Policy) -> tuple[Arrays, Choices]:
    """The case with the candidate's own choices in place of the reference's, and each choice judged.

    Where results do not tell (a weight of zero is zero kept or pruned), the choice that favours the candidate is taken.
    """
    judged: Choices = {}
    given = dict(arrays)
    for name, selection in rule.selections(arrays).items():
        mask, free = rule.shown(name, arrays, seen)
        if free.any():
            # what was seen to be chosen first, then what may have been
            prefer = np.where(free, 1, np.where(mask, 2, 0))
            mask = np.where(free, _best(selection.rule, selection.arrays, prefer), mask)
        leaf = judge_leaf(selection.rule, selection.arrays, MaskSeen(mask), policy)
        judged[name] = (leaf.tensors["mask"], mask.astype(np.float64))
        given[name] = rule.held(name, mask, arrays)
    return given, judged


def _best(rule: Any, arrays: Arrays, prefer: np.ndarray) -> np.ndarray:
    """The rule's choice, of equal entries those that are preferred first; the scores are one an entry."""
    scores = rule.score(**arrays)
    return rule.spread(rule.select(scores, rule.units(prefer)), prefer.shape)
