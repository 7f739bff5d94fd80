"""Random words on a device: Philox4x32-10, the words of `refgrad.arithmetic.philox.random_words`, an element a thread."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from refgrad.arithmetic import philox
from refgrad.backends.cuda.device import Device, grid
from refgrad.backends.cuda.dialect import DIALECT, SYMBOL
from refgrad.backends.source import KernelSource

#: the word of element ``i``: lane ``i`` mod 4 of the block with counter ``i`` div 4
WORD = f"""static __device__ inline uint32_t philox_word(int64_t i, int64_t key0, int64_t key1) {{
    uint64_t low = 0xFFFFFFFFULL, counter = (uint64_t)i >> 2, k0 = (uint64_t)key0, k1 = (uint64_t)key1;
    uint64_t c0 = counter & low, c1 = counter >> 32, c2 = 0, c3 = 0;
#pragma unroll 1
    for (int64_t round = 0; round < {philox.ROUNDS}; ++round) {{
        uint64_t first = {int(philox.MULTIPLIERS[0])}ULL * c0, second = {int(philox.MULTIPLIERS[1])}ULL * c2;
        uint64_t d0 = (second >> 32) ^ c1 ^ k0, d2 = (first >> 32) ^ c3 ^ k1;
        c1 = second & low;
        c3 = first & low;
        c0 = d0;
        c2 = d2;
        k0 = (k0 + {int(philox.BUMPS[0])}ULL) & low;
        k1 = (k1 + {int(philox.BUMPS[1])}ULL) & low;
    }}
    int64_t lane = i & 3;
    return (uint32_t)(lane == 0 ? c0 : lane == 1 ? c1 : lane == 2 ? c2 : c3);
}}
"""

_KERNEL = """extern "C" __global__ void {symbol}(
    int64_t n, int64_t start, int64_t key0, int64_t key1, int64_t shift, uint32_t *words
) {{
#pragma unroll 1
    {strided}
        words[i] = philox_word(start + i, key0, key1) >> shift;
    }}
}}
"""


@cache
def source() -> KernelSource:
    """The kernel that stores words, shifted to the right."""
    _, head = DIALECT.strided("i", "n")
    lines = [DIALECT.comment("Philox4x32-10"), WORD, _KERNEL.format(symbol=SYMBOL, strided=head)]
    return KernelSource(DIALECT.file(lines, []), ("words",), 0, np.dtype(np.float32), 5, ("uint32",))


def random_words(
    shape: tuple[int, ...], seed: int, device: Device, stream: int = 0, start: int = 0, bits: int = 32
) -> Any:
    """The highest bits of the words of some elements.

    Args:
        shape: that of the array of words.
        seed: the first word of the key.
        device: where it is made.
        stream: the second word of the key.
        start: the number of the first element.
        bits: how many bits of each word.

    Returns:
        An array of uint32 on the device.
    """
    words = device.empty(shape, np.uint32)
    if words.size:
        given = [words.size, start, seed & 0xFFFFFFFF, stream & 0xFFFFFFFF, 32 - bits, device.address(words)]
        device.launch(source(), *grid(words.size), given, device.stream())
    return words
