"""Threads that share one kernel's work, and wait for more of it without the interpreter.

To wake a parked thread takes the system 50 to 80 microseconds, longer than many steps. A worker that has done its chunk
therefore spins in machine code for a moment (`ROUNDS`) before it parks on a lock, and work is handed to a spinning worker through
memory: neither side needs the interpreter lock for that. What spins and hands over is a few lines of LLVM assembly.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from refgrad.backends import compiler
from refgrad.backends.compiler import Kernel

#: pauses that a worker spins before it parks, and that a caller waits before it yields: about a tenth of a millisecond
ROUNDS = 5000
#: seconds within which a call must follow another for a parked worker to be woken for the next one
SOON = 5e-4
#: below this many elements work is not split even if a worker is spinning; below the second, not if it is parked
WORTH_HANDING, WORTH_WAKING = 32_768, 400_000

#: threads that one kernel may have on any machine, and for each CPU
AT_LEAST, A_CPU = 16, 4

#: chunks begin at multiples of this many elements, so that no two threads write one cache line
ALIGNMENT = 64

#: a worker's slot is (state, function, its argument); these are the states
IDLE, POSTED, PARKED = 0, 1, 2

ASSEMBLY = """
define i64 @serve(ptr %slot, i64 %rounds) {
start:
  br label %look
look:
  %left = phi i64 [ %rounds, %start ], [ %fewer, %wait ], [ %rounds, %work ], [ 1, %park ]
  %state = load atomic i64, ptr %slot acquire, align 8
  %posted = icmp eq i64 %state, POSTED
  br i1 %posted, label %work, label %idle
idle:
  %fewer = sub i64 %left, 1
  %spent = icmp sle i64 %fewer, 0
  br i1 %spent, label %park, label %wait
wait:
  PAUSE
  br label %look
work:
  %function.at = getelementptr i64, ptr %slot, i64 1
  %argument.at = getelementptr i64, ptr %slot, i64 2
  %function = load ptr, ptr %function.at, align 8
  %argument = load ptr, ptr %argument.at, align 8
  call void %function(ptr %argument)
  store atomic i64 IDLE, ptr %slot release, align 8
  br label %look
park:
  %was = cmpxchg ptr %slot, i64 IDLE, i64 PARKED acq_rel acquire
  %before = extractvalue { i64, i1 } %was, 0
  %other.work = icmp eq i64 %before, POSTED
  br i1 %other.work, label %look, label %end
end:
  ret i64 0
}

define i64 @post(ptr %slot, i64 %function, ptr %argument) {
  %function.at = getelementptr i64, ptr %slot, i64 1
  %argument.at = getelementptr i64, ptr %slot, i64 2
  store i64 %function, ptr %function.at, align 8
  store ptr %argument, ptr %argument.at, align 8
  %was = atomicrmw xchg ptr %slot, i64 POSTED acq_rel
  ret i64 %was
}

define i64 @finished(ptr %slot, i64 %rounds) {
start:
  br label %look
look:
  %left = phi i64 [ %rounds, %start ], [ %fewer, %wait ]
  %state = load atomic i64, ptr %slot acquire, align 8
  %busy = icmp eq i64 %state, POSTED
  br i1 %busy, label %idle, label %done
idle:
  %fewer = sub i64 %left, 1
  %spent = icmp sle i64 %fewer, 0
  br i1 %spent, label %late, label %wait
wait:
  PAUSE
  br label %look
done:
  ret i64 1
late:
  ret i64 0
}

define i64 @stir(ptr %slot) {
  %was = cmpxchg ptr %slot, i64 PARKED, i64 IDLE acq_rel acquire
  %stirred = extractvalue { i64, i1 } %was, 1
  %result = zext i1 %stirred to i64
  ret i64 %result
}
"""

#: how a processor is told that it spins: a declaration, and a call
PAUSES = {
    "x86_64": ("declare void @llvm.x86.sse2.pause()\n", "call void @llvm.x86.sse2.pause()"),
    "aarch64": ("declare void @llvm.aarch64.hint(i32)\n", "call void @llvm.aarch64.hint(i32 1)"),
}


class _Native:
    """The assembly above, compiled for this machine."""

    def __init__(self) -> None:
        declaration, pause = PAUSES.get(compiler.target().partition("-")[0], ("", ""))
        text = declaration + ASSEMBLY.replace("PAUSE", pause)
        for name, value in (("POSTED", POSTED), ("PARKED", PARKED), ("IDLE", IDLE)):
            text = text.replace(name, str(value))
        find = compiler.load_assembly(text)
        word, pointer = ctypes.c_int64, ctypes.c_void_p
        self.serve: Any = ctypes.CFUNCTYPE(word, pointer, word)(find("serve"))
        self.post: Any = ctypes.CFUNCTYPE(word, pointer, word, ctypes.c_char_p)(find("post"))
        self.finished: Any = ctypes.CFUNCTYPE(word, pointer, word)(find("finished"))
        self.stir: Any = ctypes.CFUNCTYPE(word, pointer)(find("stir"))


@cache
def _native() -> _Native:
    return _Native()


class Worker(threading.Thread):
    """A thread that does one chunk at a time; it spins for a moment after each, then parks."""

    def __init__(self) -> None:
        super().__init__(name="refgrad", daemon=True)
        self._native = _native()
        self._go = threading.Lock()
        self._go.acquire()
        self._slot = np.zeros(32, np.int64)  # in the middle of what no other thread writes to
        self._slot[8] = PARKED
        self._at = self._slot.ctypes.data + 64
        self.held: object = None
        #: true while it is woken: an interrupt may come when its slot says so and its lock does not
        self._waking = False
        self.start()

    def run(self) -> None:
        """Wait to be woken, serve for as long as there is work, park; for ever."""
        while True:
            self._go.acquire()
            self._native.serve(self._at, ROUNDS)

    @property
    def spins(self) -> bool:
        """True if work can be handed to it at once."""
        return bool(self._slot[8] == IDLE)

    def hand(self, kernel: Kernel, arguments: bytes, held: object) -> None:
        """Begin a chunk; what it reads and writes is kept alive until the next one."""
        self.held = (arguments, held)
        unsure, self._waking = self._waking, True
        if self._native.post(self._at, kernel.address, arguments) == PARKED or unsure:
            self._wake()
        self._waking = False

    def stir(self) -> None:
        """Begin to spin, so that the next chunk can be handed over at once."""
        unsure, self._waking = self._waking, True
        if self._native.stir(self._at) or unsure:
            self._wake()
        self._waking = False

    def wait(self) -> None:
        """Until the chunk is done."""
        while not self._native.finished(self._at, ROUNDS):
            if self._waking:
                self._wake()
            time.sleep(0)
        self.held = None

    def _wake(self) -> None:
        """Let it out of its lock; once too often does no harm: it spins for a moment, and parks again."""
        with contextlib.suppress(RuntimeError):  # it has been let out already
            self._go.release()


_idle: list[Worker] = []  # append and pop are atomic: callers in several threads get different workers
_last = 0.0  # when work last came that could have been split


def available() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worth(size: int) -> int:
    """How many threads are worth their while for so many elements of an elementwise step, as things stand."""
    global _last
    if size < WORTH_HANDING or available() == 1:
        return 1
    now, before = time.perf_counter(), _last
    _last = now
    if size >= WORTH_WAKING:
        return available()
    if now - before > SOON:
        return 1
    worker = _worker()
    spins = worker.spins
    worker.stir()
    _idle.append(worker)
    return 2 if spins else 1


def most() -> int:
    """How many threads one kernel is given, whatever a caller asks for: more than a few a CPU only wait for one another."""
    return max(AT_LEAST, A_CPU * available())


def split(size: int, threads: int, unit: int = ALIGNMENT) -> list[tuple[int, int]]:
    """Contiguous chunks as (start, length), as many as there are threads or fewer; they begin at multiples of a unit."""
    chunk = -(-size // (threads if threads <= AT_LEAST else min(threads, most())))
    chunk += -chunk % unit
    return [(start, min(chunk, size - start)) for start in range(0, size, chunk)]


def run(kernel: Kernel, chunks: Sequence[bytes], held: object = None) -> None:
    """Call a kernel with each of several packed arguments, at once, and wait for all.

    Args:
        kernel: it writes only what no other chunk reads or writes.
        chunks: what `Kernel.pack` returned, one a thread.
        held: what the kernel reads and writes; kept alive until the last chunk is done, however this call ends.
    """
    mine, *others = chunks
    workers: list[Worker] = []
    try:
        for arguments in others:
            workers.append(_worker())
            workers[-1].hand(kernel, arguments, held)
        kernel.entry(mine)
    finally:
        _returned(workers)


def _returned(workers: list[Worker]) -> None:
    """Wait until all chunks are done, and keep the workers for the next call; an interrupt comes when that is over.

    What is interrupted in between is waited for again, so that no worker writes after the call has ended, and none is lost.
    """
    interrupt: BaseException | None = None
    while workers:
        try:
            workers[-1].wait()
            _idle.append(workers.pop())
        except BaseException as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt


def _worker() -> Worker:
    try:
        return _idle.pop()
    except IndexError:
        return Worker()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # a child has none of its parent's threads
