"""Running a graph over all leaves of a tree as over one vector, without joining them.

A fold adds along one tree of all terms, in blocks that begin every `BLOCK` terms, wherever leaves end. The blocks that lie within
a leaf are folded where it is: a kernel is told where the vector would begin for this leaf to be at its place in it. Blocks that
leaves end in are copied together first, and so are small leaves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.axes import ELEMENT, NUMBER, TENSOR
from refgrad.backends import kernels, thread_pool
from refgrad.backends.program import Program
from refgrad.backends.staged_backend import Run
from refgrad.backends.staged_source import PassSource

#: a leaf with fewer elements in whole blocks is copied: to call a kernel for it takes as long
WORTH_A_CALL = 8 * BLOCK

Arrays = Mapping[str, np.ndarray]


def supports(program: Program) -> bool:
    """True if a program folds all elements alone, so that it does not matter how they are arranged.

    Args:
        program: the program.
    """
    return bool(program.passes) and all(n.axes in (ELEMENT, TENSOR, NUMBER) for n in program.plan.graph.nodes)


def run(program: Program, free: tuple[float, ...], leaves: Sequence[Arrays], count: int | None) -> None:
    """Overwrite each leaf's outputs.

    Args:
        program: the program of a plan for vectors, which `supports` is true of.
        free: the values of the plan's free names, in order.
        leaves: what each leaf reads and writes, C-contiguous and of the working dtype, by name; what is one number of the tree
            is read of the first, and written to each.
        count: how many threads; None for as many as are worth it.
    """
    primary = program.plan.rule.primary
    sizes = [leaf[primary].size for leaf in leaves]
    count = thread_pool.worth(sum(sizes)) if count is None else count
    dtype, scalars = leaves[0][primary].dtype, program.plan.scalars(*free)
    found = _TreeRun(dtype, (sum(sizes), 1), leaves[0], scalars, count, leaves=leaves, sizes=sizes).through(program)
    for leaf in leaves:
        for name, value in found.items():
            leaf[name].reshape(-1)[...] = value


def stretches(sizes: Sequence[int]) -> Iterator[tuple[int, int, int | None]]:
    """The vector in stretches of whole blocks.

    Args:
        sizes: how many elements each leaf has.

    Returns:
        Where each stretch begins and ends, and the leaf that it lies in; None where it is copied together from several.

    >>> list(stretches([3000, 10_000, 5]))
    [(0, 3072, None), (3072, 12288, 1), (12288, 13005, None)]
    """
    done, total = 0, sum(sizes)
    for k, end in enumerate(accumulate(sizes)):
        first, last = end - sizes[k], end if end == total else end // BLOCK * BLOCK
        first += -first % BLOCK
        if last - first >= WORTH_A_CALL:
            if first > done:
                yield done, first, None
            yield first, last, k
            done = last
    if total > done:
        yield done, total, None


@dataclass(eq=False)
class _TreeRun(Run):
    """One run of a program over leaves.

    Args:
        leaves: what each leaf reads and writes.
        sizes: how many elements each has.
        copied: what was copied together, by name and by where it begins in the vector.
    """

    leaves: Sequence[Arrays] = ()
    sizes: Sequence[int] = ()
    copied: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    def store(self, piece: PassSource) -> None:
        """Each leaf where it is."""
        for leaf, size in zip(self.leaves, self.sizes, strict=True):
            if size:
                at = {name: kernels.address(leaf[name]) for name in piece.arrays}
                self.stored(piece, at, size, self._threads(size))

    def fold(self, piece: PassSource) -> None:
        """Stretch by stretch."""
        _, into = self.room(piece)
        starts = [0, *accumulate(self.sizes)]
        for begin, end, k in stretches(self.sizes):
            at = {}
            for name in piece.arrays:
                array = self._copy(name, begin, end) if k is None else self.leaves[k][name]
                at[name] = kernels.address(array) - self.dtype.itemsize * (begin if k is None else starts[k])
            blocks = -(-(end - begin) // BLOCK)
            self.folded(piece, at, (begin // BLOCK, blocks), into, self._threads(end - begin))

    def _copy(self, name: str, begin: int, end: int) -> np.ndarray:
        """A stretch of the vector, once for all passes: only the last one writes."""
        if (name, begin) not in self.copied:
            parts, start = [], 0
            for leaf, size in zip(self.leaves, self.sizes, strict=True):
                if start < end and start + size > begin:
                    parts.append(leaf[name].reshape(-1)[max(begin - start, 0) : end - start])
                start += size
            self.copied[name, begin] = np.concatenate(parts)
        return self.copied[name, begin]

    def _threads(self, size: int) -> int:
        """How many threads are worth their while for a part of the vector."""
        return self.count if size >= thread_pool.WORTH_HANDING else 1
