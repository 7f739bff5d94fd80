"""The operations that select: each number of a row is true or false by its place among the others.

In kernels numbers are compared as integers of the same order, the keys of `refgrad.arithmetic.top_k`; a row is written out, each
of its entries against each other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from refgrad.arithmetic.decisions import Decision
from refgrad.arithmetic.operations.op import Op, Writer
from refgrad.arithmetic.running_error import Bounded
from refgrad.arithmetic.top_k import TopK

#: the bits of infinity in each format whose numbers are compared by their bits
INFINITY = {"float16": 0x7C00, "bfloat16": 0x7F80, "float32": 0x7F800000, "float64": 0x7FF0000000000000}


def key(w: Writer, name: str, bits: str, dtype: str, record: TopK, magnitude: bool) -> None:
    """Sets a variable to the key of a number.

    Args:
        w: what it is written with.
        name: the variable.
        bits: the expression of the number's bits, as a signed integer of its width.
        dtype: that of the number, one of `INFINITY`.
        record: what is selected.
        magnitude: True for the key of its magnitude; where NaN ranks last it is below that of zero then.
    """
    kind, top = integer(dtype), INFINITY[dtype]
    most = int(np.iinfo(kind).max)
    if magnitude:
        w.set(name, f"{bits} & {w.number(most, kind)}", kind)
        unordered = top + 1 if record.nan == "largest" else -1
        w.set(name, w.select(f"{name} > {w.number(top, kind)}", w.number(unordered, kind), name), kind)
        return
    own, size = w.set(f"{name}_bits", bits, kind), f"{name}_size"
    w.set(size, w.cast(kind, f"{own} & {w.number(most, kind)}"), kind)
    w.set(name, w.select(f"{own} < {w.number(0, kind)}", w.cast(kind, f"-{size}"), size), kind)
    unordered = most if record.nan == "largest" else -most  # no number has either key
    w.set(name, w.select(f"{size} > {w.number(top, kind)}", w.number(unordered, kind), name), kind)


def integer(dtype: str) -> str:
    """The signed integer as wide as a format."""
    return {"float16": "int16", "bfloat16": "int16", "float32": "int32", "float64": "int64"}[dtype]


def _kept(w: Writer, *given: Any) -> list[str]:
    """Sets ``k0``, ``k1``, ... to whether each entry of a row is kept, from the names of its keys; gives their names.

    Of few keys each pair is compared once. Where ties go by place, an entry that is not ahead of another one has it ahead.
    """
    *keys, kind, record = given
    count = range(len(keys))
    by_place = {"low": ">=", "high": ">"}.get(record.ties)
    for i, j in combinations(count, 2):
        if by_place is not None:
            w.set(f"a{i}_{j}", w.cast(kind, f"{keys[i]} {by_place} {keys[j]}"), kind)
            continue
        sign = ">" if record.ties == "keep_all" else ">="
        w.set(f"a{i}_{j}", w.cast(kind, f"{keys[i]} {sign} {keys[j]}"), kind)
        w.set(f"a{j}_{i}", w.cast(kind, f"{keys[j]} {sign} {keys[i]}"), kind)
    for i in count:
        if by_place is not None:
            ahead = [f"+ a{i}_{j}" for j in count[i + 1 :]] + [f"- a{j}_{i}" for j in count[:i]]
            least = len(keys) - record.k - i
            total = w.cast(kind, f"{w.number(0, kind)} {' '.join(ahead)}")
            w.set(f"k{i}", f"{total} >= {w.number(least, kind)}", "bool")
            continue
        ahead = [f"+ a{j}_{i}" for j in count if j != i]
        total = w.cast(kind, f"{w.number(0, kind)} {' '.join(ahead)}")
        w.set(f"k{i}", f"{total} < {w.number(record.k, kind)}", "bool")
    return [f"k{i}" for i in count]


def _decided(x: Bounded, record: TopK) -> Decision:
    """Kept, pruned, or either where other numbers within their bounds say so."""
    result = record(np.asarray(x.value))
    if x.error is None and not x.has_ends():
        return Decision(result, np.asarray(False))
    low, high = x.ends_of_decision()
    unknown = np.isnan(low) | np.isnan(high)
    kept, may_be = record.ends(np.where(unknown, -np.inf, low), np.where(unknown, np.inf, high))
    return Decision(result, may_be & ~kept, (~result,))


def _exact(m: Any, terms: Sequence[Any], record: TopK) -> list[bool]:
    return record.exactly(terms)


ROWS = (
    Op(  # the k largest numbers of each row, by a `refgrad.arithmetic.top_k.TopK`
        "top_k",
        1,
        numpy=lambda x, record: record(np.asarray(x)),
        exact=_exact,
        decide=_decided,
        outcomes=2,
        write=_kept,  # type: ignore[arg-type]  # of a whole row
        kind="selection",
        boolean=True,
        attributed=True,
    ),
)
