"""The largest of each row on a device: the same entries, with the same ties, as `refgrad.arithmetic.top_k`, by counting.

Scores become integers of the same order. Where rows are short an entry counts those of its row that go ahead of it. Where they
are long the key of the last one that is kept is found bit by bit, from how many keys are at least as large; of those equal to
it the first ones are kept. Nothing is sorted, no thread waits for another block, and the host waits for nothing.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.backends.cuda.device import THREADS, Device, grid
from refgrad.backends.cuda.dialect import DIALECT, SYMBOL
from refgrad.backends.source import KernelSource

#: rows of up to so many entries are ranked by comparing all pairs
SHORT = 64

_KEYS = """typedef {integer} key_t;
typedef u{integer} rank_t;
static __device__ inline rank_t rank_of(key_t bits) {{
    key_t size = bits & {most};
    key_t ordered = bits < 0 ? -size : size;
    ordered = size > {infinity} ? {unordered} : ordered;
    return (rank_t)ordered ^ (rank_t){sign};
}}
"""
_STRIDED = (
    "for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (int64_t)gridDim.x * blockDim.x) {"
)

#: a thread an entry
_PAIRS = """extern "C" __global__ void {symbol}(
    int64_t n, int64_t length, int64_t k, key_t *x, uint8_t *mask
) {{
#pragma unroll 1
    {strided}
        int64_t row = i / length, ahead = 0;
        rank_t own = rank_of(x[i]);
#pragma unroll 1
        for (int64_t j = row * length; j < (row + 1) * length; ++j) {{
            rank_t other = rank_of(x[j]);
            ahead += {ahead} ? 1 : 0;
        }}
        mask[i] = ahead < k ? 1 : 0;
    }}
}}
"""
#: which entries count, and how many of them may before one is pruned, by the tie rule
_AHEAD = {
    "low": "other > own || (other == own && j < i)",
    "high": "other > own || (other == own && j > i)",
    "keep_all": "other > own",
    "prune_all": "j != i && other >= own",
}

#: a block of threads for 1024 entries of a row: how many keys are at least, or equal to, what is asked about
_COUNT = """extern "C" __global__ void {symbol}(
    int64_t blocks, int64_t length, int64_t bit, key_t *x, rank_t *threshold, int64_t *counts
) {{
    __shared__ int64_t parts[{threads}];
    int64_t row_blocks = (length + {block} - 1) / {block};
    for (int64_t b = blockIdx.x; b < blocks; b += gridDim.x) {{
        int64_t row = b / row_blocks, first = (b - row * row_blocks) * {block};
        int64_t last = first + {block} < length ? first + {block} : length, found = 0;
        rank_t asked = threshold[row];
        if (bit >= 0) {{ asked = asked | (rank_t)1 << bit; }}
#pragma unroll 1
        for (int64_t i = first + threadIdx.x; i < last; i += blockDim.x) {{
            rank_t own = rank_of(x[row * length + i]);
            found += (bit == {equal} ? own == asked : own >= asked) ? 1 : 0;
        }}
        parts[threadIdx.x] = found;
        __syncthreads();
        if (threadIdx.x == 0) {{
#pragma unroll 1
            for (int64_t t = 1; t < blockDim.x; ++t) {{ found += parts[t]; }}
            counts[b] = found;
        }}
        __syncthreads();
    }}
}}
"""
#: a block of threads a row: the bit is set if enough keys are at least as large with it
_DECIDE = """extern "C" __global__ void {symbol}(
    int64_t rows, int64_t length, int64_t bit, int64_t k, int64_t *counts, rank_t *threshold
) {{
    __shared__ int64_t parts[{threads}];
    int64_t row_blocks = (length + {block} - 1) / {block};
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {{
        int64_t found = 0;
#pragma unroll 1
        for (int64_t b = threadIdx.x; b < row_blocks; b += blockDim.x) {{ found += counts[row * row_blocks + b]; }}
        parts[threadIdx.x] = found;
        __syncthreads();
        if (threadIdx.x == 0) {{
#pragma unroll 1
            for (int64_t t = 1; t < blockDim.x; ++t) {{ found += parts[t]; }}
            if (found >= k) {{ threshold[row] = threshold[row] | (rank_t)1 << bit; }}
        }}
        __syncthreads();
    }}
}}
"""
#: a thread a row: of equal keys which ones are kept, and how many stand in the blocks before
_LIMIT = """extern "C" __global__ void {symbol}(
    int64_t n, int64_t length, int64_t k, int64_t *at_least, int64_t *equal, int64_t *limit
) {{
    int64_t row_blocks = (length + {block} - 1) / {block};
#pragma unroll 1
    {strided}
        int64_t all = 0, same = 0;
#pragma unroll 1
        for (int64_t b = i * row_blocks; b < (i + 1) * row_blocks; ++b) {{
            int64_t own = equal[b];
            equal[b] = same;
            same += own;
            all += at_least[b];
        }}
        limit[i] = {limit};
    }}
}}
"""
#: a thread an entry
_MARK = """extern "C" __global__ void {symbol}(
    int64_t n, int64_t length, key_t *x, rank_t *threshold, int64_t *equal, int64_t *limit,
    uint8_t *mask
) {{
    int64_t row_blocks = (length + {block} - 1) / {block};
#pragma unroll 1
    {strided}
        int64_t row = i / length, place = i - row * length;
        rank_t own = rank_of(x[i]), asked = threshold[row];
        uint8_t kept = own > asked ? 1 : 0;
        if (own == asked) {{
            int64_t block = place / {block}, before = equal[row * row_blocks + block];
#pragma unroll 1
            for (int64_t j = block * {block}; j < place; ++j) {{
                before += rank_of(x[row * length + j]) == asked ? 1 : 0;
            }}
            kept = {kept} ? 1 : 0;
        }}
        mask[i] = kept;
    }}
}}
"""
#: from ``all`` keys that are at least the last one kept, ``same`` of which equal it: a limit, and the entries that are kept
_LIMITS = {"low": "k - (all - same)", "high": "all - k", "keep_all": "0", "prune_all": "0"}
_KEPT = {"low": "before < limit[row]", "high": "before >= limit[row]", "keep_all": "true", "prune_all": "false"}
#: a thread an entry
_ABOVE = """extern "C" __global__ void {symbol}(
    int64_t n, key_t *x, key_t *limit, uint8_t *mask
) {{
#pragma unroll 1
    {strided}
        mask[i] = rank_of(x[i]) > rank_of(limit[0]) ? 1 : 0;
    }}
}}
"""
NAMES = ("pairs", "count", "decide", "limit", "mark", "above")
#: what is asked of keys in place of whether they have a bit
_EQUAL, _AT_LEAST = -1, -2


def top_k(scores: Any, k: int, ties: str, nan: str, device: Device) -> Any:
    """Which are the ``k`` largest of each row.

    Args:
        scores: (rows, length), float32 or float64, contiguous on the device.
        k: how many are kept a row.
        ties: a member of `refgrad.arithmetic.top_k.Ties`.
        nan: where NaN ranks: "largest" or "smallest".
        device: the device.

    Returns:
        Booleans like the scores, on the device.
    """
    length = scores.shape[1]
    k = min(max(k, 0), length)
    if k in (0, length) or not scores.size:
        return device.put(np.full(scores.shape, k > 0))
    mask = device.empty(scores.shape, np.bool_)
    if length <= SHORT:
        given = [scores.size, length, k, device.address(scores), device.address(mask)]
        pairs = source("pairs", scores.dtype.name, nan, ties)
        device.launch(pairs, *grid(scores.size), given, device.stream())
        return mask
    _long(scores, mask, k, ties, nan, device)
    return mask


def _long(scores: Any, mask: Any, k: int, ties: str, nan: str, device: Device) -> None:
    (rows, length), dtype, stream = scores.shape, scores.dtype.name, device.stream()
    blocks, asked = rows * -(-length // BLOCK), k + 1 if ties == "prune_all" else k
    threshold = device.put(np.zeros(rows, f"uint{8 * scores.dtype.itemsize}"))
    counts, equal, limit = (device.empty((n,), np.int64) for n in (blocks, blocks, rows))
    x, to, at, same, ends, marks = map(device.address, (scores, threshold, counts, equal, limit, mask))

    def run(name: str, count: int, *given: int) -> None:
        device.launch(source(name, dtype, nan, ties), count, THREADS, given, stream)

    def count(bit: int, into: int) -> None:
        run("count", min(blocks, 4096), blocks, length, bit, x, to, into)

    for bit in reversed(range(8 * scores.dtype.itemsize)):
        count(bit, at)
        run("decide", min(rows, 4096), rows, length, bit, asked, at, to)
    count(_EQUAL, same)
    count(_AT_LEAST, at)
    run("limit", grid(rows)[0], rows, length, k, at, same, ends)
    run("mark", grid(scores.size)[0], scores.size, length, x, to, same, ends, marks)


def above(scores: Any, limit: np.ndarray, nan: str, device: Device) -> Any:
    """Which scores are larger than a number.

    Args:
        scores: float32 or float64, contiguous on the device.
        limit: the number, an array of one of the dtype of the scores.
        nan: where NaN ranks.
        device: the device.
    """
    mask = device.empty(scores.shape, np.bool_)
    if scores.size:
        number = device.put(limit.reshape(1))
        given = [scores.size, *map(device.address, (scores, number, mask))]
        device.launch(source("above", scores.dtype.name, nan, "low"), *grid(scores.size), given, device.stream())
    return mask


@cache
def source(name: str, dtype: str, nan: str, ties: str) -> KernelSource:
    """One of the kernels.

    Args:
        name: "pairs", "count", "decide", "limit", "mark" or "above".
        dtype: that of the scores.
        nan: where NaN ranks.
        ties: the tie rule.
    """
    bits = 8 * np.dtype(dtype).itemsize
    integer, most, infinity = (
        ("int32_t", 0x7FFFFFFF, 0x7F800000) if bits == 32 else ("int64_t", 0x7FFFFFFFFFFFFFFF, 0x7FF0000000000000)
    )
    key, rank = f"int{bits}", f"uint{bits}"
    facts = {
        "symbol": SYMBOL,
        "strided": _STRIDED,
        "threads": THREADS,
        "block": BLOCK,
        "ahead": _AHEAD[ties],
        "kept": _KEPT[ties],
        "limit": _LIMITS[ties],
        "equal": _EQUAL,
    }
    texts: dict[str, tuple[str, int, tuple[str, ...]]] = {
        "pairs": (_PAIRS, 3, (key, "uint8")),
        "count": (_COUNT, 3, (key, rank, "int64")),
        "decide": (_DECIDE, 4, ("int64", rank)),
        "limit": (_LIMIT, 3, ("int64", "int64", "int64")),
        "mark": (_MARK, 2, (key, rank, "int64", "int64", "uint8")),
        "above": (_ABOVE, 1, (key, key, "uint8")),
    }
    text, integers, types = texts[name]
    sign = f"((rank_t)1 << {bits - 1})"
    lowest = f"(-{most} - 1)"
    unordered = str(most) if nan == "largest" else lowest
    head = _KEYS.format(integer=integer, most=most, infinity=infinity, unordered=unordered, sign=sign)
    lines = [
        DIALECT.comment(f"the largest of each row: {name}, {dtype}, NaN {nan}, ties {ties}"),
        head,
        text.format(**facts),
    ]
    return KernelSource(DIALECT.file(lines, []), types, 0, np.dtype(dtype), integers, types)
