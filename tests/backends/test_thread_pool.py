"""Work shared among threads: every element once, parked or spinning; callers and children independent."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
import threading
import time

import numpy as np
import pytest

from refgrad.backends import kernels, thread_pool
from refgrad.backends.compiler import Kernel
from refgrad.backends.source import KernelSource

ADD = """# adds a number to every element
def kernel(n, a_at, scalar0):
    a = carray(a_at, (n,))
    s = float32(scalar0)
    for i in range(n):
        a[i] = a[i] + s
"""
#: longer than a worker spins
PARKED = 0.02


@pytest.fixture(scope="module")
def add() -> Kernel:
    return kernels.get(KernelSource(ADD, ("a",), 1, np.dtype(np.float32)))


def shared(kernel: Kernel, array: np.ndarray, count: int, number: float = 1.0) -> None:
    at, chunks = array.ctypes.data, thread_pool.split(array.size, count)
    thread_pool.run(kernel, [kernel.pack(n, at + 4 * start, number) for start, n in chunks], array)


@pytest.mark.parametrize("size", [1, 64, 65, 1000, 4097])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("pause", [0.0, PARKED], ids=["spinning", "parked"])
def test_every_element_is_worked_on_once(add: Kernel, size: int, count: int, pause: float) -> None:
    a = np.zeros(size, np.float32)
    for step in range(1, 4):
        shared(add, a, count)
        assert (a == step).all()
        time.sleep(pause)
    assert all(start % thread_pool.ALIGNMENT == 0 for start, _ in thread_pool.split(size, count))


def test_a_worker_parks_and_is_stirred() -> None:
    worker = thread_pool.Worker()
    assert not worker.spins
    worker.stir()
    for _ in range(3):
        worker.stir()  # of one that spins: nothing happens
    end = time.monotonic() + 30
    while worker.spins and time.monotonic() < end:
        time.sleep(PARKED)
    assert not worker.spins


@pytest.mark.slow
def test_thousands_of_hand_overs(add: Kernel) -> None:
    a = np.zeros(640, np.float32)
    for step in range(5000):
        shared(add, a, 2)
        if step % 500 == 0:
            time.sleep(0.001)  # about as long as a worker spins, so that parking and posting meet
    assert (a == 5000).all()


@pytest.mark.slow
def test_callers_in_several_threads_do_not_meet(add: Kernel) -> None:
    arrays = [np.zeros(1000 + i, np.float32) for i in range(5)]
    callers = [
        threading.Thread(target=lambda a=a: [shared(add, a, 3) for _ in range(200)])  # type: ignore[misc]
        for a in arrays
    ]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert all((a == 200).all() for a in arrays)


def test_an_interrupted_caller_waits_for_the_others(add: Kernel) -> None:
    def interrupted(arguments: bytes) -> None:
        raise KeyboardInterrupt

    a = np.zeros(200_000, np.float32)
    with pytest.raises(KeyboardInterrupt):
        shared(dataclasses.replace(add, entry=interrupted), a, 2)
    assert (a[:100_032] == 0).all()
    assert (a[100_032:] == 1).all()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no timers that interrupt")
def test_workers_come_back_however_often_a_caller_is_interrupted(add: Kernel) -> None:
    """At any moment: while workers are taken, woken and waited for. Each chunk that was begun is done when the call ends."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    a, delays, interrupted = np.zeros(4096, np.float32), random.Random(0), 0
    shared(add, a, 4)  # LLVM, which compiles what workers run, is not to be interrupted
    before, handler = threading.active_count(), signal.signal(signal.SIGALRM, interrupt)
    try:
        for _ in range(150):
            try:
                # Python drops what is raised in some callbacks, the garbage collector's among them: it comes once more
                signal.setitimer(signal.ITIMER_REAL, delays.uniform(1e-5, 4e-4), 5.0)
                while True:
                    shared(add, a, 4)
            except KeyboardInterrupt:
                signal.setitimer(signal.ITIMER_REAL, 0)
                interrupted += 1
                seen = a.copy()
                assert np.array_equal(seen, a)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
    assert interrupted == 150
    assert threading.active_count() <= before + 3 + 4  # an interrupt between two bytecodes may lose one
    assert len({id(worker) for worker in thread_pool._idle}) == len(thread_pool._idle)


def test_more_threads_than_a_machine_has_use_for_are_not_made() -> None:
    assert len(thread_pool.split(10**9, 10**9)) <= thread_pool.most() + 1
    assert thread_pool.most() >= thread_pool.available()


def test_how_many_threads_are_worth_their_while() -> None:
    assert thread_pool.worth(thread_pool.WORTH_HANDING - 1) == 1
    assert thread_pool.worth(thread_pool.WORTH_WAKING) == thread_pool.available()
    time.sleep(2 * thread_pool.SOON)
    assert thread_pool.worth(thread_pool.WORTH_HANDING) == 1  # alone, since the last call was long ago


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_a_forked_child_makes_its_own_workers(add: Kernel) -> None:
    a = np.zeros(1024, np.float32)
    shared(add, a, 2)
    child = os.fork()
    if child == 0:
        shared(add, a, 2)
        os._exit(0 if (a == 2).all() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
