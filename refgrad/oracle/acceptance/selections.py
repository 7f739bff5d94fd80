"""Judging what was selected: a mask's scores by their enclosure, then its mask given the scores; and choices of estimators.

A mask is acceptable if some scores in the acceptance sets, and some order of equal ones, give it. That is decided without
a search: the rule's own selection is run on the scores that favour the mask most (the highest that kept entries may have,
the lowest that pruned ones may have), with kept entries first among equals. What it returns is the mask itself, or differs
from it exactly where the mask is wrong. A choice that an estimator's value shows is judged as a mask, and the candidate's
own one is handed on to what is judged after it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.running_error import Bounded, Model, exact, widest
from refgrad.candidates.masks import MaskSeen
from refgrad.candidates.protocol import CandidateFault
from refgrad.estimators.choosing import Choosing
from refgrad.oracle.acceptance.comparing import compare, model_for
from refgrad.oracle.acceptance.judge import enclosure_of, scalars_of
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE, UNDECIDED, Judged, union
from refgrad.oracle.acceptance.kept import bits, computed, made
from refgrad.oracle.acceptance.policy import Policy
from refgrad.sparsity.base import Mask
from refgrad.tracing import Plan, Plans, free_values, plan_for

Arrays = Mapping[str, np.ndarray]
Choices = dict[str, tuple[Judged, np.ndarray]]


def judge_mask(
    rule: Mask, arrays: Arrays, seen: MaskSeen, policy: Policy, plans: Plans = plan_for
) -> dict[str, Judged]:
    """The scores, if they were seen, and the mask of one case.

    Args:
        rule: what selects.
        arrays: ``w``, and whatever else the scores are made of.
        seen: a boolean mask shaped like ``w``, and scores, one a unit of the rule.
        policy: what counts as correct.
        plans: the plan of the scores; a rewritten one, where a mutant is judged.

    Returns:
        The statuses of ``scores`` (if seen), then of ``mask``, whose truth is the acceptable mask nearest to it.
    """
    given = rule.prepare(arrays["w"], {n: a for n, a in arrays.items() if n != "w"})
    low, high, judged = _scores(rule, given, seen, model_for(policy, arrays["w"].dtype), policy, plans)
    # what fills up a ragged unit is no entry of the mask
    favoured = _folded(rule.units(seen.mask) | ~rule.units(np.ones_like(seen.mask)), low.shape)
    best = rule.spread(rule.select(np.where(favoured, high, low), favoured), seen.mask.shape)
    worst = rule.spread(rule.select(np.where(favoured, low, high), ~favoured), seen.mask.shape)
    status = np.where(seen.mask != best, OUTSIDE, np.where(seen.mask != worst, UNDECIDED, INSIDE)).astype(np.uint8)
    truth = best.astype(np.float64)
    if getattr(rule, "ties", "") in THRESHOLD:
        compared = rule.spread(np.isnan(low) & np.isnan(high), seen.mask.shape)
        status, truth = np.where(compared, INSIDE, status), np.where(compared, seen.mask, truth)
    return {**judged, "mask": Judged(status, truth, truth, truth)}


#: ties of masks that are written as a comparison with a threshold, which is false of NaN whichever way it is put
THRESHOLD = frozenset({"keep_all", "prune_all"})


def _folded(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask of entries as one of units: a unit counts as kept if all of it is."""
    axes = tuple(i for i, (whole, one) in enumerate(zip(mask.shape, shape, strict=True)) if one == 1 < whole)
    return np.broadcast_to(mask.all(axis=axes, keepdims=True), shape)


def _scores(
    rule: Mask, given: Mapping[str, np.ndarray], seen: MaskSeen, model: Model, policy: Policy, plans: Plans
) -> tuple[np.ndarray, np.ndarray, dict[str, Judged]]:
    """The lowest and highest score of each unit; those that were seen are judged, and are then exact."""
    w = given["w"]
    free = free_values(w.shape, {})
    plan = plans(rule, w.ndim, free)
    names = dict(zip(plan.free, free, strict=True))
    if seen.scores is not None:
        judged = _compared(plan, names, given, seen.scores, model, policy)
        return seen.scores, seen.scores, judged

    def key() -> Hashable:
        return _ends, computed(plan, names), tuple((n, bits(a)) for n, a in given.items()), model

    low, high = made(w.size, key, lambda: _ends(plan, names, given, model))
    if getattr(rule, "ties", "") in THRESHOLD and not plan.graph.couples():
        high = np.where(_tied(low, high, given), low, high)
    return low, high, {}


def _compared(
    plan: Plan, names: Mapping[str, float], given: Arrays, scores: np.ndarray, model: Model, policy: Policy
) -> dict[str, Judged]:
    """The scores that were seen, judged."""
    judged: dict[str, Judged] = {}
    with np.errstate(all="ignore"):
        for acceptable in _sets(plan, names, given, model):
            new = compare(acceptable, scores.astype(np.float64), scores.dtype, policy)
            judged = union(judged or None, {"scores": new})
    return judged


def _ends(plan: Plan, names: Mapping[str, float], given: Arrays, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """The lowest and the highest score of each unit in the dtype of the weights, over all ways through the decisions."""
    ends: tuple[np.ndarray, np.ndarray] | None = None
    with np.errstate(all="ignore"):
        for acceptable in _sets(plan, names, given, model):
            ends = widest(ends, acceptable)
        assert ends is not None
        dtype = given["w"].dtype
        return ends[0].astype(dtype), ends[1].astype(dtype)


def _sets(plan: Plan, names: Mapping[str, float], given: Arrays, model: Model) -> Iterator[Bounded]:
    """The acceptance sets of the scores, one a way through the decisions."""
    inputs = {n: exact(a.astype(np.float64), model) for n, a in given.items()}
    scalars = scalars_of(plan, plan.graph, names, model)
    for branch in enclosure_of(plan, model).branches(inputs, scalars, {}):
        yield branch.sets["scores"]


def _tied(low: np.ndarray, high: np.ndarray, given: Mapping[str, np.ndarray]) -> np.ndarray:
    """True where a score is that of all entries of the same magnitudes, and is told from all others: any number of it will do.

    Rounding takes entries of the same magnitudes to one score, whatever it is: their tie is exact, and a threshold that is
    passed by one of them is passed by all.

    Args:
        low, high: the ends of the scores, one an entry.
        given: the arrays that they are made of, entry by entry.
    """
    if any(a.shape != low.shape for a in given.values()) or not low.size:
        return np.zeros(low.shape, bool)
    keys = np.stack([low.ravel(), high.ravel(), *(np.abs(a).ravel() for a in given.values())])
    order = np.lexsort(keys[::-1])
    keys = keys[:, order]
    first = np.append(True, (keys[:, 1:] != keys[:, :-1]).any(axis=0))  # NaN is like no other
    start = np.flatnonzero(first)
    least, most = keys[0, start], keys[1, start]
    with np.errstate(invalid="ignore"):
        apart = np.append(True, least[1:] > np.maximum.accumulate(most)[:-1]) & np.append(most[:-1] < least[1:], True)
    found = np.zeros(low.size, bool)
    found[order] = apart[np.cumsum(first) - 1] & np.isfinite(keys[0])
    return found.reshape(low.shape)


def like_units(scores: np.ndarray, rule: Mask, shape: tuple[int, ...]) -> np.ndarray:
    """Scores shaped like the weights, or one a unit, arranged as the rule's own."""
    if not dtypes.is_float(scores.dtype):
        raise CandidateFault("dtype", f"the scores have dtype {scores.dtype}; legal: a float dtype")
    units = rule.units(np.empty(shape, bool))
    one_a_unit = bool(units.shape) and scores.size == units.shape[0]
    if scores.shape == shape and not (one_a_unit and units.shape != shape):  # an array may be all of one unit
        return rule.units(scores)
    if not one_a_unit:
        raise CandidateFault("shape", f"the scores have shape {scores.shape}; legal: {shape}, or one a unit")
    return scores.reshape(-1, *[1] * (units.ndim - 1))


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
        leaf = judge_mask(selection.rule, selection.arrays, MaskSeen(mask), policy)
        judged[name] = (leaf["mask"], mask.astype(np.float64))
        given[name] = rule.held(name, mask, arrays)
    return given, judged


def _best(rule: Any, arrays: Arrays, prefer: np.ndarray) -> np.ndarray:
    """The rule's choice, of equal entries those that are preferred first; the scores are one an entry."""
    scores = rule.score(**arrays)
    return rule.spread(rule.select(scores, rule.units(prefer)), prefer.shape)
