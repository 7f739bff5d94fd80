"""The place in a table in kernels: few thresholds are compared with, one after the other; of more, the number's bits say where.

A number's sign, exponent and first significant bits are its bucket. A table says how many thresholds lie below each bucket, and
the few within one are compared with; what is found is the rank that `refgrad.arithmetic.steps` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from refgrad.arithmetic.operations.op import Writer

#: up to so many values of a table are written out as comparisons; of more, buckets are looked up
MOST_VALUES = 16
#: bits of the significand that tell buckets apart, at most
MOST_BITS = 8


def ranked(w: Writer, x: str, thresholds: np.ndarray, given: tuple[float, ...], of_nan: float | None) -> str:
    """The expression of what is given for the rank of a number: how many thresholds lie below it.

    Args:
        w: where it is written.
        x: the number.
        thresholds: ascending, of the working dtype.
        given: what is given for each rank, one more than there are thresholds.
        of_nan: what is given for NaN; None where it stays.
    """
    last = np.append(thresholds[1:] != thresholds[:-1], True)  # of equal ones only the last is ever given
    thresholds, given = (
        thresholds[last],
        (given[0], *(value for value, kept in zip(given[1:], last, strict=True) if kept)),
    )
    find = _compared if len(given) <= MOST_VALUES else _looked_up
    nan = x if of_nan is None else w.number(of_nan)
    return w.select(f"{x} != {x}", nan, find(w, x, thresholds, given))


def _compared(w: Writer, x: str, thresholds: np.ndarray, given: tuple[float, ...]) -> str:
    """What is given behind the last threshold that lies below."""
    result = w.set(w.result, w.number(given[0]))
    for threshold, value in zip(thresholds.tolist(), given[1:], strict=True):
        w.set(result, w.select(f"{x} > {w.number(threshold)}", w.number(value), result))
    return result


@dataclass(frozen=True, eq=False)
class Buckets:
    """How many thresholds lie below the numbers of each bucket, those of positive numbers first.

    Args:
        shift: the bits of a number that its bucket does not say.
        least: the other bits of the magnitudes in the first bucket, which has all smaller ones too.
        below: how many thresholds are below all of a bucket's numbers.
        within: how many may lie within one bucket, at most.
    """

    shift: int
    least: int
    below: tuple[int, ...]
    within: int

    @classmethod
    def of(cls, thresholds: np.ndarray) -> Self:
        """The fewest buckets of which each has one threshold within it, or as few as there can be."""
        found = [cls._of(thresholds, bits) for bits in range(1, MOST_BITS + 1)]
        return min(found, key=lambda each: (each.within, len(each.below)))

    @classmethod
    def _of(cls, thresholds: np.ndarray, bits: int) -> Self:
        kind, width = np.dtype(f"u{thresholds.itemsize}").type, 8 * thresholds.itemsize
        facts = np.finfo(thresholds.dtype)
        shift = facts.nmant - bits
        magnitudes = np.abs(thresholds[thresholds != 0]).view(kind) >> kind(shift)
        least, largest = max(int(magnitudes.min()) - 1, 0), int(magnitudes.max()) + 1
        buckets = np.arange(least, largest + 1).astype(kind) << kind(shift)
        first, last = buckets.copy(), buckets | kind((1 << shift) - 1)
        first[0], last[-1] = 0, np.asarray(np.inf, thresholds.dtype).view(kind)
        sign = kind(1 << (width - 1))
        low, high = (
            np.searchsorted(thresholds, np.concatenate([ends, ends | sign]).view(thresholds.dtype))
            for ends in (first, last)
        )
        return cls(shift, least, tuple(np.minimum(low, high).tolist()), int(np.abs(high - low).max()))


def _looked_up(w: Writer, x: str, thresholds: np.ndarray, given: tuple[float, ...]) -> str:
    """What is given at the rank that the bucket says, or a little higher."""
    buckets, integer = Buckets.of(thresholds), {"float32": "int32", "float64": "int64"}[w.kind]
    count, size = len(buckets.below) // 2, 8 * thresholds.itemsize - 1
    whole = lambda value: w.number(value, integer)  # noqa: E731
    bits, place, rank = (f"{w.result}_{name}" for name in ("bits", "place", "rank"))
    w.set(bits, w.bits(w.kind, x, integer), integer)
    magnitude = w.cast(integer, f"{bits} & {whole((1 << size) - 1)}")
    w.set(place, w.cast(integer, f"({magnitude} >> {whole(buckets.shift)}) - {whole(buckets.least)}"), integer)
    w.set(place, w.select(f"{place} > {whole(0)}", place, whole(0)), integer)
    w.set(place, w.select(f"{place} < {whole(count - 1)}", place, whole(count - 1)), integer)
    w.set(place, w.cast(integer, f"{place} + ({w.select(f'{bits} < 0', whole(count), whole(0))})"), integer)
    w.set(rank, f"{w.table(buckets.below, 'int32')}[{w.index(place)}]", "int32")
    if buckets.within:
        ends = w.table([*thresholds.tolist(), np.inf])
    one, none = w.number(1, "int32"), w.number(0, "int32")
    for _ in range(buckets.within):
        ahead = w.select(f"{x} > {ends}[{w.index(rank)}]", one, none)
        w.set(rank, w.cast("int32", f"{rank} + ({ahead})"), "int32")
    first = int(given[0])
    if given == tuple(range(first, first + len(given))):
        return w.cast(w.kind, w.cast("int32", f"{rank} + ({w.number(first, 'int32')})") if first else rank)
    return f"{w.table(given)}[{w.index(rank)}]"
