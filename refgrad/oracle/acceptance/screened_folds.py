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

from refgrad.arithmetic.enclosed import Enclosed, Few, Fold, Pass
from refgrad.arithmetic.enclosure import Enclosure
from refgrad.arithmetic.running_error import Bounded, Model
from refgrad.axes import ELEMENT
from refgrad.backends import kernels, thread_pool
from refgrad.backends.source import KernelSource
from refgrad.oracle.acceptance import judge as careful
from refgrad.oracle.acceptance.chunks import Cut, together
from refgrad.oracle.acceptance.judge import Judged, Large
from refgrad.oracle.acceptance.policy import Policy


class Unclear(Exception):  # not an error: what is judged is judged without kernels
    """What elements share is not as kernels need it: it may overflow, or a decision on it is open."""


@dataclass(eq=False)
class Shared:
    """A step that kernels look at, with what its elements share.

    Attributes:
        found: the graph of centres and bounds.
        enclosure: the enclosure of the same rule.
        model: what is charged.
        scalars: those of the rule's graph, in its order.
        arrays: by the names that the graph has for them, those of elements, in C order, in their own dtypes.
        before, after: as of a step, shaped like the parameter, or all of its elements in a line.
        cut: how they are cut.
        threads: how many; None for as many as are worth it.
        folded: what reductions leave, by index.
    """

    found: Enclosed
    enclosure: Enclosure
    model: Model
    scalars: list[Bounded]
    arrays: Mapping[str, np.ndarray]
    before: Large
    after: Mapping[str, np.ndarray]
    cut: Cut
    threads: int | None = None
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
        return self.cut.step * self.columns

    @cached_property
    def chunks(self) -> tuple[slice, ...]:
        """The places of each chunk along the first axis."""
        return tuple(self.cut.chunks())

    @cached_property
    def few(self) -> Few:
        """The numbers that elements share."""
        return Few(self.found, self.scalars, self.model, self._small_arrays())

    def _small_arrays(self) -> dict[str, np.ndarray]:
        inputs = {n.attribute: n.axes for n in self.enclosure.graph.nodes if n.op == "input"}
        known = {name: self.before[name].value for name, axes in inputs.items() if axes != ELEMENT}
        return known | {f"new_{name}": self.after[name] for name in self.found.few}

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
        kernel, packed, rooms = kernels.get(source), [], []
        lines = [(self.few.line(node), node.axes[0] != "1") for node in loop.lines]
        numbers = [self.few.number(node) for node in loop.numbers]
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
        for fold in self.found.folds:
            if not self.few.hold(fold.loop):
                raise Unclear
            operand = self._operand(fold, sources) if fold.value.axes == ELEMENT else self._few(fold)
            left = self.enclosure.fold(fold.node, operand)
            del operand
            if left.has_ends() or not (np.isfinite(left.value).all() and np.isfinite(left.bound()).all()):
                raise Unclear
            self.folded[fold.node.index] = left
            self.few.add(fold.node, left)

    def _few(self, fold: Fold) -> Bounded:
        """What a reduction folds that has few terms."""
        value = np.asarray(self.few.values[fold.value.index])
        error = None if fold.error is None else np.asarray(self.few.values[fold.error.index])
        return Bounded(value, np.zeros(value.shape) if error is None else np.broadcast_to(error, value.shape))

    def _operand(self, fold: Fold, sources: Mapping[int, KernelSource]) -> Bounded:
        """What a reduction folds."""
        value, error = np.empty(self.cut.shape), np.empty(self.cut.shape)
        failed = np.zeros(len(self.chunks) + 1, np.int64)
        self.run(sources[fold.node.index], fold.loop, [(failed, 1), (value, self.chunk), (error, self.chunk)])
        if not failed.any():
            return Bounded(value, error)
        return together(list(self._parts(fold, value, error, failed)), self.cut, ELEMENT)

    def _parts(self, fold: Fold, value: np.ndarray, error: np.ndarray, failed: np.ndarray) -> Iterator[Bounded]:
        for place, chunk in enumerate(self.chunks):
            if not failed[place]:
                yield Bounded(value[chunk], error[chunk])
                continue
            before, after, known = self.of_chunk(chunk)
            with np.errstate(all="ignore"):
                numbers, _, observed = careful.read(self.enclosure, before, after)
                yield self.enclosure.operand(fold.node, numbers, self.scalars, observed, known)

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
            return {name: careful.compare(sets[name], wide[name], after[name].dtype, policy) for name in names}
