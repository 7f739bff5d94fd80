"""What kernels are run on: a protocol, so that a card, an emulation on the host and an interpreter of PTX stand side by side."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np

from refgrad import trees
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

    def put(self, array: np.ndarray) -> Any:
        """An array of the host's, on the device."""

    def copy(self, array: Any) -> Any:
        """A new contiguous array with the same elements."""

    def spread(self, array: Any, shape: tuple[int, ...]) -> Any:
        """An array broadcast to a shape, not contiguous; nothing is copied.

        Raises:
            ValueError: it does not broadcast.
        """

    def get(self, array: Any) -> np.ndarray:
        """A copy of an array on the host, once all launches before it have ended."""

    def read(self, array: Any) -> Any:
        """An array of another library's on the device, or one of its own, as its own, of the same memory."""

    def write(self, array: Any, values: np.ndarray) -> None:
        """An array overwritten with one of the host's, of its shape and dtype."""

    def running(self, arrays: Sequence[Any]) -> AbstractContextManager[None]:
        """What work on some arrays is done in.

        Args:
            arrays: what the work reads and writes, those of other devices and of the host among them.

        Raises:
            ArgumentError: they lie on several devices.
            DeviceError: the device cannot be used.
        """

    def address(self, array: Any) -> int:
        """Where the elements of an array begin, as kernels know it."""

    def card(self) -> int:
        """The number of the device among those of its kind that is the current one."""

    def stream(self) -> Any:
        """The queue that launches go to now."""

    def borrowed(self, stream: int) -> AbstractContextManager[Any]:
        """Within it launches go to a queue of another library's.

        Args:
            stream: its handle.
        """

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


def device_of(tree: Any) -> Device | None:
    """The device that the arrays of a tree lie on; None if these are no arrays of a device's.

    Args:
        tree: an array, or a tree of arrays.

    >>> device_of({"w": np.ones(2)})
    """
    leaves = trees.leaves(tree)
    packages = {type(leaf).__module__.partition(".")[0] for _, leaf in leaves}
    if "cupy" not in packages:
        return None
    from refgrad.backends.cuda import cupy_device

    return cupy_device.device()


def of_cupy() -> Device | None:
    """CuPy's device; None if CuPy is not installed."""
    if importlib.util.find_spec("cupy") is None:
        return None
    from refgrad.backends.cuda import cupy_device

    return cupy_device.device()
