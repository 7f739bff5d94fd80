"""Where a block keeps its numbers: pieces of fields placed in bytes, as data that short functions walk.

A block is a row of bytes. A layout says for each piece of a field which bits of which bytes hold it; `Layout.pack` and
`Layout.unpack` are all that reads it. Fields are arrays of one row a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from refgrad.quantizers.gguf.twins import fast

Fields = dict[str, np.ndarray]
#: of 3
POWERS = (1, 3, 9, 27, 81)


@dataclass(frozen=True)
class Bits:
    """Bits ``low .. low + width`` of elements ``first, first + step, ...`` in consecutive bytes, from bit ``shift`` up."""

    field: str
    first: int
    count: int
    byte: int
    width: int = 8
    shift: int = 0
    low: int = 0
    step: int = 1

    @property
    def end(self) -> int:
        """How many elements the field has at least."""
        return self.first + (self.count - 1) * self.step + 1

    @property
    def row(self) -> tuple[int, ...]:
        """The piece as numbers, for `put_bits` and `take_bits`."""
        return self.first, self.count, self.step, self.byte, self.width, self.shift, self.low


@dataclass(frozen=True)
class Trits:
    """Five digits of base 3 a byte: byte ``m`` has elements ``first + m + n run``, the first the most significant.

    The byte is 256/243 of the number of five digits, rounded up, so that digits come out at the top by multiplication.
    With ``digits`` of 4 the fifth, least significant one is zero.
    """

    field: str
    first: int
    run: int
    byte: int
    digits: int = 5

    @property
    def end(self) -> int:
        """How many elements the field has at least."""
        return self.first + self.run * self.digits

    def put(self, field: np.ndarray, block: np.ndarray) -> None:
        """Write the piece."""
        rows = field[:, self.first : self.end].reshape(-1, self.digits, self.run).astype(np.uint16)
        powers = np.asarray(POWERS[::-1], np.uint16)[: self.digits, None]
        block[:, self.byte : self.byte + self.run] = ((rows * powers).sum(axis=1, dtype=np.uint16) * 256 + 242) // 243

    def take(self, block: np.ndarray, field: np.ndarray) -> None:
        """Read the piece."""
        held = block[:, None, self.byte : self.byte + self.run]
        digits = (held * np.asarray(POWERS, np.uint8)[: self.digits, None]).astype(np.uint16) * 3 >> 8
        field[:, self.first : self.end] = digits.reshape(len(block), -1)


@dataclass(frozen=True)
class Half:
    """One number a block, as an IEEE binary16, little-endian."""

    field: str
    byte: int

    @property
    def end(self) -> int:
        """A field of one number has no axis of its own."""
        return 0

    def put(self, field: np.ndarray, block: np.ndarray) -> None:
        """Write the number."""
        block[:, self.byte : self.byte + 2] = field.astype("<f2").view(np.uint8).reshape(-1, 2)

    def take(self, block: np.ndarray, field: np.ndarray) -> None:
        """Read the number."""
        field[...] = np.ascontiguousarray(block[:, self.byte : self.byte + 2]).view("<f2")[:, 0]


Piece = Bits | Trits | Half


def put_bits(field: np.ndarray, table: np.ndarray, blocks: np.ndarray) -> None:
    """Write the pieces of a field, rows of a table, into bytes whose bits are still zero there."""
    for first, count, step, byte, width, shift, low in table.tolist():
        piece = field[:, first : first + count * step : step]
        blocks[:, byte : byte + count] |= ((piece >> low) & ((1 << width) - 1)) << shift


def take_bits(blocks: np.ndarray, table: np.ndarray, field: np.ndarray) -> None:
    """Read the pieces of a field, rows of a table, into elements whose bits are still zero there."""
    for first, count, step, byte, width, shift, low in table.tolist():
        piece = blocks[:, byte : byte + count]
        field[:, first : first + count * step : step] |= ((piece >> shift) & ((1 << width) - 1)) << low


def planes(
    field: str, byte: int, count: int, *, run: int, width: int, first: int = 0, low: int = 0
) -> tuple[Bits, ...]:
    """``count`` elements in runs that lie on top of each other: the first run in the lowest bits of ``run`` bytes.

    Where the bits of a byte are used up, the next run begins ``run`` bytes further.
    """
    each = 8 // width
    return tuple(
        Bits(field, first + i * run, run, byte + i // each * run, width, i % each * width, low)
        for i in range(count // run)
    )


def bit_string(field: str, byte: int, count: int, *, low: int) -> tuple[Bits, ...]:
    """One bit an element, eight neighbours a byte, the first in the lowest bit."""
    return tuple(Bits(field, i, count // 8, byte, width=1, shift=i, low=low, step=8) for i in range(8))


class Layout:
    """A block of bytes and the pieces of fields in it."""

    def __init__(self, size: int, *pieces: Piece) -> None:
        self.size = size
        self.pieces = pieces

    @cached_property
    def lengths(self) -> dict[str, int]:
        """Elements a block of each field; 0 for a field that is one binary16 number."""
        found: dict[str, int] = {}
        for piece in self.pieces:
            found[piece.field] = max(found.get(piece.field, 0), piece.end)
        return found

    def bits(self, field: str) -> int:
        """How many bits an element of a field of integers has.

        Args:
            field: its name.
        """
        return max(p.low + p.width for p in self.pieces if isinstance(p, Bits) and p.field == field)

    @cached_property
    def tables(self) -> dict[str, np.ndarray]:
        """The pieces of bits of each field, as tables of numbers."""
        rows: dict[str, list[tuple[int, ...]]] = {}
        for piece in self.pieces:
            if isinstance(piece, Bits):
                rows.setdefault(piece.field, []).append(piece.row)
        return {field: np.asarray(found) for field, found in rows.items()}

    def empty(self, blocks: int) -> Fields:
        """Fields of zeros for a number of blocks."""
        return {
            name: np.zeros((blocks, length), np.uint8) if length else np.zeros(blocks, np.float16)
            for name, length in self.lengths.items()
        }

    def pack(self, fields: Mapping[str, np.ndarray]) -> np.ndarray:
        """The bytes of fields, one row a block."""
        blocks = np.zeros((len(next(iter(fields.values()))), self.size), np.uint8)
        for field, table in self.tables.items():
            fast(put_bits, fields[field], table, blocks)
        for piece in self.pieces:
            if not isinstance(piece, Bits):
                piece.put(fields[piece.field], blocks)
        return blocks

    def unpack(self, blocks: np.ndarray) -> Fields:
        """The fields of bytes."""
        fields = self.empty(len(blocks))
        for field, table in self.tables.items():
            fast(take_bits, blocks, table, fields[field])
        for piece in self.pieces:
            if not isinstance(piece, Bits):
                piece.take(blocks, fields[piece.field])
        return fields
