"""The sources of the kernels that keep n of every m numbers: comparisons of integers, unrolled over a group.

Magnitudes are compared as the bits of the numbers without their signs, which have the same order; both zeros are equal
then, and so is every NaN, once it is cut down to one pattern above infinity (or below everything).
"""

from __future__ import annotations

from itertools import combinations

import numpy as np

from refgrad.backends.source import KernelSource, indented

#: the bits of infinity in each format whose groups are compiled
INFINITY = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF0000000000000}
#: larger groups are not unrolled
LARGEST_GROUP = 16
#: tie rules of a kernel, with the comparison by which the first of two entries goes ahead
AHEAD = {"low": ">=", "high": ">"}


def supported(dtype: np.dtype, m: int, ties: str) -> bool:
    """Whether there is a kernel for such groups."""
    return str(dtype) in INFINITY and m <= LARGEST_GROUP and ties in AHEAD


def n_of_m_source(dtype: np.dtype, n: int, m: int, ties: str, nan: str) -> KernelSource:
    """``kernel(groups, w, mask)`` on the bits of ``w``.

    The mask is one byte an entry; where m is a multiple of four, four of them are stored as one word. Groups are indexed
    from zero and arithmetic keeps the width of the keys, so that the loop becomes one over vectors.
    """
    width, stored = (m // 4, "uint32") if m % 4 == 0 else (m, "uint8")
    bits = f"int{8 * dtype.itemsize}"
    text = [
        f"# {n} of every {m} by magnitude, ties {ties}, NaN {nan}, {dtype}",
        "def kernel(groups, w_at, mask_at):",
        f"    w = carray(w_at, (groups, {m}))",
        f"    mask = carray(mask_at, (groups, {width}))",
        "    for group in range(groups):",
        *indented([*keys(dtype, m, nan), *kept(n, m, ties, bits), *_store(m, width)], 2),
    ]
    return KernelSource("\n".join([*text, ""]), ("w", "mask"), 0, np.dtype(bits), types=(bits, stored))


def keys(dtype: np.dtype, m: int, nan: str) -> list[str]:
    """Lines that read a group's keys into ``x0``, ``x1``, ..."""
    bits, top = f"int{8 * dtype.itemsize}", INFINITY[str(dtype)]
    replaced = top + 1 if nan == "largest" else -1
    lines = []
    for i in range(m):
        lines += [f"x{i} = w[group, {i}] & {bits}({2 ** (8 * dtype.itemsize - 1) - 1})"]
        lines += [f"x{i} = {bits}({replaced}) if x{i} > {bits}({top}) else x{i}"]
    return lines


def kept(n: int, m: int, ties: str, bits: str) -> list[str]:
    """Lines that set ``k0``, ``k1``, ... to whether an entry is kept: it goes ahead of at least m - n others."""
    lines = [f"a{i}_{j} = {bits}(x{i} {AHEAD[ties]} x{j})" for i, j in combinations(range(m), 2)]
    for i in range(m):
        # of an earlier entry it is ahead where that one is not ahead of it
        ahead = [f"+ a{i}_{j}" for j in range(i + 1, m)] + [f"- a{j}_{i}" for j in range(i)]
        lines.append(f"k{i} = {bits}({bits}(0) {' '.join(ahead)}) >= {bits}({m - n - i})")
    return lines


def _store(m: int, width: int) -> list[str]:
    if width == m:
        return [f"mask[group, {i}] = k{i}" for i in range(m)]
    words = [[f"(uint32(k{start + i}) << uint32({8 * i}))" for i in range(4)] for start in range(0, m, 4)]
    return [f"mask[group, {i}] = uint32({' | '.join(parts)})" for i, parts in enumerate(words)]


def compress_source(dtype: np.dtype, ties: str, nan: str) -> KernelSource:
    """``kernel(words, w, values, metadata)``: 2:4 masks of 16-bit numbers by magnitude, made and applied in one pass.

    Four groups make a word of metadata; of each group the two kept values are stored, and their indices as four bits.
    """
    lines = ["word = int64(0)"]
    for part in range(4):
        read = [line.replace("group,", f"group, {4 * part} +") for line in keys(dtype, 4, nan)]
        lines += [*read, *kept(2, 4, ties, "int16")]
        lines += [
            "first = int64(0) if k0 else (int64(1) if k1 else int64(2))",
            "second = int64(3) if k3 else (int64(2) if k2 else int64(1))",
            f"values[group, {2 * part}] = w[group, {4 * part} + first]",
            f"values[group, {2 * part + 1}] = w[group, {4 * part} + second]",
            f"word |= (first | (second << 2)) << {4 * part}",
        ]
    text = [
        f"# 2 of every 4 by magnitude, compressed, ties {ties}, NaN {nan}, {dtype}",
        "def kernel(groups, w_at, values_at, metadata_at):",
        "    w = carray(w_at, (groups, 16))",
        "    values = carray(values_at, (groups, 8))",
        "    metadata = carray(metadata_at, (groups,))",
        "    for group in range(groups):",
        *indented([*lines, "metadata[group] = int16(word)"], 2),
    ]
    bits = ("int16",) * 3
    return KernelSource("\n".join([*text, ""]), ("w", "values", "metadata"), 0, np.dtype("int16"), types=bits)
