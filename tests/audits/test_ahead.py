"""Chunks are judged in order, the next one is read meanwhile, and what cannot be read is told where it lies."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from refgrad.audits.ahead import steps
from refgrad.audits.judging import CHUNK
from refgrad.audits.stored import RecordError


class Recorded:
    """A leaf of which it is told which chunks were read, by which thread; one of them cannot be."""

    plan, free = "traced", "numbers"

    def __init__(self, broken: int = -1) -> None:
        self.broken, self.read, self.threads = broken, list[int](), list[str]()
        self.came = threading.Event()

    def step(self, chunk: tuple[int, int]) -> Any:
        self.read.append(chunk[0])
        self.threads.append(threading.current_thread().name)
        self.came.set()
        if chunk[0] == self.broken:
            raise RecordError("cut")
        return f"step {chunk[0]}"


def wanted(leaf: Recorded, *starts: int, size: int = 1) -> list[Any]:
    return [(leaf, (start, start + size)) for start in starts]


def test_the_next_chunk_is_read_while_one_is_judged() -> None:
    leaf = Recorded()
    found = steps(wanted(leaf, 0, 1, 2))
    assert next(found) == "step 0"
    leaf.came.clear()
    assert leaf.came.wait(10) or leaf.read == [0, 1]
    assert list(found) == ["step 1", "step 2"]
    assert leaf.read == [0, 1, 2]
    assert len(set(leaf.threads)) == 2
    assert list(steps([])) == []


def test_what_cannot_be_read_is_told_in_its_place() -> None:
    found = steps(wanted(Recorded(broken=1), 0, 1, 2))
    assert next(found) == "step 0"
    with pytest.raises(RecordError, match="cut"):
        next(found)


def test_a_large_tensor_is_not_held_twice() -> None:
    leaf = Recorded()
    found = steps(wanted(leaf, 0, 1, size=CHUNK + 1))
    next(found)
    assert leaf.read == [0]
    assert next(found) == "step 1"
    assert set(leaf.threads) == {threading.current_thread().name}


def test_who_stops_waits_for_no_more_than_what_is_being_read() -> None:
    leaf = Recorded()
    found = steps(wanted(leaf, *range(9)))
    next(found)
    found.close()
    assert leaf.read in ([0], [0, 1])
