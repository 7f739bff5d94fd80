"""Splitting a range of elements among threads; a kernel runs without the interpreter lock.

Workers wait on plain locks: to hand work over takes one release and one acquire, less than an executor's queue.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

#: below this many elements handing work to another thread costs more than it saves (measured, see docs/speed.md)
WORTH_SPLITTING = 400_000
#: chunks begin at multiples of this many elements, so that no two threads write one cache line
ALIGNMENT = 64

Work = Callable[[int, int], None]


class Worker(threading.Thread):
    """A thread that does one chunk at a time and parks in between."""

    def __init__(self) -> None:
        super().__init__(name="refgrad", daemon=True)
        self._go, self._done = threading.Lock(), threading.Lock()
        self._go.acquire()
        self._done.acquire()
        self._task: tuple[Work, int, int] | None = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        """Wait for a chunk, do it, say so; for ever."""
        while True:
            self._go.acquire()
            assert self._task is not None
            work, start, count = self._task
            try:
                work(start, count)
            except BaseException as error:
                self._error = error
            self._task = work = None  # type: ignore[assignment]  # keeps nobody's arrays alive
            self._done.release()

    def hand(self, work: Work, start: int, count: int) -> None:
        """Begin a chunk."""
        self._task = (work, start, count)
        self._go.release()

    def wait(self) -> BaseException | None:
        """Until the chunk is done; what it raised, if anything."""
        self._done.acquire()
        error, self._error = self._error, None
        return error


_idle: list[Worker] = []  # append and pop are atomic: callers in several threads get different workers


def available() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def split(size: int, threads: int) -> list[tuple[int, int]]:
    """Contiguous chunks, as many as there are threads or fewer."""
    chunk = -(-size // threads)
    chunk += -chunk % ALIGNMENT
    return [(start, min(chunk, size - start)) for start in range(0, size, chunk)]


def run(work: Work, size: int, threads: int | None) -> None:
    """Call ``work(start, count)`` on chunks that cover a range, wait for all, and raise what one of them raised."""
    if threads is None:
        threads = available() if size >= WORTH_SPLITTING else 1
    if threads <= 1 or size <= ALIGNMENT:
        work(0, size)
        return
    mine, *others = split(size, threads)
    crew = [_worker() for _ in others]
    for worker, chunk in zip(crew, others, strict=True):
        worker.hand(work, *chunk)
    try:
        work(*mine)
    finally:
        errors = [worker.wait() for worker in crew]
        _idle.extend(crew)
    for error in errors:
        if error is not None:
            raise error


def _worker() -> Worker:
    try:
        return _idle.pop()
    except IndexError:
        return Worker()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads
