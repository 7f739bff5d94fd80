"""The kernel of `refgrad.arithmetic.philox.random_words`: the same words, by any number of threads."""

from __future__ import annotations

from functools import cache

import numpy as np

from refgrad.arithmetic import philox
from refgrad.backends import kernels, thread_pool, worth_compiling
from refgrad.backends.source import KernelSource
from refgrad.errors import ArgumentError, nearest

_TEXT = """# Philox4x32-10
def kernel(n, start, key0, key1, words_at):
    words = carray(words_at, (n,))
    low, word = np.uint64(0xFFFFFFFF), np.uint64(32)
    for block in range((n + 3) // 4):
        counter = np.uint64(start // 4 + block)
        c0, c1, c2, c3 = counter & low, counter >> word, np.uint64(0), np.uint64(0)
        k0, k1 = np.uint64(key0), np.uint64(key1)
        for _ in range({rounds}):
            first, second = np.uint64({m0}) * c0, np.uint64({m1}) * c2
            c0, c1, c2, c3 = (second >> word) ^ c1 ^ k0, second & low, (first >> word) ^ c3 ^ k1, first & low
            k0, k1 = (k0 + np.uint64({b0})) & low, (k1 + np.uint64({b1})) & low
        i = 4 * block
        words[i] = c0
        if i + 1 < n:
            words[i + 1] = c1
        if i + 2 < n:
            words[i + 2] = c2
        if i + 3 < n:
            words[i + 3] = c3
"""


@cache
def source() -> KernelSource:
    """The kernel's text."""
    (m0, m1), (b0, b1) = philox.MULTIPLIERS, philox.BUMPS
    text = _TEXT.format(rounds=philox.ROUNDS, m0=int(m0), m1=int(m1), b0=int(b0), b1=int(b1))
    return KernelSource(text, ("words",), 0, np.dtype(np.float32), 4, ("uint32",))


def random_words(
    count: int, seed: int, stream: int = 0, start: int = 0, backend: str = "auto", threads: int | None = None
) -> np.ndarray:
    """`philox.random_words`, by a kernel where one is at hand or worth compiling; the words are the same."""
    if backend not in ("auto", "numpy", "numba"):
        known = ("auto", "numpy", "numba")
        raise ArgumentError(f"backend is {backend!r}{nearest(backend, known)}; legal: {', '.join(known)}")
    few = not worth_compiling(count) and not kernels.at_hand(source())
    if backend == "numpy" or (backend == "auto" and few) or not count:
        return philox.random_words(count, seed, stream, start)
    first = start - start % 4
    words = np.empty(count + start - first, np.uint32)
    kernel = kernels.get(source())
    keys = (seed & 0xFFFFFFFF, stream & 0xFFFFFFFF)
    threads = thread_pool.worth(words.size) if threads is None else threads
    chunks = [
        kernel.pack(n, first + at, *keys, words.ctypes.data + at * words.itemsize)
        for at, n in thread_pool.split(words.size, threads)
    ]
    thread_pool.run(kernel, chunks, [words])
    return words[start - first :]
