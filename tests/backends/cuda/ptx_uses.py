"""Who used which byte of an array in a launch: what two threads do to one place without waiting in between is a race."""

from __future__ import annotations

import numpy as np

from tests.backends.cuda.ptx_operations import Fault

NOBODY, SEVERAL = -1, -2


class Uses:
    """Reads and writes of an array that all threads of a grid see.

    Threads of one block may use a place one after the other if they have waited for each other in between; those of different
    blocks never may, if one of them writes.

    Args:
        size: its bytes.
        block: the block of each thread.
    """

    def __init__(self, size: int, block: np.ndarray) -> None:
        self.block, self.waited = block, np.zeros(int(block.max(initial=0)) + 1, np.int64)
        self.writer, self.wrote_at = np.full(size, NOBODY, np.int32), np.zeros(size, np.int32)
        self.reader, self.read_at = np.full(size, NOBODY, np.int32), np.zeros(size, np.int32)
        self.reading_block = np.full(size, NOBODY, np.int32)

    def forget(self, blocks: np.ndarray) -> None:
        """The threads of these blocks have waited for each other."""
        self.waited[blocks] += 1

    def load(self, at: np.ndarray, thread: np.ndarray) -> None:
        """A read by each thread."""
        block = self.block[thread]
        if self._written_by_others(at, thread, block).any():
            raise Fault("a race: what one thread writes, another reads")
        now, known = self.waited[block], self.reading_block[at]
        again = (known == block) & (self.read_at[at] == now)
        self.reader[at] = np.where(again & (self.reader[at] != thread), SEVERAL, thread)
        self.reading_block[at] = np.where((known == NOBODY) | (known == block), block, SEVERAL)
        self.read_at[at] = now

    def store(self, at: np.ndarray, thread: np.ndarray) -> None:
        """A write by each thread."""
        block = self.block[thread]
        elsewhere = (self.reading_block[at] != NOBODY) & (self.reading_block[at] != block)
        lately = (self.reading_block[at] == block) & (self.read_at[at] == self.waited[block])
        read = elsewhere | (lately & (self.reader[at] != thread))
        if (read | self._written_by_others(at, thread, block)).any():
            raise Fault("a race: two threads use one place, and one of them writes")
        self.writer[at], self.wrote_at[at] = thread, self.waited[block]

    def _written_by_others(self, at: np.ndarray, thread: np.ndarray, block: np.ndarray) -> np.ndarray:
        writer = self.writer[at]
        same_block = self.block[writer] == block
        before = same_block & (self.wrote_at[at] < self.waited[block])
        return np.asarray((writer != NOBODY) & (writer != thread) & ~before)
