"""Random bits by counter: Philox4x32-10 (Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3").

Element i of a stream gets lane i mod 4 of the block with counter i div 4, whatever the order or the number of threads.
"""

from __future__ import annotations

import numpy as np

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
BUMPS = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
ROUNDS = 10
_LOW, _WORD = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox4x32(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """Blocks of four 32-bit words.

    Args:
        counter: four words a block, shape ``(blocks, 4)``, of any unsigned dtype.
        key: two words.

    Returns:
        uint32 of the counter's shape.
    """
    words = counter.T.astype(np.uint64, order="C")
    even, odd = words[::2].copy(), words[1::2].copy()  # words 0 and 2, which are multiplied, and words 1 and 3
    multipliers, other, products = np.asarray(MULTIPLIERS[::-1])[:, None], even[::-1], np.empty_like(even)
    for keys in _keys(key):
        np.multiply(multipliers, other, products)
        np.right_shift(products, _WORD, even)
        even ^= odd
        even ^= keys
        np.bitwise_and(products, _LOW, odd)
    words[::2], words[1::2] = even, odd
    return words.T.astype(np.uint32, order="C")


def _keys(key: tuple[int, int]) -> np.ndarray:
    """The two words of each round, one below the other."""
    rounds = np.arange(ROUNDS, dtype=np.uint64)[:, None]
    return ((np.asarray(key, np.uint64) + np.asarray(BUMPS) * rounds) & _LOW)[:, :, None]


def random_words(count: int, seed: int, stream: int = 0, start: int = 0) -> np.ndarray:
    """The 32-bit words of elements ``start`` to ``start + count`` of a stream."""
    first, last = start // 4, (start + count + 3) // 4
    blocks = np.arange(first, max(last, first + 1), dtype=np.uint64)
    counter = np.zeros((blocks.size, 4), np.uint64)
    counter[:, 0], counter[:, 1] = blocks & _LOW, blocks >> _WORD
    words = philox4x32(counter, (seed & 0xFFFFFFFF, stream & 0xFFFFFFFF)).ravel()
    return words[start - 4 * first :][:count]
