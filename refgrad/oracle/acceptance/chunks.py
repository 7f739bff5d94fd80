"""Large arrays in chunks along their first or their longest axis, and what was found of these as whole arrays again.

What is one number a row, a column or a tensor stands beside the elements: it is cut where it has the axis, and else the same
for all chunks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refgrad.arithmetic.ends import joined
from refgrad.arithmetic.running_error import Bounded
from refgrad.axes import Axes

#: elements that are judged at a time: temporaries then stay in the cache
CHUNK = 32768


@dataclass(frozen=True)
class Cut:
    """How arrays of a shape are cut.

    Attributes:
        shape: that of one number an element.
        axis: the axis that is cut.
        step: the length of a chunk along it.

    >>> cut = Cut.of((4, 2), 4)
    >>> [cut.part(np.arange(4)[:, None], chunk).tolist() for chunk in cut.chunks()]
    [[[0], [1]], [[2], [3]]]
    """

    shape: tuple[int, ...]
    axis: int
    step: int

    @classmethod
    def of(cls, shape: tuple[int, ...], size: int) -> Cut:
        """The first axis, or the longest one if a place of the first has more; cut into chunks of as many elements, or one place.

        Args:
            shape: that of one number an element, more than none.
            size: the number of elements.
        """
        total = int(np.prod(shape, dtype=np.int64))
        axis = 0 if total // shape[0] <= size else int(np.argmax(shape))
        each = max(1, total // shape[axis])
        return cls(shape, axis, max(1, size // each))

    def chunks(self) -> Iterator[slice]:
        """The places of each chunk along the axis."""
        length = self.shape[self.axis]
        return (slice(start, min(start + self.step, length)) for start in range(0, length, self.step))

    def part(self, array: np.ndarray, chunk: slice) -> np.ndarray:
        """What stands in a chunk.

        Args:
            array: broadcasts against the shape.
            chunk: the places.

        Returns:
            A view of it; the array itself if it does not have the axis.
        """
        place = self.axis - len(self.shape) + array.ndim
        has_axis = place >= 0 and array.shape[place] == self.shape[self.axis] > 1
        return array[(slice(None),) * place + (chunk,)] if has_axis else array

    def part_of(self, known: Bounded, chunk: slice) -> Bounded:
        """What is known of the numbers in a chunk, likewise.

        Args:
            known: broadcasts against the shape.
            chunk: the places.
        """
        cut: dict[str, Any] = {n: self.part(a, chunk) for n, a in known._asdict().items() if isinstance(a, np.ndarray)}
        return known._replace(**cut)

    def cuts(self, axes: Axes) -> bool:
        """True if a value has the axis that is cut.

        Args:
            axes: the names of its axes, of which all but the first of the shape's have one.
        """
        return ("j" if self.axis else "i") in axes


@dataclass
class Gathered:
    """Arrays that are filled chunk by chunk, so that no array stands beside its chunks.

    Attributes:
        cut: how the chunks were made.
    """

    cut: Cut
    arrays: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    def add(self, name: str, parts: Sequence[np.ndarray | None], axes: Axes, chunk: slice) -> None:
        """What was found in a chunk.

        Args:
            name: of it.
            parts: arrays; or None, which is of no array at all.
            axes: the names of their axes.
            chunk: its places.
        """
        for number, part in enumerate(parts):
            if part is None:
                continue
            if not self.cut.cuts(axes):
                self.arrays.setdefault((name, number), np.array(part))
                continue
            place = self.cut.axis - len(self.cut.shape) + part.ndim
            if (name, number) not in self.arrays:
                shape = (*part.shape[:place], self.cut.shape[self.cut.axis], *part.shape[place + 1 :])
                self.arrays[name, number] = np.empty(shape, part.dtype)
            self.arrays[name, number][(slice(None),) * place + (chunk,)] = part

    def of(self, name: str, count: int) -> tuple[Any, ...]:
        """The whole arrays.

        Args:
            name: under which they were added.
            count: how many there were.

        Returns:
            The arrays, and None where there was none.
        """
        return tuple(self.arrays.get((name, number)) for number in range(count))


def together(parts: Sequence[Bounded], cut: Cut, axes: Axes) -> Bounded:
    """What is known of the numbers of all chunks.

    Args:
        parts: of each chunk, in order.
        cut: how they were made.
        axes: the names of its axes.
    """
    if not cut.cuts(axes) or len(parts) == 1:
        return parts[0]
    place = cut.axis - len(cut.shape)
    return joined(parts, lambda arrays: np.concatenate(arrays, axis=place))
