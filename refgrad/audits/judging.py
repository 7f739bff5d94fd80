"""A chunk of one recorded tensor judged, as `refgrad.verify` judges a step: given what stood before it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from refgrad.arithmetic.running_error import Bounded
from refgrad.audits.stored import RecordError, Stored
from refgrad.axes import ELEMENT
from refgrad.kinds.stepped import fits
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.acceptance import judge, screened_outputs, screening
from refgrad.oracle.acceptance.findings import Count, ulps
from refgrad.oracle.acceptance.judge import Step
from refgrad.oracle.acceptance.judgement import OUTSIDE, Judged
from refgrad.oracle.acceptance.policy import Policy
from refgrad.tracing import free_names, free_values, plan_for

#: elements that are read and judged at a time
CHUNK = 1 << 21
#: places of elements outside that a chunk keeps
PLACES = 64


@dataclass(frozen=True, eq=False)
class Leaf:
    """One parameter of a recorded step.

    Attributes:
        name: of the parameter.
        rule: with its own hyperparameters.
        t: the step that was taken, counted from 1.
        before, after: ``p`` and the slots that are arrays; what is missing before is the state before a first step.
        g: the gradient.
        numbers: the slots that are numbers before the step, and after it.
        notes: what is worth knowing of it.
        missing: the slots that should have been recorded after the step, and were not.
    """

    name: str
    rule: Optimizer
    t: int
    before: Mapping[str, Stored]
    after: Mapping[str, Stored]
    g: Stored
    numbers: tuple[Mapping[str, float], Mapping[str, float]] = field(default=({}, {}))
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; a number without axes is judged as a vector of one."""
        return self.before["p"].shape or (1,)

    @cached_property
    def apart(self) -> bool:
        """True if its elements do not see each other, so that it is judged in chunks."""
        graph, slots = self.plan.graph, self.rule.slots()
        return not graph.couples() and not graph.small and all(slots[n].settled == ELEMENT for n in self._arrays)

    @cached_property
    def _arrays(self) -> tuple[str, ...]:
        return tuple(n for n, slot in self.rule.slots().items() if not slot.scalar)

    @cached_property
    def free(self) -> Mapping[str, float]:
        """The values of the plan's free names."""
        return dict(zip(free_names(self.rule, len(self.shape)), self._values, strict=True))

    @cached_property
    def _values(self) -> tuple[float, ...]:
        initial = self.rule.init(np.zeros(1, np.float32))
        scalars = {n: self.numbers[0].get(n, initial[n]) for n, slot in self.rule.slots().items() if slot.scalar}
        return free_values(self.shape, {"t": self.t, **scalars})

    @cached_property
    def plan(self) -> Any:
        """The rule, traced for the branches that the step takes."""
        return plan_for(self.rule, len(self.shape), self._values)

    def chunks(self) -> list[tuple[int, int]]:
        """The parts that it is judged in: the first element of each, and one past its last."""
        size = math.prod(self.shape)
        if not self.apart and size:
            return [(0, size)]
        return [(start, min(start + CHUNK, size)) for start in range(0, size, CHUNK)]

    def step(self, cut: tuple[int, int] | np.ndarray) -> Step:
        """What a part is judged from.

        Args:
            cut: the first element and one past the last, or places of elements in order.
        """
        before: dict[str, Any] = {"p": self._read(self.before["p"], cut), "g": self._read(self.g, cut)}
        like = before["p"]
        for name in self._arrays:
            stored = self.before.get(name)
            shape = self.rule.slots()[name].shape(self.shape)
            before[name] = self._first(name, like) if stored is None else self._read(stored, cut, shape)
        after = {"p": self._read(self.after["p"], cut)}
        for name in self._arrays:
            if name in self.after:
                after[name] = self._read(self.after[name], cut, self.rule.slots()[name].shape(self.shape))
        large = like.size > judge.CHUNK
        known = judge.Large(before) if large else {n: Bounded(a.astype(np.float64)) for n, a in before.items()}
        return Step(self.plan, self.free, known, after)

    def _first(self, name: str, p: np.ndarray) -> np.ndarray:
        """A slot before the first step."""
        return np.asarray(self.rule.init(p)[name])

    def _read(self, stored: Stored, cut: Any, shape: tuple[int, ...] | None = None) -> np.ndarray:
        if isinstance(cut, np.ndarray):
            return _gathered(stored, cut)
        if self.apart:
            return stored.read(*cut)
        return stored.read().reshape(self.shape if shape is None else shape)


def _gathered(stored: Stored, places: np.ndarray) -> np.ndarray:
    """Elements at places in order; those that lie close together are read at once."""
    parts, start = [], 0
    ends = [*np.flatnonzero(np.diff(places) > 1 << 12).tolist(), len(places) - 1]
    for end in ends:
        group = places[start : end + 1]
        if len(group):
            parts.append(stored.read(int(group[0]), int(group[-1]) + 1)[group - group[0]])
        start = end + 1
    return np.concatenate(parts) if parts else np.zeros(0, stored.dtype)


def misfits(leaf: Leaf) -> Iterable[str]:
    """What of a leaf's arrays has no shape that it could have, a sentence each."""
    for moment, arrays in (("before", leaf.before), ("after", leaf.after), ("the gradient", {"g": leaf.g})):
        for name, stored in arrays.items():
            slot = leaf.rule.slots().get(name)
            shape = stored.shape or (1,)
            right = shape == leaf.shape if slot is None else fits(shape, slot, leaf.shape)
            if not right:
                legal = leaf.shape if slot is None else slot.shape(leaf.shape)
                yield f"{name} of {leaf.name!r} {moment} has shape {stored.shape}; legal: {legal}"
            if stored.dtype.kind in "biu":
                yield f"{name} of {leaf.name!r} {moment} has dtype {stored.dtype}; legal: a float dtype"


@dataclass(frozen=True)
class Outside:
    """One element outside its acceptance set.

    Attributes:
        tensor: ``p``, or a slot.
        place: of the element in the tensor, in C order.
        value, truth, low, high: what was recorded, the centre of its set, and the ends.
        ulps: the distance from the truth in units in the last place.
    """

    tensor: str
    place: int
    value: float
    truth: float
    low: float
    high: float
    ulps: float


@dataclass(frozen=True)
class Part:
    """What judging one chunk came to.

    Attributes:
        counts: by output how many elements are inside, outside and undecided.
        nan: how many of the undecided are NaN.
        worst: by output the largest distance from the truth over what is allowed.
        first: by output the first element outside.
        places: by output places of elements outside, of many some.
    """

    counts: Mapping[str, Count]
    nan: int
    worst: Mapping[str, float]
    first: Mapping[str, Outside]
    places: Mapping[str, tuple[int, ...]]


def judged(
    leaf: Leaf, chunk: tuple[int, int], policy: Policy, compiled: bool = False, step: Step | None = None
) -> Part:
    """A chunk judged.

    Args:
        leaf: whose.
        chunk: one of its `Leaf.chunks`.
        policy: what counts as correct.
        compiled: whether a kernel is compiled where there is none yet, because there is much to judge.
        step: what it is judged from, if it was read already.

    Raises:
        RecordError: a file cannot be read any more.
    """
    step = leaf.step(chunk) if step is None else step
    if compiled and step.after["p"].size >= screening.WORTH and screening.why_not(step, policy) is None:
        found: dict[str, Judged] = screening.screened(step, policy)
    else:
        found = screening.judge(step, policy)[0]
    values = dict(step.after)
    if chunk[0] == 0 and leaf.numbers[1]:
        scalars = {n: (v, np.dtype(np.float32)) for n, v in leaf.numbers[1].items()}
        found = {**judge.judge_scalars(step, scalars, policy), **found}
        values |= {n: np.asarray(v) for n, (v, _) in scalars.items()}
    counts, worst, first, places, nan = {}, {}, {}, {}, 0
    for name, each in found.items():
        seen = np.asarray(values[name])
        summed = screened_outputs.summary(each, seen, None, True)
        counts[name], worst[name], nan = summed.counted, summed.tightest, nan + summed.undecided_nan
        if summed.counted.outside:
            where = np.flatnonzero(each.status == OUTSIDE)
            first[name] = _outside(name, each, seen, int(where[0]), chunk[0])
            few = where[np.unique(np.linspace(0, len(where) - 1, PLACES).astype(int))]
            places[name] = tuple((few + chunk[0]).tolist())
    return Part(counts, nan, worst, first, places)


def _outside(name: str, found: Judged, values: np.ndarray, place: int, start: int) -> Outside:
    index = tuple(int(i) for i in np.unravel_index(place, values.shape)) if values.shape else ()
    truth, low, high = found.at(index)
    value = float(values[index])
    return Outside(name, place + start, value, truth, low, high, ulps(value, truth, values.dtype))


def same(one: Stored, other: Stored) -> bool:
    """True if two arrays have the same numbers, read a part at a time; any NaN is NaN.

    Raises:
        RecordError: they have not one shape, or cannot be read.
    """
    if one.size != other.size:
        raise RecordError(f"{one.place} has {one.size} elements, and {other.place} has {other.size}")
    for start in range(0, one.size, CHUNK):
        a, b = (each.read(start, min(start + CHUNK, each.size)) for each in (one, other))
        if a.tobytes() != b.tobytes() and not np.array_equal(
            a.astype(np.float64), b.astype(np.float64), equal_nan=True
        ):
            return False
    return True
