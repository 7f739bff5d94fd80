"""2:4 sparse matrices as hardware takes them: the kept values, and two bits an index as metadata.

In each group of four the indices i0 < i1 of the kept values make four bits, i0 + 4 i1. Four-bit numbers are packed into
words from the low end up: four into an int16 for 16-bit values (and for float32, whose groups of two are seen as four
halves), eight into an int32 for 8-bit values. Where fewer than two values of a group are kept, torch's choice of indices
is taken. Source: Mishra et al. 2021, arXiv:2104.08378, section 2 (the format); torch.sparse and CUTLASS's host_reorder.h
(the layouts).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refgrad.arguments import AT_LEAST_ONE
from refgrad.arithmetic.function_arguments import Entries, Floats, Labels, Of, OrNone, gated
from refgrad.errors import bad_argument
from refgrad.rule import Choice
from refgrad.sparsity.n_of_m import NOfM

#: how metadata words lie in memory
LAYOUT = Choice(
    rows="row-major, as CUTLASS takes it before its reordering",
    cutlass="rows interleaved and 2 x 2 blocks swizzled, column-major in pairs (CUTLASS; torch's CUTLASS backend)",
)

#: kept flags of a group, the first entry as the lowest bit -> its four bits of indices
NIBBLES = np.full(16, 0b1110, np.uint8)
for _flags, _nibble in {
    "0100": 0b1001,
    "0110": 0b1001,
    "0101": 0b1101,
    "0111": 0b1101,
    "1000": 0b1000,
    "1010": 0b1000,
    "1001": 0b1100,
    "1011": 0b1100,
    "1100": 0b0100,
    "1101": 0b0100,
    "1110": 0b0100,
    "1111": 0b0100,
}.items():
    NIBBLES[sum(1 << i for i, flag in enumerate(_flags) if flag == "1")] = _nibble


@dataclass(frozen=True, eq=False)
class Compressed:
    """A matrix (rows, columns) as ``values`` (rows, columns / 2) and ``metadata`` words, in a member of `LAYOUT`."""

    values: np.ndarray
    metadata: np.ndarray
    layout: str


_WORDS = Entries(axes=2, kinds="iu")


@gated(w=Entries(axes=2), mask=Labels(0, 1, axes=2), layout=LAYOUT)
def compress(w: np.ndarray, mask: np.ndarray, layout: str = "rows") -> Compressed:
    """The kept values of a matrix with their metadata.

    Args:
        w: a matrix of 8-bit, 16-bit or 32-bit values.
        mask: booleans like ``w``: at most two of every four in a row (one of every two for 32-bit values).
        layout: a member of `LAYOUT`.

    Raises:
        ArgumentError: another shape or width, a mask that keeps too many, or a shape that the layout does not take.
    """
    group, per_word = _sizes(w)
    if w.shape[1] % (group * per_word):
        raise bad_argument("w.shape[1]", w.shape[1], f"a multiple of {group * per_word}, a word of metadata")
    if mask.shape != w.shape:
        raise bad_argument("mask.shape", mask.shape, f"{w.shape}, that of w")
    flags = mask.astype(bool).reshape(w.shape[0], -1, group)
    if (flags.sum(axis=2) > group // 2).any():
        raise bad_argument("mask", "one that keeps too many", f"at most {group // 2} of every {group} in a row")
    four = np.repeat(flags, 4 // group, axis=2)
    nibbles = NIBBLES[(four << np.arange(4)).sum(axis=2)]
    metadata = _packed(nibbles, per_word)
    picked = np.stack([nibbles & 3, nibbles >> 2], axis=2) if group == 4 else (nibbles & 3)[:, :, None] // 2
    values = np.take_along_axis(w.reshape(w.shape[0], -1, group), picked.astype(np.intp), axis=2).reshape(
        w.shape[0], -1
    )
    return Compressed(values, reordered(metadata) if layout == "cutlass" else metadata, layout)


@gated(w=Floats(axes=2), rule=OrNone(Of(NOfM)), layout=LAYOUT, threads=OrNone(AT_LEAST_ONE))
def prune(w: np.ndarray, rule: NOfM | None = None, layout: str = "rows", threads: int | None = None) -> Compressed:
    """A matrix of 16-bit floats pruned to 2:4 by magnitude and compressed, in one pass where a kernel can do it.

    Args:
        w: a matrix of a float dtype of 16 bits or 8, its columns a multiple of 16.
        rule: a 2:4 rule along the rows; its tie and NaN rules hold.
        layout: a member of `LAYOUT`.
        threads: how many threads a kernel may use.

    Raises:
        ArgumentError: a rule that is not 2:4 by magnitude along the last axis, or what `compress` raises.
    """
    from refgrad.backends import selection

    rule = rule or NOfM()
    if (rule.kept(), rule.m, rule.along, rule.measure) != (2, 4, "last", "magnitude"):
        raise bad_argument("rule", str(rule), "2:4 by magnitude along the last axis")
    if w.dtype.itemsize > 2:
        raise bad_argument("w.dtype", str(w.dtype), "a float dtype of 16 bits or 8")
    fast = selection.compress(w, rule.ties, rule.nan_rank, threads)
    if fast is None:
        return compress(w, rule.mask(w), layout)
    values, metadata = fast
    return Compressed(values, reordered(metadata) if layout == "cutlass" else metadata, layout)


@gated(packed=Of(Compressed))
def decompress(packed: Compressed) -> np.ndarray:
    """The matrix with zeros where nothing was kept."""
    metadata = restored(packed.metadata) if packed.layout == "cutlass" else packed.metadata
    rows, half = packed.values.shape
    group = 2 if packed.values.dtype.itemsize == 4 else 4
    nibbles = _unpacked(metadata)
    picked = np.stack([nibbles & 3, nibbles >> 2], axis=2) if group == 4 else (nibbles & 3)[:, :, None] // 2
    dense = np.zeros((rows, 2 * half // group, group), packed.values.dtype)
    np.put_along_axis(dense, picked.astype(np.intp), packed.values.reshape(rows, -1, group // 2), axis=2)
    return dense.reshape(rows, 2 * half)


@gated(metadata=_WORDS)
def reordered(metadata: np.ndarray) -> np.ndarray:
    """Row-major metadata words in CUTLASS's order.

    Raises:
        ArgumentError: the rows are no multiple of 32 (16-bit words) or 16 (32-bit words), or the columns are odd: torch takes
            an odd number, and then writes out of range.
    """
    result = np.empty(metadata.size, metadata.dtype)
    result[_offsets(metadata)] = metadata.reshape(-1)
    return result.reshape(metadata.shape)


@gated(metadata=_WORDS)
def restored(metadata: np.ndarray) -> np.ndarray:
    """Metadata words in CUTLASS's order as row-major ones; errors are those of `reordered`."""
    return metadata.reshape(-1)[_offsets(metadata)].reshape(metadata.shape)


def _offsets(metadata: np.ndarray) -> np.ndarray:
    """Where each word, taken in row-major order, lies."""
    group, interweave = (32, 4) if metadata.dtype.itemsize == 2 else (16, 2)
    rows, columns = metadata.shape
    if rows % group:
        raise bad_argument("metadata.shape[0]", rows, f"a multiple of {group}")
    if columns % 2:
        raise bad_argument("metadata.shape[1]", columns, "an even number of words")
    r, c = np.indices(metadata.shape)
    r = r // group * group + (r % 8) * interweave + (r % group) // 8
    across = ((r % 2 == 0) & (c % 2 == 1)).astype(int) - ((r % 2 == 1) & (c % 2 == 0)).astype(int)
    r, c = r + across, c - across
    return ((c // 2) * rows * 2 + r * 2 + c % 2).reshape(-1)


def _sizes(w: np.ndarray) -> tuple[int, int]:
    """Entries in a group, and groups in a word of metadata."""
    sizes = {1: (4, 8), 2: (4, 4), 4: (2, 4)}
    if w.dtype.itemsize not in sizes:
        raise bad_argument("w.dtype", str(w.dtype), "8, 16 or 32 bits wide")
    return sizes[w.dtype.itemsize]


def _packed(nibbles: np.ndarray, per_word: int) -> np.ndarray:
    kind = np.dtype(f"u{per_word // 2}")
    words = nibbles.reshape(nibbles.shape[0], -1, per_word).astype(kind) << (4 * np.arange(per_word)).astype(kind)
    return np.bitwise_or.reduce(words, axis=2).view(f"i{per_word // 2}")


def _unpacked(metadata: np.ndarray) -> np.ndarray:
    per_word = 2 * metadata.dtype.itemsize
    kind = np.dtype(f"u{metadata.dtype.itemsize}")
    nibbles = (metadata.view(kind)[:, :, None] >> (4 * np.arange(per_word)).astype(kind)) & kind.type(15)
    return nibbles.reshape(metadata.shape[0], -1)
