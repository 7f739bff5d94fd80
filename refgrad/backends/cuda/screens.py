"""Judging kernels in CUDA: the enclosure as `refgrad.backends.screen_source` prints it, with a thread for each chunk of elements.

The bits are those of the CPU's kernel: which chunks are clear, the largest distances of each, and, added up over threads, how
many elements lie how far from the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from refgrad.backends.cuda.device import Device
from refgrad.backends.cuda.dialect import Cuda
from refgrad.backends.dialect import Array
from refgrad.backends.screen_source import ROOM
from refgrad.backends.source import KernelSource

#: the threads of a block, each of which has a chunk, and the most blocks
THREADS, MOST_BLOCKS = 32, 512


class Chunks(Cuda):
    """CUDA C++ in which threads share the chunks of a loop from ``start``, and each counts into room of its own."""

    def kernel(self, integers: Sequence[str], arrays: Sequence[Array], scalars: Sequence[str]) -> tuple[str, list[str]]:
        """What begins a kernel: what has one length for every thread begins at the thread's own."""
        head, first = super().kernel(integers, arrays, scalars)
        own = [f"{a.name} += ({self.thread}) * {a.shape[0]};" for a in arrays if a.shape[0].isdigit()]
        return head, [*first, *own]

    def loop(self, name: str, start: str, stop: str, step: int | str = 1) -> str:
        """What begins a loop over integers; the threads share that over chunks."""
        if (name, step) != ("start", "chunk"):
            return super().loop(name, start, stop, step)
        stride = "(int64_t)gridDim.x * blockDim.x"
        first = f"({self.thread}) * {step}"
        return f"for (int64_t {name} = {first}; {name} < {stop}; {name} += {stride} * {step}) {{"


#: the dialect that screens are printed in
DIALECT = Chunks()


class Seen(NamedTuple):
    """What a screen says: conditions that fail, by chunk; the largest distances, by chunk and output; and counts of distances."""

    failed: np.ndarray
    worst: np.ndarray
    counts: np.ndarray
    largest: np.ndarray


def run(
    source: KernelSource,
    arrays: Sequence[Any],
    numbers: Sequence[float],
    lengths: tuple[int, int, int],
    outputs: int,
    rooms: int,
    device: Device,
) -> Seen:
    """Call a screen on all elements.

    Args:
        source: of the kernel, printed in `DIALECT`.
        arrays: what it reads, on the device.
        numbers: what elements share.
        lengths: how many elements there are, in a chunk, and in a row.
        outputs: how many outputs are judged.
        rooms: the groups of binades that are counted apart.
        device: where the arrays lie.
    """
    size, chunk, _ = lengths
    chunks = -(-size // chunk)
    blocks = min(-(-chunks // THREADS), MOST_BLOCKS)
    put: Callable[..., Any] = lambda shape, dtype: device.put(np.zeros(shape, dtype))  # noqa: E731
    failed, worst = put(chunks + 1, np.int64), put((chunks + 1, outputs, 2), np.float64)
    threads = blocks * THREADS
    totals = [put((threads, outputs, rooms, ROOM), np.int64), put((threads, outputs, rooms), np.float64)]
    totals += [device.empty(a.shape, a.dtype) for a in totals]
    at = [device.address(a) for a in (*arrays, failed, worst, *totals)]
    device.launch(source, blocks, THREADS, [*lengths, *at, *numbers], device.stream())
    counts, largest = device.get(totals[0]).sum(axis=0), device.get(totals[1]).max(axis=0)
    return Seen(device.get(failed)[:chunks], device.get(worst)[:chunks], counts, largest)
