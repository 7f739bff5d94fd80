"""What the reductions of a step leave, their operands computed by kernels.

A kernel computes what a reduction folds, centre and bound, in chunks. Where a chunk's conditions hold, these have the bits of the
enclosure's; the other chunks are computed by the enclosure itself. They are then folded as the enclosure folds, so that what
is left has the same bits too (docs/enclosure.md, "The enclosure as a kernel").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from refgrad.arithmetic.enclosed import Enclosed, Few, Fold, Pass, seen
from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.running_error import Bounded
from refgrad.axes import ELEMENT, ROW
from refgrad.backends import kernels, thread_pool
from refgrad.backends.cuda import screens
from refgrad.backends.cuda.device import Device
from refgrad.backends.source import KernelSource
from refgrad.oracle.acceptance import comparing
from refgrad.oracle.acceptance import judge as careful
from refgrad.oracle.acceptance.chunks import Cut, Gathered, together
from refgrad.oracle.acceptance.judge import Large
from refgrad.oracle.acceptance.judgement import Judged
from refgrad.oracle.acceptance.policy import Policy


class Unclear(Exception):  # not an error: what is judged is judged without kernels
    """What elements share is not as kernels need it: it may overflow, or a decision on it is open."""


@dataclass(eq=False)
class Shared:
    """A step that kernels look at, with what its elements share.

    Attributes:
        found: the graph of centres and bounds.
        enclosure: the enclosure of the same rule.
        scalars: those of the rule's graph, in its order.
        arrays: by the names that the graph has for them, those of elements, in C order, in their own dtypes.
        before, after: as of a step, shaped like the parameter, or all of its elements in a line.
        cut: how they are cut.
        threads: how many; None for as many as are worth it.
        device: where kernels run; None for the CPU.
        folded: what reductions leave, by index.
    """

    found: Enclosed
    enclosure: Enclosure
    scalars: list[Bounded]
    arrays: Mapping[str, np.ndarray]
    before: Large
    after: Mapping[str, np.ndarray]
    cut: Cut
    threads: int | None = None
    device: Device | None = None
    folded: dict[int, Bounded] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many elements there are."""
        return int(np.prod(self.cut.shape, dtype=np.int64))

    @property
    def columns(self) -> int:
        """How many elements a row has."""
        return self.size // self.cut.shape[0]

    @property
    def chunk(self) -> int:
        """How many elements a chunk has, which stand side by side."""
        return self.cut.step * (1 if self.cut.axis else self.columns)

    @cached_property
    def chunks(self) -> tuple[slice, ...]:
        """The places of each chunk along the first axis."""
        return tuple(self.cut.chunks())

    @cached_property
    def few(self) -> Few:
        """The numbers that elements share."""
        return Few(self.found, self.scalars, self.enclosure.model, self._small_arrays())

    def _small_arrays(self) -> dict[str, np.ndarray]:
        inputs = {n.attribute: n.axes for n in self.enclosure.graph.nodes if n.op == "input"}
        known = {name: self.before[name].value for name, axes in inputs.items() if axes != ELEMENT}
        return known | {seen(name): self.after[name] for name in self.found.few}

    def of_chunk(self, chunk: slice) -> tuple[Large, dict[str, np.ndarray], dict[int, Bounded]]:
        """What was there before and after, and what reductions leave, in a chunk."""
        after = {name: self.cut.part(array, chunk) for name, array in self.after.items()}
        folded = {i: self.cut.part_of(known, chunk) for i, known in self.folded.items()}
        return self.before.part(self.cut, chunk), after, folded

    def run(self, source: KernelSource, loop: Pass, written: list[tuple[np.ndarray, int]], own: object = None) -> None:
        """Call a kernel on all elements.

        Args:
            source: of the kernel.
            loop: what it computes.
            written: the arrays that it writes, with how many of their numbers it has for each chunk.
            own: gives arrays that a thread has for itself, which stand behind the others; None if there are none.
        """
        lines = [(self.few.line(node), node.axes == ROW) for node in loop.lines]
        numbers = [self.few.number(node) for node in loop.numbers]
        if self.device is not None:
            read = [*(self.arrays[name] for name in loop.reads), *(a for a, _ in lines)]
            totals: list[np.ndarray] = own() if callable(own) else []
            lengths = self.size, self.chunk, self.columns
            screens.run(source, read, numbers, lengths, [a for a, _ in written], totals, self.device)
            return
        kernel, packed, rooms = kernels.get(source), [], []
        count = thread_pool.worth(self.size) if self.threads is None else self.threads
        arrays = [self.arrays[name] for name in loop.reads]
        for start, many in thread_pool.split(self.size, count, self.chunk):
            addresses = [kernels.address(a) + start * a.itemsize for a in arrays]
            addresses += [kernels.address(a) + (start // self.columns if by_row else 0) * 8 for a, by_row in lines]
            addresses += [kernels.address(a) + start // self.chunk * each * a.itemsize for a, each in written]
            room = own() if callable(own) else []
            addresses += [kernels.address(a) for a in room]
            packed.append(kernel.pack(many, self.chunk, self.columns, *addresses, *numbers))
            rooms.append(room)
        thread_pool.run(kernel, packed, (arrays, lines, written, rooms))

    def fold(self, sources: Mapping[int, KernelSource]) -> None:
        """Work out what reductions leave.

        Args:
            sources: by the index of a reduction whose operand has an element for each of the parameter's, its kernel.

        Raises:
            Unclear: what one leaves is not known to within a bound alone, or a condition on such numbers does not hold.
            Ambiguous: a decision is open that the rest of the array has a part in.
        """
        operands = Operands(self, sources)
        for fold in self.found.folds:
            if not self.few.hold(fold.loop):
                raise Unclear
            operand, sizes = operands.of(fold) if fold.value.axes == ELEMENT else (self._few(fold), None)
            with np.errstate(all="ignore"):
                left = self.enclosure.fold(fold.node, operand, sizes)
            if left.has_ends() or not (np.isfinite(left.value).all() and np.isfinite(left.bound()).all()):
                raise Unclear
            self.folded[fold.node.index] = left
            self.few.add(fold.node, left)

    def _few(self, fold: Fold) -> Bounded:
        """What a reduction folds that has few terms."""
        value = np.asarray(self.few.values[fold.value.index])
        error = None if fold.error is None else np.asarray(self.few.values[fold.error.index])
        return Bounded(value, np.zeros(value.shape) if error is None else np.broadcast_to(error, value.shape))

    def judged_few(self, policy: Policy) -> dict[str, Judged]:
        """The outputs that are one number a row, a column or a tensor, judged.

        Args:
            policy: what counts as correct.

        Raises:
            Ambiguous: a decision is open that they depend on.
        """
        names = self.found.few
        if not names:
            return {}
        inputs = {n.attribute for n in self.enclosure.graph.nodes if n.op == "input" and n.axes != ELEMENT}
        after = {name: self.after[name] for name in names}
        with np.errstate(all="ignore"):
            numbers, wide, observed = careful.read(self.enclosure, {n: self.before[n] for n in inputs}, after)
            sets = self.enclosure.few(names, numbers, self.scalars, observed, self.folded)
            return {name: self._compared(name, sets[name], wide[name], policy) for name in names}

    def _compared(self, name: str, acceptable: Bounded, wide: np.ndarray, policy: Policy) -> Judged:
        """One of them, chunk by chunk if it has the axis that is cut."""
        axes, dtype, gathered = self.enclosure.graph.small[name], self.after[name].dtype, Gathered(self.cut)
        for chunk in self.chunks if self.cut.cuts(axes) else self.chunks[:1]:
            acceptable_there, seen_there = self.cut.part_of(acceptable, chunk), self.cut.part(wide, chunk)
            judged = comparing.compare(acceptable_there, seen_there, dtype, policy)
            gathered.add(name, judged.parts(), axes, chunk)
        return Judged(*gathered.of(name, len(judged.parts())))


@dataclass(eq=False)
class Operands:
    """What reductions fold, one after the other in the same memory.

    Attributes:
        shared: the step.
        sources: the kernels that compute them, by the index of the reduction.
    """

    shared: Shared
    sources: Mapping[int, KernelSource]
    #: the last one, by the index of the node that is folded
    _last: tuple[int, Bounded, np.ndarray | None] | None = None

    @cached_property
    def _room(self) -> tuple[np.ndarray, ...]:
        return tuple(np.empty(self.shared.cut.shape) for _ in range(3))

    def of(self, fold: Fold) -> tuple[Bounded, np.ndarray | None]:
        """What a reduction folds, until the next one is asked for; and the largest magnitudes, if they are at hand."""
        index = fold.node.args[0].index
        if self._last is None or self._last[0] != index:
            self._last = (index, *self._computed(fold))
        return self._last[1:]

    def _computed(self, fold: Fold) -> tuple[Bounded, np.ndarray | None]:
        shared, (value, error, sizes) = self.shared, self._room
        failed = np.zeros(len(shared.chunks) + 1, np.int64)
        written = [(failed, 1), *((array, shared.chunk) for array in self._room)]
        shared.run(self.sources[fold.node.index], fold.loop, written)
        if not failed.any():
            return Bounded(value, error), sizes
        return together(list(self._parts(fold, failed)), shared.cut, ELEMENT), None

    def _parts(self, fold: Fold, failed: np.ndarray) -> Iterator[Bounded]:
        """Chunk by chunk; those whose conditions do not hold are computed by the enclosure itself."""
        shared, (value, error, _) = self.shared, self._room
        for place, chunk in enumerate(shared.chunks):
            if not failed[place]:
                yield Bounded(value[chunk], error[chunk])
                continue
            before, after, known = shared.of_chunk(chunk)
            with np.errstate(all="ignore"):
                numbers, _, observed = careful.read(shared.enclosure, before, after)
                yield shared.enclosure.operand(fold.node, numbers, shared.scalars, observed, known)
