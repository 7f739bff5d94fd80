"""What kernels are run on: a protocol, so that a card, an emulation on the host and an interpreter of PTX stand side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from refgrad.backends.source import KernelSource

#: the threads of a block
THREADS = 256
#: the most blocks of a grid: enough to fill any card, whose threads then take further elements in turn
MOST_BLOCKS = 4096


class Device(Protocol):
    """Something that has arrays and runs kernels on them.

    An array has ``dtype``, ``shape`` and ``size``, and is contiguous.
    """

    #: its name
    name: str

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """A new array, whose elements are anything."""

    def copy(self, array: Any) -> Any:
        """A new array with the same elements."""

    def address(self, array: Any) -> int:
        """Where the elements of an array begin, as kernels know it."""

    def stream(self) -> Any:
        """The queue that launches go to now."""

    def launch(self, source: KernelSource, blocks: int, threads: int, arguments: Sequence[float], stream: Any) -> None:
        """A kernel put into a queue.

        Args:
            source: the kernel.
            blocks: how many blocks the grid has.
            threads: how many threads a block has.
            arguments: integers, addresses and scalars in float64, in the kernel's order.
            stream: the queue.
        """


def grid(size: int) -> tuple[int, int]:
    """How many blocks, and threads of each, a loop over so many elements is worth.

    >>> grid(1000)
    (4, 256)
    """
    return min(-(-size // THREADS), MOST_BLOCKS), THREADS
