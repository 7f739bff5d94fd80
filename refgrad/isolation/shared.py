"""Memory that a host and its child share: large arrays go through it, one way each.

The memory is a file without a name. Both read and write it by position, so that each has a copy of what the other wrote: what a
child writes into it later, or cuts off, changes nothing of an answer that was read and harms nobody who reads. An answer that is
not read before the candidate goes on does not stand there: those of several steps together go through the pipe.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence

#: bytes of a message's arrays from which they go through shared memory; fewer are as fast through the pipe
LEAST = 1 << 15


class Region:
    """Shared memory in one direction.

    Args:
        descriptor: of the file; -1 for none.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor, self._at = descriptor, 0

    @classmethod
    def new(cls) -> Region:
        """A new one, none where the system has no such files."""
        make = getattr(os, "memfd_create", None)
        return cls.none() if make is None else cls(make("refgrad"))

    @classmethod
    def none(cls) -> Region:
        """No memory: all goes through the pipe."""
        return cls(-1)

    def takes(self, size: int) -> bool:
        """True if arrays of so many bytes together go through it."""
        return self.descriptor >= 0 and size >= LEAST

    def rewind(self) -> None:
        """Begin anew: what comes next stands at the beginning. Both ends do so at each question."""
        self._at = 0

    def put(self, buffers: Iterable[bytes]) -> None:
        """Write buffers one after another, and after those of the same question."""
        for buffer in buffers:
            rest = memoryview(buffer)
            while rest:
                count = os.pwrite(self.descriptor, rest, self._at)
                self._at, rest = self._at + count, rest[count:]

    def get(self, lengths: Sequence[int]) -> list[bytearray]:
        """Copies of the next buffers that were put.

        Raises:
            ValueError: there are fewer bytes.
        """
        found = []
        if self.descriptor < 0 or os.fstat(self.descriptor).st_size < self._at + sum(lengths):
            raise ValueError("less shared memory than the header says")
        for length in lengths:
            buffer = bytearray(length)
            rest = memoryview(buffer)
            while rest:
                count = os.preadv(self.descriptor, [rest], self._at)
                if not count:
                    raise ValueError("less shared memory than the header says")
                self._at, rest = self._at + count, rest[count:]
            found.append(buffer)
        return found

    def close(self) -> None:
        """Close this process's end."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1
