"""Arrays that lie in files, of which a part is read at a time; and what one file holds."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from refgrad import whole_file
from refgrad.errors import RefgradError
from refgrad.legal import is_numeric


class RecordError(RefgradError):
    """A file of a recorded step cannot be read, is not what it seems to be, or does not have what an audit needs."""


@dataclass(frozen=True, eq=False)
class Stored:
    """An array in a file; none of it is in memory until it is read.

    Attributes:
        shape, dtype: of the array.
        part: from the first element and one past the last, in C order, to these elements as a flat array.
        place: where its numbers lie: a file and an offset, or a name within it.

    Raises:
        RecordError: it has numbers that are not real.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    part: Callable[[int, int], np.ndarray] = field(repr=False)
    place: str

    def __post_init__(self) -> None:
        if self.dtype.kind != "b" and not is_numeric(self.dtype):  # a float of a complex number is its real part alone
            raise RecordError(f"{self.place} has dtype {self.dtype}; legal: real numbers")

    @property
    def size(self) -> int:
        """How many elements it has."""
        return math.prod(self.shape)

    def read(self, start: int = 0, stop: int | None = None) -> np.ndarray:
        """Some elements, in C order, as a flat array of the machine's own byte order.

        Args:
            start, stop: the first element, and one past the last; by default all.

        Raises:
            RecordError: the file ends before them.
        """
        stop = self.size if stop is None else stop
        found = self.part(start, stop)
        if found.shape != (stop - start,):
            raise RecordError(f"{self.place}: the file ends within the array; it was cut, or is being written")
        return found if found.dtype.isnative else found.astype(found.dtype.newbyteorder("="))


@dataclass(frozen=True, eq=False)
class Piece:
    """A box of an array.

    Attributes:
        offsets: the first index of the box on each axis of the whole.
        stored: the elements of the box, and its shape.
    """

    offsets: tuple[int, ...]
    stored: Stored


@dataclass(frozen=True, eq=False)
class Sharded(Stored):
    """An array of which a file has some pieces; it can be read when those of all files are put together.

    Attributes:
        pieces: those that were found, of which some may be empty.
    """

    pieces: tuple[Piece, ...] = ()

    def __add__(self, other: Sharded) -> Sharded:
        if self.shape != other.shape or self.dtype != other.dtype:
            one, two = (f"{each.place} is of {each.dtype}{each.shape}" for each in (self, other))
            raise RecordError(f"{one}, and {two}; legal: shards of one array")
        return replace(self, pieces=self.pieces + other.pieces)


@dataclass(frozen=True, eq=False)
class Contents:
    """What a file, or several that belong together, hold.

    Attributes:
        arrays: by the names of the file, a dot between keys of nested dicts, in the file's order.
        numbers: what is no array: numbers and texts by such names.
        optimizers: what torch's ``state_dict()`` of an optimizer gives: dicts of ``state`` and ``param_groups``.
        metadata: texts by name that stand beside the arrays.
        files: each file's path, size and time of change.
        ordered: whether the order of the arrays is that in which the model has its parameters.
    """

    arrays: Mapping[str, Stored] = field(default_factory=dict)
    numbers: Mapping[str, Any] = field(default_factory=dict)
    optimizers: tuple[Mapping[str, Any], ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    files: tuple[tuple[str, int, int], ...] = ()
    ordered: bool = False

    def __add__(self, other: Contents) -> Contents:
        if self._is_sharded and other._is_sharded:
            return self._joined(other)
        twice = [name for name in other.arrays if name in self.arrays]
        if twice:
            places = f"{self.arrays[twice[0]].place} and {other.arrays[twice[0]].place}"
            raise RecordError(f"{twice[0]!r} is there twice, in {places}; legal: each array once")
        return Contents(
            {**self.arrays, **other.arrays},
            {**self.numbers, **other.numbers},
            self.optimizers + other.optimizers,
            {**self.metadata, **other.metadata},
            self.files + other.files,
            all(each.ordered for each in (self, other) if each.arrays),
        )

    @property
    def _is_sharded(self) -> bool:
        return any(isinstance(each, Sharded) for each in self.arrays.values())

    def _joined(self, other: Contents) -> Contents:
        """With what another rank saved of the same model."""
        if len(self.optimizers) != len(other.optimizers):
            raise RecordError(
                f"{self.files[0][0]} and {other.files[0][0]} have not as many optimizers; legal: files of one model"
            )
        optimizers = tuple(
            {
                **one,
                "state": {
                    k: _merged(one["state"].get(k, {}), two["state"].get(k, {}))
                    for k in {**one["state"], **two["state"]}
                },
            }
            for one, two in zip(self.optimizers, other.optimizers, strict=True)
        )
        return replace(
            self,
            arrays=_merged(self.arrays, other.arrays),
            numbers={**other.numbers, **self.numbers},
            optimizers=optimizers,
            files=self.files + other.files,
            ordered=self.ordered and other.ordered,
        )


def _merged(one: Mapping[str, Any], two: Mapping[str, Any]) -> dict[str, Any]:
    """What two ranks have: the pieces of both, and once what each has as a whole."""
    found = {**two, **one}
    for name in one:
        mine, others = one[name], two.get(name)
        if isinstance(mine, Sharded) and isinstance(others, Sharded):
            found[name] = mine + others
        elif isinstance(mine, Stored) and isinstance(others, Stored) and not _alike(mine, others):
            told = "legal: what each rank has is one array's, or is cut"
            raise RecordError(f"{mine.place} and {others.place} are not the same; {told}")
    return found


def _alike(one: Stored, two: Stored) -> bool:
    return one.shape == two.shape and one.read().tobytes() == two.read().tobytes()


def identity(path: str) -> tuple[str, int, int]:
    """A file's path, size and time of change, by which an audit that goes on knows it again."""
    found = os.stat(path)
    return os.path.abspath(path), found.st_size, found.st_mtime_ns


def from_file(path: str, offset: int, dtype: np.dtype) -> Callable[[int, int], np.ndarray]:
    """What reads a part of an array that lies in a file as it is.

    It is read and not mapped: what was read and judged leaves the memory, and a file that is cut meanwhile gives an error; under
    a map that would end the process.

    Args:
        path: of the file.
        offset: of the first element, in bytes.
        dtype: of the elements.
    """

    def part(start: int, stop: int) -> np.ndarray:
        try:
            with whole_file.opened(path, buffering=0) as file:
                file.seek(offset + start * dtype.itemsize)
                raw = np.empty((stop - start) * dtype.itemsize, np.uint8)
                view, done = raw.data, 0
                while done < raw.size:
                    count = file.readinto(view[done:])
                    if not count:
                        break
                    done += count
        except OSError as error:
            raise RecordError(f"{path}: {error.strerror or error}") from None
        return raw[: done - done % dtype.itemsize].view(dtype)

    return part
