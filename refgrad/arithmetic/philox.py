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
    c0, c1, c2, c3 = (counter[:, i].astype(np.uint64) for i in range(4))
    k0, k1 = np.uint64(key[0]), np.uint64(key[1])
    for _ in range(ROUNDS):
        first, second = MULTIPLIERS[0] * c0, MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (second >> _WORD) ^ c1 ^ k0, second & _LOW, (first >> _WORD) ^ c3 ^ k1, first & _LOW
        k0, k1 = (k0 + BUMPS[0]) & _LOW, (k1 + BUMPS[1]) & _LOW
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def random_words(count: int, seed: int, stream: int = 0, start: int = 0) -> np.ndarray:
    """The 32-bit words of elements ``start`` to ``start + count`` of a stream."""
    first, last = start // 4, (start + count + 3) // 4
    blocks = np.arange(first, max(last, first + 1), dtype=np.uint64)
    counter = np.zeros((blocks.size, 4), np.uint64)
    counter[:, 0], counter[:, 1] = blocks & _LOW, blocks >> _WORD
    words = philox4x32(counter, (seed & 0xFFFFFFFF, stream & 0xFFFFFFFF)).ravel()
    return words[start - 4 * first :][:count]
