"""Judging a mask: the candidate's scores by their enclosure, then its mask given the scores.

A mask is acceptable if some scores in the acceptance sets, and some order of equal ones, give it. That is decided without
a search: the rule's own selection is run on the scores that favour the mask most (the highest that kept entries may have,
the lowest that pruned ones may have), with kept entries first among equals. What it returns is the mask itself, or differs
from it exactly where the mask is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.running_error import Model, exact, widest
from refgrad.candidates.faults import check_kept, copies
from refgrad.candidates.masks import MaskCandidate, MaskSeen, resolve_mask
from refgrad.candidates.protocol import CandidateFault
from refgrad.errors import ArgumentError, CandidateError
from refgrad.oracle.acceptance.judge import (
    INSIDE,
    OUTSIDE,
    UNDECIDED,
    Judged,
    compare,
    model_for,
    outside,
    scalars_of,
    union,
)
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.engine import reproduce
from refgrad.oracle.engine.request import Request
from refgrad.oracle.engine.tally import Tally, finding
from refgrad.oracle.engine.time_limit import Call, watched
from refgrad.oracle.engine.verdict import Count, Departure, Fault, Finding, Verdict
from refgrad.oracle.hypotheses import departures as known
from refgrad.oracle.hypotheses.changes import NONE, Change
from refgrad.oracle.inputs.masks import Arrays, MaskInputs, generate
from refgrad.oracle.mask_shrink import smallest
from refgrad.sparsity.base import Mask
from refgrad.tracing import free_values, plan_for


def judge(request: Request) -> Verdict:
    """The verdict on a candidate that claims to be a mask."""
    rule = request.rule
    assert isinstance(rule, Mask)
    inputs = request.own(MaskInputs) or generate(rule, request.dtype, request.seed)
    run = _Run(resolve_mask(request.candidate, request.options), rule, inputs)
    with watched(request.time_limit) as call:
        for leaf in range(len(inputs.leaves)):
            if not run.prune(leaf, call):
                break
    return _verdict(request, rule, run)


@dataclass
class _Run:
    """What a candidate made of each leaf, and what it did wrong besides."""

    subject: MaskCandidate
    rule: Mask
    inputs: MaskInputs
    seen: list[MaskSeen | None] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def prune(self, leaf: int, call: Call) -> bool:
        """Ask for the mask of one leaf; false if it makes no sense to go on."""
        try:
            self.seen.append(_ask(self.subject, self.rule, self.inputs.leaves[leaf], call))
        except CandidateFault as fault:
            self.seen.append(None)
            self.faults.append(Fault(fault.kind, leaf + 1, f"{fault} (on {self.inputs.name(leaf)!r})"))
            return fault.kind != "hung"
        return True

    def values(self, leaf: int, name: str) -> np.ndarray:
        """What was seen of a leaf: the mask, or the scores."""
        seen = self.seen[leaf]
        assert seen is not None
        return seen.mask if name == "mask" or seen.scores is None else seen.scores


def _ask(subject: MaskCandidate, rule: Mask, arrays: Arrays, call: Call) -> MaskSeen:
    """The candidate's mask as booleans; what it does wrong is raised as a `CandidateFault`."""
    given = copies(arrays)
    seen = _answer(subject, rule, given, call)
    check_kept(given, arrays, subject.name)
    mask, shape = np.asarray(seen.mask), arrays["w"].shape
    if mask.shape != shape:
        raise CandidateFault("shape", f"the mask has shape {mask.shape}; legal: {shape}, that of w")
    if not np.all((mask == 0) | (mask == 1)):
        raise CandidateFault("structure", "the mask has values besides 0 and 1")
    scores = None if seen.scores is None else like_units(np.asarray(seen.scores), rule, shape)
    return MaskSeen(mask.astype(bool), scores)


def _answer(subject: MaskCandidate, rule: Mask, given: Mapping[str, np.ndarray], call: Call) -> MaskSeen:
    try:
        return call(lambda: subject.prune(rule, given), subject.name)
    except (CandidateFault, CandidateError):
        raise
    except Exception as error:  # whatever a stranger's code raises is a finding, not our traceback
        raise CandidateFault("raised", f"{type(error).__name__}: {error}") from error


def like_units(scores: np.ndarray, rule: Mask, shape: tuple[int, ...]) -> np.ndarray:
    """Scores shaped like the weights, or one a unit, arranged as the rule's own."""
    if not dtypes.is_float(scores.dtype):
        raise CandidateFault("dtype", f"the scores have dtype {scores.dtype}; legal: a float dtype")
    if scores.shape == shape:
        return rule.units(scores)
    units = rule.units(np.empty(shape, bool))
    if scores.size != units.shape[0]:
        raise CandidateFault("shape", f"the scores have shape {scores.shape}; legal: {shape}, or one a unit")
    return scores.reshape(-1, *[1] * (units.ndim - 1))


@dataclass(frozen=True)
class _Leaf:
    """One leaf judged: the tensors with their statuses, and the scores that decided."""

    tensors: Mapping[str, Judged]
    count: tuple[int, int]
    low: np.ndarray
    high: np.ndarray


def judge_leaf(rule: Mask, arrays: Arrays, seen: MaskSeen, policy: Policy, change: Change = NONE) -> _Leaf:
    """The scores (if they were seen) and the mask of one leaf; ``change`` rewrites the scores' graph first."""
    given = rule.prepare(arrays["w"], {n: a for n, a in arrays.items() if n != "w"})
    low, high, judged = _scores(rule, given, seen, model_for(policy, arrays["w"].dtype), policy, change)
    # what fills up a ragged unit is no entry of the mask
    favoured = _folded(rule.units(seen.mask) | ~rule.units(np.ones_like(seen.mask)), low.shape)
    best = rule.spread(rule.select(np.where(favoured, high, low), favoured), seen.mask.shape)
    worst = rule.spread(rule.select(np.where(favoured, low, high), ~favoured), seen.mask.shape)
    status = np.where(seen.mask != best, OUTSIDE, np.where(seen.mask != worst, UNDECIDED, INSIDE)).astype(np.uint8)
    truth = best.astype(np.float64)
    tensors = {**judged, "mask": Judged(status, truth, truth, truth)}
    return _Leaf(tensors, (int(seen.mask.sum()), int(best.sum())), low, high)


def _folded(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask of entries as one of units: a unit counts as kept if all of it is."""
    axes = tuple(i for i, (whole, one) in enumerate(zip(mask.shape, shape, strict=True)) if one == 1 < whole)
    return np.broadcast_to(mask.all(axis=axes, keepdims=True), shape)


def _scores(
    rule: Mask, given: Mapping[str, np.ndarray], seen: MaskSeen, model: Model, policy: Policy, change: Change
) -> tuple[np.ndarray, np.ndarray, dict[str, Judged]]:
    """The lowest and highest score of each unit; those that were seen are judged, and are then exact."""
    w = given["w"]
    free = free_values(w.shape, {})
    plan = change.rewritten(plan_for(rule, w.ndim, free))
    with np.errstate(all="ignore"):
        scalars = scalars_of(plan, plan.graph, dict(zip(plan.free, free, strict=True)), model)
        inputs = {n: exact(a.astype(np.float64), model) for n, a in given.items()}
        ends: tuple[np.ndarray, np.ndarray] | None = None
        judged: dict[str, Judged] = {}
        for branch in Enclosure(plan.graph, model).branches(inputs, scalars, {}):
            ends = widest(ends, branch.sets["scores"])
            if seen.scores is not None:
                new = compare(branch.sets["scores"], seen.scores.astype(np.float64), seen.scores.dtype, policy)
                judged = union(judged or None, {"scores": new})
    assert ends is not None
    if seen.scores is not None:
        return seen.scores, seen.scores, judged
    return ends[0].astype(w.dtype), ends[1].astype(w.dtype), {}


def _verdict(request: Request, rule: Mask, run: _Run) -> Verdict:
    done = [(i, seen) for i, seen in enumerate(run.seen) if seen is not None]
    leaves = {i: judge_leaf(rule, run.inputs.leaves[i], seen, request.policy) for i, seen in done}
    tally = Tally()
    for i, leaf in leaves.items():
        for name, judged in leaf.tensors.items():
            if tally.add(name, judged, run.values(i, name)):
                tally.first = _finding(run, i, name, judged)
    miscounted = [_count_fault(run, i, leaf) for i, leaf in leaves.items() if leaf.count[0] != leaf.count[1]]
    least = None if tally.first is None or not request.shrink else _shrunk(request, rule, run, tally.first)
    return tally.verdict(
        request.policy,
        run.faults + miscounted,
        candidate=run.subject.name,
        rule=str(rule),
        mode="the scores, then the mask given the scores" if "scores" in tally.counts else "the mask",
        steps=len(done),
        dtype=str(run.inputs.leaves[0]["w"].dtype),
        seed=run.inputs.seed,
        departures=_departures(request, rule, run, done) if tally.first is not None and request.explain else (),
        counterexample=None if least is None else reproduce.of_arrays(least.leaves[0], "w"),
        reproduce=_reproduce(request, rule, run, least),
    )


def _count_fault(run: _Run, index: int, leaf: _Leaf) -> Fault:
    size = run.inputs.leaves[index]["w"].size
    message = f"{leaf.count[0]} of {size} entries are kept on {run.inputs.name(index)!r}; legal: {leaf.count[1]}"
    return Fault("count", index + 1, message)


def _finding(run: _Run, leaf: int, name: str, judged: Judged) -> Finding:
    arrays, values = run.inputs.leaves[leaf], run.values(leaf, name)
    w = arrays["w"]

    def inputs(at: tuple[int, ...]) -> dict[str, float]:
        return {n: float(np.broadcast_to(a, w.shape)[at]) for n, a in arrays.items() if len(at) == w.ndim}

    return finding(leaf + 1, name, run.inputs.name(leaf), judged, values, values.dtype, inputs)


def _departures(request: Request, rule: Mask, run: _Run, done: Sequence[tuple[int, MaskSeen]]) -> tuple[Departure, ...]:
    def rejudge(changes: Mapping[str, Any], policy: Policy) -> Mapping[str, Count] | None:
        other = rule.replace(**changes)
        if other.takes() != rule.takes():
            return None
        tally = Tally()
        for i, seen in done:
            for name, judged in judge_leaf(other, run.inputs.leaves[i], seen, policy).tensors.items():
                tally.add(name, judged, run.values(i, name))
        return tally.counts

    return known.departures(rule, request.policy, rejudge)


def _shrunk(request: Request, rule: Mask, run: _Run, first: Finding) -> MaskInputs:
    def fails(arrays: Arrays) -> bool:
        try:
            with watched(request.time_limit) as call:
                seen = _ask(run.subject, rule, arrays, call)
            judged = judge_leaf(rule, arrays, seen, request.policy)
        except (ArgumentError, CandidateError, CandidateFault):
            return False
        return outside(judged.tensors.values()) > 0

    return MaskInputs([smallest(run.inputs.leaves[first.step - 1], fails)])


def _reproduce(request: Request, rule: Mask, run: _Run, least: MaskInputs | None) -> str:
    """A line of Python that gives this verdict again."""
    dtype = run.inputs.leaves[0]["w"].dtype
    made = reproduce.generated(dtype, run.inputs.seed)
    if least is not None and least.leaves[0]["w"].size <= reproduce.KEPT:
        text = ", ".join(f"{n}={reproduce.nested(a)!r}" for n, a in least.leaves[0].items())
        made = f"inputs=refgrad.MaskInputs.of({text}, dtype={str(dtype)!r})"
    return reproduce.line(run.subject.name, rule, made, options=request.options, policy=request.policy.changed())
