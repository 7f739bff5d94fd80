"""Splitting a range of elements among threads; a kernel runs without the interpreter lock."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

#: below this many elements handing work to another thread costs more than it saves (measured, see docs/speed.md)
WORTH_SPLITTING = 250_000
#: chunks begin at multiples of this many elements, so that no two threads write one cache line
ALIGNMENT = 64

_pools: dict[int, ThreadPoolExecutor] = {}


def available() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def split(size: int, threads: int) -> list[tuple[int, int]]:
    """Contiguous chunks, as many as there are threads or fewer."""
    chunk = -(-size // threads)
    chunk += -chunk % ALIGNMENT
    return [(start, min(chunk, size - start)) for start in range(0, size, chunk)]


def run(work: Callable[[int, int], None], size: int, threads: int | None) -> None:
    """Call ``work(start, count)`` on chunks that cover a range, and wait for all."""
    if threads is None:
        threads = available() if size >= WORTH_SPLITTING else 1
    if threads <= 1 or size <= ALIGNMENT:
        work(0, size)
        return
    chunks = split(size, threads)
    futures = [_pool(threads).submit(work, *chunk) for chunk in chunks[1:]]
    work(*chunks[0])
    for future in futures:
        future.result()


def _pool(threads: int) -> ThreadPoolExecutor:
    if threads not in _pools:
        _pools[threads] = ThreadPoolExecutor(threads, thread_name_prefix="refgrad")
    return _pools[threads]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_pools.clear)  # a child has none of its parent's threads
