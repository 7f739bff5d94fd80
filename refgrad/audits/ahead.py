"""Chunks of recorded tensors, each read while the one before it is judged: a file is waited for once, and not twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from refgrad.audits.judging import CHUNK, Leaf
from refgrad.oracle.acceptance.judge import Step

Chunk = tuple[int, int]


def steps(wanted: Sequence[tuple[Leaf, Chunk]]) -> Iterator[Step]:
    """What each chunk is judged from, in order; a thread reads the next one meanwhile, unless it is a large tensor as a whole.

    Args:
        wanted: the chunks, each with its leaf.

    Raises:
        RecordError: a file cannot be read any more; in place of the chunk that lies there.
    """
    with ThreadPoolExecutor(1) as reader:
        ahead: Future[Step] | None = None
        for number, (leaf, chunk) in enumerate(wanted):
            now = leaf.step(chunk) if ahead is None else None
            before, ahead = ahead, None
            found = now if before is None else before.result()
            if number + 1 < len(wanted) and _is_short(wanted[number + 1][1]):
                ahead = _begun(reader, *wanted[number + 1])
            assert found is not None
            yield found


def _is_short(chunk: Chunk) -> bool:
    return chunk[1] - chunk[0] <= CHUNK


def _begun(reader: ThreadPoolExecutor, leaf: Leaf, chunk: Chunk) -> Future[Step]:
    """A chunk that is being read; what is traced for it is traced before, by the thread that judges."""
    assert leaf.plan is not None
    assert leaf.free is not None
    return reader.submit(leaf.step, chunk)
