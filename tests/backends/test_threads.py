"""Work split among threads: every element once, errors passed on, callers and children independent."""

from __future__ import annotations

import os
import threading

import pytest

from refgrad.backends import threads


@pytest.mark.parametrize("size", [1, 64, 65, 1000, 4097])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_every_element_is_worked_on_once(size: int, count: int) -> None:
    seen = [0] * size

    def work(start: int, n: int) -> None:
        for i in range(start, start + n):
            seen[i] += 1

    threads.run(work, size, count)
    assert seen == [1] * size
    assert all(start % threads.ALIGNMENT == 0 for start, _ in threads.split(size, count))


@pytest.mark.parametrize("failing", [0, 512])
def test_what_a_chunk_raises_is_raised_after_all_are_done(failing: int) -> None:
    done = []

    def work(start: int, n: int) -> None:
        done.append(start)
        if start == failing:
            raise ValueError(f"chunk {start}")

    with pytest.raises(ValueError, match=f"chunk {failing}"):
        threads.run(work, 1024, 2)
    assert sorted(done) == [0, 512]
    done.clear()
    failing = -1
    threads.run(work, 1024, 2)  # the workers are fit for more
    assert sorted(done) == [0, 512]


def test_callers_in_several_threads_do_not_meet() -> None:
    totals: dict[int, int] = {}

    def caller(name: int) -> None:
        lock, total = threading.Lock(), [0]

        def work(start: int, n: int) -> None:
            with lock:
                total[0] += n

        for _ in range(200):
            threads.run(work, 1000 + name, 3)
        totals[name] = total[0]

    callers = [threading.Thread(target=caller, args=(i,)) for i in range(5)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert totals == {i: 200 * (1000 + i) for i in range(5)}


def test_work_may_split_again() -> None:
    seen: list[int] = []
    threads.run(lambda start, n: threads.run(lambda s, m: seen.append(m), n, 2), 512, 2)
    assert sum(seen) == 512


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning", "ignore:.*fork.*:RuntimeWarning")
def test_a_forked_child_makes_its_own_workers() -> None:
    threads.run(lambda start, n: None, 1024, 2)
    child = os.fork()
    if child == 0:
        done: list[int] = []
        threads.run(lambda start, n: done.append(n), 1024, 2)
        os._exit(0 if sum(done) == 1024 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
