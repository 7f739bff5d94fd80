"""Judging kernels in CUDA: the enclosure as `refgrad.backends.screen_source` prints it, with a thread for each chunk of elements.

The bits are those of the CPU's kernel: which chunks are clear, the largest distances of each, and, added up over threads, how
many elements lie how far from the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refgrad.backends.cuda.device import Device
from refgrad.backends.cuda.dialect import Cuda
from refgrad.backends.dialect import Array
from refgrad.backends.source import KernelSource

#: the threads of a block, each of which has a chunk, and the most blocks
THREADS, MOST_BLOCKS = 32, 512
#: of what threads counted, and of the largest that they saw, that of all of them
_JOINED: tuple[Callable[..., Any], ...] = (np.sum, np.max)


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


def run(
    source: KernelSource,
    arrays: Sequence[np.ndarray],
    numbers: Sequence[float],
    lengths: tuple[int, int, int],
    written: Sequence[np.ndarray],
    totals: Sequence[np.ndarray],
    device: Device,
) -> None:
    """Call a kernel on all elements, and bring back what it writes.

    Args:
        source: of the kernel, printed in `DIALECT`.
        arrays: what it reads, in its order.
        numbers: what elements share.
        lengths: how many elements there are, in a chunk, and in a row.
        written: arrays that it writes, which are overwritten; the first one has a number for each chunk, and begins as it is.
        totals: what one thread counts into and takes the largest of, and as many again; the first two are overwritten with
            those of all threads. Empty if it counts nothing.
        device: where it runs; arrays are copied there.
    """
    size, chunk, _ = lengths
    blocks = min(-(-size // (chunk * THREADS)), MOST_BLOCKS)
    threads = blocks * THREADS
    with device.running([]):
        read = [device.put(_stored(np.ascontiguousarray(a))) for a in arrays]
        out = [device.empty(a.shape, a.dtype) if i else device.put(a) for i, a in enumerate(written)]
        own = [device.put(np.zeros((threads, *a.shape), a.dtype)) for a in totals]
        at = [device.address(a) for a in (*read, *out, *own)]
        device.launch(source, blocks, THREADS, [*lengths, *at, *numbers], device.stream())
        for host, there in zip(written, out, strict=True):
            host[...] = device.get(there)
        for host, there, joined in zip(totals, own, _JOINED, strict=False):
            host[...] = joined(device.get(there), axis=0)


def _stored(array: np.ndarray) -> np.ndarray:
    """An array as a device can hold it, which need not know of narrow floats."""
    return array if array.dtype.kind in "iub" or array.itemsize > 2 else array.view(f"uint{8 * array.itemsize}")
