"""Two candidates on the same cases: which elements differ, by how much, and which of the two is nearer to the truth."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.oracle.acceptance.findings import Output
from refgrad.oracle.acceptance.judgement import INSIDE, OUTSIDE
from refgrad.rule import stated

#: what became of an output, or of all of them
SAME, BETTER, WORSE, MIXED, AS_GOOD = "same bits", "better", "worse", "better and worse", "as good"

#: the fields of `Changed` that add up
COUNTS = (
    *("compared", "changed", "measured", "nearer", "farther"),
    *("old_outside", "new_outside", "old_rounded", "new_rounded"),
)
#: standard deviations by which more elements must be nearer than farther, or fewer, before that is no accident
SURE = 3.0
#: how much the largest error may grow, in units of what is allowed, where most elements are nearer
GROWN = 0.1


@dataclass(frozen=True)
class Element:
    """One element in which two candidates differ.

    Attributes:
        situation: in which it was seen; empty for ordinary cases.
        step: the step or the case, counted from 1.
        tensor: ``p``, a slot of the state or a result.
        leaf: what the case or parameter is called.
        index: of the element.
        dtype: in whose units it is written.
        old, new: its two values.
        truth: the new one's; of a rule with state each has its own, from its own state.
        old_error, new_error: distances from the truth in units of what is allowed; NaN where nothing tells.
        apart: the distance of the two in units of what the new one is allowed.
    """

    situation: str
    step: int
    tensor: str
    leaf: str
    index: tuple[int, ...]
    dtype: str
    old: float
    new: float
    truth: float
    old_error: float
    new_error: float
    apart: float


@dataclass(frozen=True)
class Changed:
    """What became of one output over all cases that both candidates answered.

    Attributes:
        compared: how many elements both have.
        changed: how many of them differ in a bit.
        measured: of how many of these both errors are known and finite.
        nearer, farther: how many of these are nearer to the truth, in units of what is allowed, and how many farther.
        old_outside, new_outside: how many are outside what is allowed.
        old_largest, new_largest: the largest errors of decided elements, over allowed; 1 is the edge.
        old_mean, new_mean: the means of errors of those that were measured, over allowed.
        old_rounded, new_rounded: how many of all are the truth rounded once to the output's dtype.
        apart: how far the two are apart at most, over allowed.
    """

    compared: int = 0
    changed: int = 0
    measured: int = 0
    nearer: int = 0
    farther: int = 0
    old_outside: int = 0
    new_outside: int = 0
    old_largest: float = 0.0
    new_largest: float = 0.0
    old_mean: float = 0.0
    new_mean: float = 0.0
    old_rounded: int = 0
    new_rounded: int = 0
    apart: float = 0.0

    @property
    def outcome(self) -> str:
        """`SAME`, `BETTER`, `WORSE`, `MIXED` or `AS_GOOD`.

        Fewer or more elements outside settle it. Otherwise it is better if of the elements that changed more are nearer to
        the truth than farther from it, by `SURE` standard deviations of what an accident would give; better and worse if
        their mean error, or the largest of all, has grown nevertheless; as good if the numbers do not tell.
        """
        if not self.changed:
            return SAME
        if self.old_outside != self.new_outside:
            return BETTER if self.new_outside < self.old_outside else WORSE
        lead = self.nearer - self.farther
        if abs(lead) <= SURE * math.sqrt(self.nearer + self.farther):
            return AS_GOOD
        toward = math.copysign(1.0, lead)
        grown, on_average = self.new_largest - self.old_largest, self.new_mean - self.old_mean
        if (math.isfinite(grown) and grown * toward > GROWN) or on_average * toward > 0:
            return MIXED
        return BETTER if lead > 0 else WORSE


def combined(outcomes: Iterator[str] | list[str]) -> str:
    """What became of all outputs together.

    Args:
        outcomes: of each output, as `Changed.outcome` has it.

    Returns:
        `SAME`, `BETTER`, `WORSE`, `MIXED` or `AS_GOOD`.

    >>> combined(["same bits", "better"]), combined(["better", "worse"]), combined(["as good", "same bits"])
    ('better', 'better and worse', 'as good')
    """
    found = set(outcomes)
    if MIXED in found or {BETTER, WORSE} <= found:
        return MIXED
    return next((each for each in (WORSE, BETTER, AS_GOOD) if each in found), SAME)


class _Answer(NamedTuple):
    """One output of one case as it was judged."""

    values: np.ndarray
    unit: np.dtype
    outside: int
    error: np.ndarray
    truth: np.ndarray
    half: np.ndarray
    rounded: int
    leaf: str


class Answers:
    """All that a candidate answered, in the order in which it was judged; it looks on (`refgrad.oracle.engine.run.Watch`)."""

    def __init__(self) -> None:
        self.known: dict[tuple[Hashable, ...], _Answer] = {}
        #: each claim as it was made, on ordinary cases and in situations, with its record
        self.runs: list[tuple[Any, Any]] = []
        self._inputs: dict[int, tuple[Any, dict[int, str]]] = {}

    def __call__(self, claim: Any, record: Any, output: Output) -> None:
        """Keep an output.

        Args:
            claim: as it is made in the situation.
            record: what was seen there.
            output: one output of it, judged.
        """
        if not self.runs or self.runs[-1][1] is not record:
            self.runs.append((claim, record))
        inputs = self._digest(record.cases, output.leaf)
        key = (claim.situation, stated(claim.rule), inputs, output.step, output.leaf, output.tensor)
        self.known[key] = _answer(output, record.cases.name(output.leaf))

    def _digest(self, cases: Any, leaf: int) -> str:
        """What tells the inputs of a case or leaf from others."""
        _, known = self._inputs.setdefault(id(cases), (cases, {}))  # the cases are kept, so that no others get their id
        if leaf not in known:
            arrays = [cases.arrays[leaf], *(step[leaf] for step in cases.steps)]
            parts = [(n, a.dtype.str, a.shape, a.tobytes()) for each in arrays for n, a in sorted(each.items())]
            known[leaf] = hashlib.sha256(repr(parts).encode()).hexdigest()
        return known[leaf]


def _answer(output: Output, leaf: str) -> _Answer:
    judged, values = output.judged, np.asarray(output.values)
    with np.errstate(all="ignore"):
        numbers = values.astype(np.float64)
        half = (judged.high - judged.low) / 2
        error = np.abs(numbers - judged.truth) / half
        same = (numbers == judged.truth) | (np.isnan(numbers) & np.isnan(judged.truth))
        error = np.where(same, 0.0, error)
        unknown = ~np.isfinite(error)
        error = np.where(unknown & (judged.status == INSIDE), np.nan, error)  # right on another way through a decision
        error = np.where(unknown & (judged.status == OUTSIDE), np.inf, error)
        error = np.where((judged.status == INSIDE) | (judged.status == OUTSIDE), error, np.nan)
        rounded = _rounded(judged.truth, output.unit)
        equal = 0 if rounded is None else int(np.sum((rounded == numbers) | (np.isnan(rounded) & np.isnan(numbers))))
    outside = int(np.sum(judged.status == OUTSIDE))
    return _Answer(values, output.unit, outside, error, judged.truth, half, equal, leaf)


def _rounded(truth: np.ndarray, unit: np.dtype) -> np.ndarray | None:
    """The truth rounded to a dtype; None where it is not known better than in that."""
    if not dtypes.is_float(unit) or unit.itemsize >= np.dtype(np.float64).itemsize:
        return None
    return truth.astype(unit).astype(np.float64)


def same_bits(old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Where two arrays of one shape have the same bits; all NaN are one, and of different dtypes numbers are compared.

    Args:
        old: an array of any dtype.
        new: another of its shape.

    Returns:
        Booleans of that shape.

    >>> same_bits(np.array([0.0, np.nan]), np.array([-0.0, np.nan])).tolist()
    [False, True]
    """
    wide = [np.asarray(a, np.float64) for a in (old, new)]
    neither = np.isnan(wide[0]) & np.isnan(wide[1])
    if old.dtype != new.dtype or old.dtype.itemsize not in (1, 2, 4, 8):
        return neither | ((wide[0] == wide[1]) & (np.signbit(wide[0]) == np.signbit(wide[1])))
    unsigned = f"u{old.dtype.itemsize}"
    return np.asarray(neither | (old.copy().view(unsigned) == new.copy().view(unsigned)))


class Differences:
    """All that two candidates answered, held against each other.

    Attributes:
        outputs: by output what became of it.
        first: the first element that differs, in the order in which outputs are judged; None if none does.
        largest: the one that is farthest apart in units of what is allowed.
        only_old, only_new: how many outputs of cases one of them alone answered, by situation.
    """

    def __init__(self, old: Answers, new: Answers) -> None:
        self.outputs: dict[str, Changed] = {}
        self.first: Element | None = None
        self.largest: Element | None = None
        self.only_old, self.only_new = _unpaired(old, new), _unpaired(new, old)
        for key, after in new.known.items():
            before = old.known.get(key)
            if before is not None and before.values.shape == after.values.shape:
                self._add(key, before, after)

    def _add(self, key: tuple[Any, ...], before: _Answer, after: _Answer) -> None:
        tensor = key[-1]
        moved = ~same_bits(before.values, after.values)
        apart = _apart(before, after, moved)
        self.outputs[tensor] = _joined(self.outputs.get(tensor, Changed()), _changed(before, after, moved, apart))
        if not moved.any():
            return
        if self.first is None:
            self.first = _element(key, before, after, apart, np.argwhere(moved)[0])
        most = np.where(moved, apart, -1.0)
        at = np.unravel_index(int(np.argmax(most)), most.shape)
        if self.largest is None or most[at] > self.largest.apart:
            self.largest = _element(key, before, after, apart, at)


def _unpaired(one: Answers, other: Answers) -> dict[str, int]:
    found: dict[str, int] = {}
    for key in one.known.keys() - other.known.keys():
        found[str(key[0])] = found.get(str(key[0]), 0) + 1
    return dict(sorted(found.items()))


def _apart(before: _Answer, after: _Answer, moved: np.ndarray) -> np.ndarray:
    """How far two answers are apart over what the new one is allowed; infinite where that is nothing, or one is no number."""
    with np.errstate(all="ignore"):
        distance = np.abs(after.values.astype(np.float64) - before.values.astype(np.float64)) / after.half
    none = np.isnan(distance) | ((distance == 0) & (after.half == 0))
    return np.where(moved, np.where(none, np.inf, distance), 0.0)


def _changed(before: _Answer, after: _Answer, moved: np.ndarray, apart: np.ndarray) -> Changed:
    known = moved & ~np.isnan(before.error) & ~np.isnan(after.error)
    told = known if _rounded(after.truth, after.unit) is not None else np.zeros_like(known)
    both = known & np.isfinite(before.error) & np.isfinite(after.error)
    return Changed(
        compared=moved.size,
        changed=int(moved.sum()),
        measured=int(both.sum()),
        nearer=int(np.sum(told & (after.error < before.error))),
        farther=int(np.sum(told & (after.error > before.error))),
        old_outside=before.outside,
        new_outside=after.outside,
        old_largest=_largest(before.error),
        new_largest=_largest(after.error),
        old_mean=float(before.error[both].mean()) if both.any() else 0.0,
        new_mean=float(after.error[both].mean()) if both.any() else 0.0,
        old_rounded=before.rounded,
        new_rounded=after.rounded,
        apart=float(apart.max(initial=0.0)),
    )


def _largest(error: np.ndarray) -> float:
    return float(np.max(error, where=~np.isnan(error), initial=0.0))


def _joined(one: Changed, other: Changed) -> Changed:
    """The same output in two cases; means are those of elements that changed."""
    found: dict[str, Any] = {n: _mean(one, other, n) for n in ("old_mean", "new_mean")}
    found |= {n: max(getattr(one, n), getattr(other, n)) for n in ("old_largest", "new_largest", "apart")}
    found |= {n: getattr(one, n) + getattr(other, n) for n in COUNTS}
    return Changed(**found)


def _mean(one: Changed, other: Changed, name: str) -> float:
    total = getattr(one, name) * one.measured + getattr(other, name) * other.measured
    return float(total / max(one.measured + other.measured, 1))


def _element(key: tuple[Any, ...], before: _Answer, after: _Answer, apart: np.ndarray, at: Any) -> Element:
    index = tuple(int(i) for i in at)
    situation, _, _, step, _, tensor = key
    numbers = [before.values, after.values, after.truth, before.error, after.error, apart]
    old, new, truth, old_error, new_error, distance = (float(np.asarray(a)[index]) for a in numbers)
    dtype = str(after.unit)
    return Element(situation, step, tensor, after.leaf, index, dtype, old, new, truth, old_error, new_error, distance)


def rounded_share(outputs: Mapping[str, Changed]) -> tuple[float, float]:
    """How many elements are the truth rounded once to their dtype.

    Args:
        outputs: by output what became of it.

    Returns:
        The share of the old candidate's elements, and that of the new one's.
    """
    total = max(sum(each.compared for each in outputs.values()), 1)
    return (
        sum(each.old_rounded for each in outputs.values()) / total,
        sum(each.new_rounded for each in outputs.values()) / total,
    )
