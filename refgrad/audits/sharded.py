"""Arrays that lie in several pieces, as training on many machines saves them, read as if they lay in one."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refgrad.audits.stored import Contents, Piece, RecordError, Sharded, Stored


def section(stored: Stored, start: int, stop: int) -> Stored:
    """Some elements of an array, as a flat one.

    Args:
        stored: the array.
        start, stop: the first element in C order, and one past the last.
    """
    return Stored(
        (stop - start,), stored.dtype, lambda a, b: stored.read(start + a, start + b), f"{stored.place}[{start}:{stop}]"
    )


def reshaped(stored: Stored, shape: tuple[int, ...]) -> Stored:
    """The same elements, in C order, of another shape.

    Args:
        stored: the array.
        shape: with as many elements.
    """
    return Stored(shape, stored.dtype, stored.part, stored.place)


def joined(stored: Sequence[Stored], place: str) -> Stored:
    """Flat arrays one behind the other.

    Args:
        stored: at least one, all of one dtype.
        place: what the whole is called in errors.
    """
    ends = np.cumsum([each.size for each in stored]).tolist()
    pieces = [Piece((end - each.size,), reshaped(each, (each.size,))) for end, each in zip(ends, stored, strict=True)]
    return whole((ends[-1],), pieces, place)


def whole(shape: tuple[int, ...], pieces: Iterable[Piece], place: str) -> Stored:
    """An array from its pieces, of which each is read where it lies.

    Args:
        shape: of the array.
        pieces: boxes that fill it, none of which overlap.
        place: what it is called in errors.

    Raises:
        RecordError: the pieces leave a gap, overlap, reach beyond the array, or are of several dtypes.
    """
    given = list(pieces)
    dtypes, pieces = {piece.stored.dtype for piece in given}, [piece for piece in given if piece.stored.size]
    _check_filled(shape, pieces, place)
    if len(pieces) == 1:
        return reshaped(pieces[0].stored, shape)
    if len(dtypes) > 1:
        raise RecordError(f"{place}: its shards have dtypes {', '.join(sorted(map(str, dtypes)))}; legal: one dtype")
    dtype = dtypes.pop() if dtypes else np.dtype(np.float32)
    runs = [_Runs(shape, piece) for piece in pieces]

    def part(start: int, stop: int) -> np.ndarray:
        found = np.empty(stop - start, dtype)
        for each in runs:
            each.fill(found, start, stop)
        return found

    return Stored(shape, dtype, part, place)


def assembled(contents: Contents) -> Contents:
    """Files of several ranks, of which each has some pieces of arrays, as if one had the arrays.

    Args:
        contents: of all files.

    Raises:
        RecordError: an array lacks a piece.
    """

    def put_together(found: Any) -> Any:
        return whole(found.shape, found.pieces, found.place) if isinstance(found, Sharded) else found

    optimizers = tuple(
        {**each, "state": {k: {n: put_together(v) for n, v in s.items()} for k, s in each["state"].items()}}
        for each in contents.optimizers
    )
    arrays = {name: put_together(each) for name, each in contents.arrays.items()}
    return replace(contents, arrays=arrays, optimizers=optimizers)


def _check_filled(shape: tuple[int, ...], pieces: Sequence[Piece], place: str) -> None:
    ends = [[o + n for o, n in zip(p.offsets, p.stored.shape, strict=False)] for p in pieces]
    for piece, end in zip(pieces, ends, strict=True):
        fits = len(piece.offsets) == len(piece.stored.shape) == len(shape)
        if not fits or any(o < 0 or e > n for o, e, n in zip(piece.offsets, end, shape, strict=True)):
            raise RecordError(f"{place}: the shard in {piece.stored.place} reaches beyond its shape {shape}")
    lows = np.array([piece.offsets for piece in pieces], np.int64).reshape(len(pieces), len(shape))
    highs = np.array(ends, np.int64).reshape(len(pieces), len(shape))
    for i in range(len(pieces) - 1):
        shared = np.all((lows[i] < highs[i + 1 :]) & (lows[i + 1 :] < highs[i]), axis=1)
        if shared.any():
            other = pieces[i + 1 + int(np.argmax(shared))].stored.place
            raise RecordError(f"{place}: the shards in {pieces[i].stored.place} and {other} have elements in common")
    size, there = math.prod(shape), sum(piece.stored.size for piece in pieces)
    if there < size:
        raise RecordError(f"{place}: {size - there:,} of its {size:,} elements are in no shard; legal: all shards")


class _Runs:
    """A piece as the stretches of elements that lie one behind the other in the whole."""

    def __init__(self, shape: tuple[int, ...], piece: Piece) -> None:
        sizes = piece.stored.shape
        cut = next((i for i in reversed(range(len(shape))) if sizes[i] != shape[i]), 0)
        strides = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        self._stored, self._outer, self._strides = piece.stored, sizes[:cut], strides[:cut]
        self._first = sum(o * s for o, s in zip(piece.offsets, strides, strict=True))
        self._length, self._count = math.prod(sizes[cut:]), math.prod(sizes[:cut])

    def _begin(self, run: int) -> int:
        """Where in the whole a stretch begins; later ones begin later."""
        begin = self._first
        for size, stride in zip(reversed(self._outer), reversed(self._strides), strict=True):
            run, index = divmod(run, size)
            begin += index * stride
        return begin

    def fill(self, found: np.ndarray, start: int, stop: int) -> None:
        """Put those of its elements in place that lie in a part of the whole."""
        length, runs = self._length, range(self._count)
        first = bisect.bisect_right(runs, start - length, key=self._begin)
        last = bisect.bisect_left(runs, stop, key=self._begin)
        if first >= last:
            return
        lead = max(0, start - self._begin(first))
        tail = max(0, self._begin(last - 1) + length - stop)
        values = self._stored.read(first * length + lead, last * length - tail)
        if last - first == 1:
            place = self._begin(first) + lead - start
            found[place : place + values.size] = values
            return
        inner, begins = np.arange(length), np.full(last - first, self._first)
        if self._outer:
            for index, stride in zip(np.unravel_index(np.arange(first, last), self._outer), self._strides, strict=True):
                begins += index * stride
        places = (begins[:, None] + inner).reshape(-1)
        found[places[lead : places.size - tail] - start] = values
