"""What a body computes on arrays of known lengths, step by step, with the place in memory of every number.

An array of a body is an array of *places*: whole numbers that say where each of its elements lies in one of two stretches of
memory, that of floats and that of whole numbers and truth values. What moves numbers, whatever NumPy calls it, moves places and
computes nothing: a slice, a transpose, a window, a pad, a join. What is left are steps, which read at places and write new ones.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

#: the two stretches of memory
FLOATS, WHOLE = "floats", "whole"


@dataclass(frozen=True, eq=False)
class Step:
    """Something that is computed.

    Args:
        kind: "element", "fold", "scan", "order", "place", "gather", "scatter" or "segments" (`refgrad.backends.tape_source`).
        op: the operation of an element, or what is folded: "sum", "max", "all", "any"; else what the kind needs.
        reads: the places of its operands, and by which memory.
        to: the first place that is written.
        shape: that of what is written.
        memory: where it is written.
        truth: whether each operand holds truth values.
    """

    kind: str
    op: str
    reads: tuple[tuple[str, np.ndarray], ...]
    to: int
    shape: tuple[int, ...]
    memory: str
    truth: tuple[bool, ...] = ()

    @property
    def size(self) -> int:
        """How many numbers are written."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Stretch:
    """Places that belong together: an array that is handed in, constants, or what a step writes."""

    name: str
    start: int
    size: int


@dataclass
class Tape:
    """The steps of a body, in order.

    Args:
        working: the dtype of its floats.
    """

    working: np.dtype
    steps: list[Step] = field(default_factory=list)
    inputs: list[tuple[str, str, int, tuple[int, ...]]] = field(default_factory=list)
    lengths: dict[str, int] = field(default_factory=lambda: {FLOATS: 0, WHOLE: 0})
    constants: dict[str, dict[float | int | bytes, tuple[int, float]]] = field(
        default_factory=lambda: {FLOATS: {}, WHOLE: {}}
    )

    def room(self, memory: str, shape: tuple[int, ...]) -> np.ndarray:
        """New places, one for each element of an array."""
        start, size = self.lengths[memory], math.prod(shape)
        self.lengths[memory] += size
        return np.arange(start, start + size).reshape(shape)

    def taken(self, name: str, memory: str, shape: tuple[int, ...]) -> np.ndarray:
        """The places of an array that is handed in."""
        self.inputs.append((name, memory, self.lengths[memory], shape))
        return self.room(memory, shape)

    def constant(self, memory: str, numbers: np.ndarray) -> np.ndarray:
        """The places of numbers that are known: each number has one, whose bits it is."""
        found, known = np.empty(numbers.shape, np.int64), self.constants[memory]
        kind = self.working if memory == FLOATS else np.dtype(np.int64)
        for index, number in np.ndenumerate(numbers.astype(kind)):
            place = known.get(number.tobytes())
            if place is None:
                place = known[number.tobytes()] = (int(self.room(memory, ())), number.item())
            found[index] = place[0]
        return found

    def writes(self, memory: str, places: np.ndarray) -> bool:
        """True if places are those of one step, in its order."""
        return any(
            s.memory == memory
            and s.size == places.size
            and np.array_equal(places.ravel(), np.arange(s.to, s.to + s.size))
            for s in self.steps
        )

    def step(
        self,
        kind: str,
        op: str,
        reads: Sequence[tuple[str, np.ndarray]],
        memory: str,
        shape: tuple[int, ...],
        truth: Sequence[bool] = (),
    ) -> np.ndarray:
        """A new step; gives the places that it writes. What it reads is kept as it is now: arrays are written to."""
        places = self.room(memory, shape)
        if places.size:
            kept = tuple((m, np.array(p)) for m, p in reads)
            self.steps.append(Step(kind, op, kept, int(places.flat[0]), shape, memory, tuple(truth)))
        return places

    def without_unused(self, results: Mapping[str, tuple[str, np.ndarray]]) -> Packed:
        """The steps of which some results are made, in memory without gaps.

        Args:
            results: the places of each, and in which memory.
        """
        starts = {memory: [s for s in self.steps if s.memory == memory] for memory in self.lengths}
        begins = {memory: [s.to for s in steps] for memory, steps in starts.items()}
        needed, left = set[int](), [*results.values()]
        while left:
            memory, places = left.pop()
            for place in np.unique(places):
                at = bisect.bisect_right(begins[memory], int(place)) - 1
                step = starts[memory][at] if at >= 0 else None
                if step is not None and place < step.to + step.size and id(step) not in needed:
                    needed.add(id(step))
                    left += step.reads
        return self._packed([s for s in self.steps if id(s) in needed], results)

    def _packed(self, steps: Sequence[Step], results: Mapping[str, tuple[str, np.ndarray]]) -> Packed:
        reads = [*(r for s in steps for r in s.reads), *results.values()]
        none = np.zeros(0, np.int64)
        used = {m: np.unique(np.concatenate([none, *(np.ravel(p) for n, p in reads if n == m)])) for m in self.lengths}
        moves = {memory: np.full(self.lengths[memory] + 1, -1) for memory in self.lengths}
        stretches: dict[str, list[Stretch]] = {FLOATS: [], WHOLE: []}
        ends = dict.fromkeys(self.lengths, 0)

        def place(name: str, memory: str, start: int, size: int) -> None:
            moves[memory][start : start + size] = np.arange(ends[memory], ends[memory] + size)
            stretches[memory].append(Stretch(name, ends[memory], size))
            ends[memory] += size

        for name, memory, start, shape in self.inputs:
            place(name, memory, start, math.prod(shape))
        constants: dict[str, list[float]] = {FLOATS: [], WHOLE: []}
        for memory, known in self.constants.items():
            kept = sorted((at, value) for at, value in known.values() if at in used[memory])
            stretches[memory].append(Stretch(f"constants_of_{memory}", ends[memory], len(kept)))
            for at, value in kept:
                moves[memory][at] = ends[memory]
                ends[memory] += 1
                constants[memory].append(value)
        given_at = {(m, int(p.flat[0])): name for name, (m, p) in results.items() if p.size}
        for number, step in enumerate(steps):
            place(given_at.get((step.memory, step.to), f"v{number}"), step.memory, step.to, step.size)
        own = [
            replace(s, to=int(moves[s.memory][s.to]), reads=tuple((m, moves[m][p.astype(int)]) for m, p in s.reads))
            for s in steps
        ]
        given = {name: (memory, moves[memory][p.astype(int)]) for name, (memory, p) in results.items()}
        return Packed(self.working, tuple(own), tuple(self.inputs), stretches, constants, given)


@dataclass(frozen=True, eq=False)
class Packed:
    """Steps in memory without gaps.

    Args:
        working: the dtype of floats.
        steps: in order.
        inputs: name, memory, the first place before packing, shape.
        stretches: what lies where, by memory, in the order of places.
        constants: the numbers that are known, by memory, in the order of their places.
        results: the places of each result, and in which memory.
    """

    working: np.dtype
    steps: tuple[Step, ...]
    inputs: tuple[tuple[str, str, int, tuple[int, ...]], ...]
    stretches: Mapping[str, Sequence[Stretch]]
    constants: Mapping[str, Sequence[float]]
    results: Mapping[str, tuple[str, np.ndarray]]

    def length(self, memory: str) -> int:
        """How many numbers a memory holds."""
        return sum(stretch.size for stretch in self.stretches[memory])
