"""CUDA kernels that fold rows along the tree of `refgrad.arithmetic.folding`: by threads, by blocks of threads, or a level of it.

Where rows are short a thread folds each; the terms of a longer one are read into shared memory by the threads of a block, and
folded there.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from refgrad.arithmetic.folding import BLOCK
from refgrad.backends.cuda.array_source import ALL_LEVELS
from refgrad.backends.cuda.dialect import DIALECT, SYMBOL
from refgrad.backends.source import KernelSource

#: the most terms that a thread folds alone: fewer than make the threads of a block wait for each other often
FEW = 32


def _joined(op: str, a: str, b: str) -> str:
    """Two terms of a fold joined: the second is the one that came from the upper part."""
    if op == "add":
        return f"{a} + {b}"
    if op == "multiply":
        return f"{a} * {b}"
    sign = {"maximum": ">", "minimum": "<"}[op]
    return f"(({a} {sign} {b}) || ({a} != {a})) ? {a} : {b}"


_FOLD = """static __device__ inline {type} joined({type} a, {type} b) {{ return {joined}; }}
extern "C" __global__ void {symbol}(int64_t n, int64_t blocks, int64_t count, int64_t length, {type} *x_, {type} *out_) {{
#pragma unroll 1
    {strided}
        int64_t row = i / blocks, first = (i - row * blocks) * length;
        int64_t size = count - first < length ? count - first : length;
        {type} *terms = x_ + row * count + first;
        {type} left[{levels}];
        int64_t half = 1, kept = 0;
        while (2 * half < size) {{ half *= 2; }}
        int64_t slots = size > 1 ? half : 1;
#pragma unroll 1
        for (int64_t leaf = 0; leaf < slots; ++leaf) {{
            int64_t place = 0;
#pragma unroll 1
            for (int64_t bit = 1, from = leaf; bit < slots; bit *= 2, from >>= 1) {{ place = 2 * place + (from & 1); }}
            {type} value = terms[place];
            if (place + slots < size) {{ value = joined(value, terms[place + slots]); }}
#pragma unroll 1
            for (int64_t full = leaf; full & 1; full >>= 1) {{ value = joined(left[--kept], value); }}
            left[kept++] = value;
        }}
        out_[i] = left[0];
    }}
}}
"""


@cache
def fold_source(op: str, kind: str) -> KernelSource:
    """The kernel that folds blocks of rows, a thread a block, along the tree.

    It is called with how many blocks there are, how many of each row, how many terms a row and a block have, the terms, row after
    row, and room for what blocks leave. The tree joins the terms at places k and k + half: those whose places are alike in their
    last bits. Leaves are taken in the order of reversed bits, so that a thread holds one number a level.

    Args:
        op: "add", "multiply", "maximum" or "minimum".
        kind: the type of the terms.
    """
    _, head = DIALECT.strided("i", "n")
    typed = _typed(kind)
    text = _FOLD.format(type=typed, joined=_joined(op, "a", "b"), symbol=SYMBOL, strided=head, levels=ALL_LEVELS)
    lines = [DIALECT.comment(f"rows folded: {op}, {kind}"), text]
    return KernelSource(DIALECT.file(lines, []), ("x", "out"), 0, np.dtype(np.float32), 4, (kind, kind))


_FOLD_TOGETHER = """static __device__ inline {type} joined({type} a, {type} b) {{ return {joined}; }}
extern "C" __global__ void {symbol}(int64_t n, int64_t blocks, int64_t count, int64_t length, {type} *x_, {type} *out_) {{
    {shared}
    {by_blocks}
        int64_t row = block / blocks, first = (block - row * blocks) * length;
        int64_t size = count - first < length ? count - first : length;
        {type} *terms = x_ + row * count + first;
#pragma unroll 1
        {into}
            buffer[i] = terms[i];
        }}
        {barrier};
        int64_t half = 1;
        while (2 * half < size) {{ half *= 2; }}
#pragma unroll 1
        for (; size > 1; size = half, half >>= 1) {{
#pragma unroll 1
            {upper}
                buffer[i] = joined(buffer[i], buffer[i + half]);
            }}
            {barrier};
        }}
        if (threadIdx.x == 0) {{ out_[block] = buffer[0]; }}
        {barrier};
    }}
}}
"""


@cache
def fold_together_source(op: str, kind: str) -> KernelSource:
    """The kernel that folds blocks of rows, a block of threads each, with the bits and the arguments of `fold_source`.

    Args:
        op: as of `fold_source`.
        kind: as there.
    """
    typed = _typed(kind)
    text = _FOLD_TOGETHER.format(
        type=typed,
        joined=_joined(op, "a", "b"),
        symbol=SYMBOL,
        shared=DIALECT.shared("buffer", kind, BLOCK),
        by_blocks=DIALECT.by_blocks("block", "n"),
        into=DIALECT.by_threads("i", "0", "size"),
        upper=DIALECT.by_threads("i", "0", "size - half"),
        barrier=DIALECT.barrier,
    )
    lines = [DIALECT.comment(f"rows folded by blocks of threads: {op}, {kind}"), text]
    return KernelSource(DIALECT.file(lines, []), ("x", "out"), 0, np.dtype(np.float32), 4, (kind, kind))


_HALVE = """extern "C" __global__ void {symbol}(int64_t n, int64_t upper, int64_t half, int64_t count, {type} *x_) {{
#pragma unroll 1
    {strided}
        int64_t row = i / upper, place = row * count + i - row * upper;
        {type} a = x_[place], b = x_[place + half];
        x_[place] = {joined};
    }}
}}
"""


@cache
def halve_source(op: str, kind: str) -> KernelSource:
    """The kernel that joins the upper part of rows to the lower one, in place: so all threads of a card fold what is long.

    It is called with how many pairs there are, how many of each row, where the upper part begins, and how long rows are.

    Args:
        op: as of `fold_source`.
        kind: as there.
    """
    _, head = DIALECT.strided("i", "n")
    typed = _typed(kind)
    text = _HALVE.format(type=typed, joined=_joined(op, "a", "b"), symbol=SYMBOL, strided=head)
    lines = [DIALECT.comment(f"the upper part of rows joined to the lower: {op}, {kind}"), text]
    return KernelSource(DIALECT.file(lines, []), ("x",), 0, np.dtype(np.float32), 4, (kind,))


def _typed(kind: str) -> str:
    """The type of a dtype's numbers."""
    return "float" if kind == "float32" else "double" if kind == "float64" else f"{kind}_t"
