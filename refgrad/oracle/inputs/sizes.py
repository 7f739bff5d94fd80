"""Shapes beside those of ordinary cases: where a program's tail, its empty loop or its second block is wrong, it shows here."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.graph import Graph
from refgrad.axes import COLUMN, ROW
from refgrad.errors import ArgumentError
from refgrad.oracle.inputs.cases import Cases

#: odd and prime sizes, those around vector widths and powers of two, and one above 2**16
LENGTHS = (1, 2, 3, 7, 17, 31, 33, 65, 127, 129, 257, 513, 1000, 1025, 4097, 65539)
#: an array without axes, empty ones, and one to four axes, of length one among them
SHAPES: Sequence[tuple[int, ...]] = (
    (),
    (0,),
    *((n,) for n in LENGTHS),
    *((1, 1), (1, 7), (7, 1), (17, 33), (3, 130), (0, 4)),
    *((3, 4, 5), (2, 1, 3), (2, 3, 4, 5)),
)
#: what comes in groups of 4, 8, 32 or 256 takes these
ROWS_OF_BLOCKS: Sequence[tuple[int, ...]] = ((7, 8), (1, 24), (5, 32), (3, 256), (4, 4), (4, 12), (8, 32), (96, 8))
BLOCKS: Sequence[tuple[int, ...]] = ((32,), (96,), (256,), (768,), *ROWS_OF_BLOCKS, (2, 3, 256))
#: elements beyond which a program may go on with another block, or another width of its counter
MANY = 2**16
#: the same of more elements than that, where the rule takes no other array of so many
LARGE_BLOCKS: Sequence[tuple[int, ...]] = ((257, 256),)
#: for rules whose cost does not grow as their input does
MODERATE: Sequence[tuple[int, ...]] = tuple(s for s in SHAPES if max(s, default=1) <= 4097)
#: for rules of rows and columns: which axes of an array of more axes these are, programs settle in several ways
MATRICES: Sequence[tuple[int, ...]] = (
    *((1, 1), (1, 7), (7, 1), (2, 3), (17, 33), (3, 130), (129, 2), (0, 4), (257, 3), (1031, 3), (1, 4097), (513, 129)),
)
#: for rules whose cost grows with the cube of a side
SMALL: Sequence[tuple[int, ...]] = tuple(s for s in SHAPES if max(s, default=1) <= 17)

#: long arrays with a tail beyond every block of 2, 4, 1024 and 4096, in which the largest numbers stand, so that a sum, a norm
#: or a maximum that leaves the tail out is another; of rows and columns alike. For rules that reduce.
DECIDED_AT_THE_END: Sequence[tuple[int, ...]] = ((1027,), (4099,), (MANY + 7,), (7, 1031))
#: of these the ones for rules of rows and columns, and one that is large in their place
DECIDED_IN_ROWS: Sequence[tuple[int, ...]] = ((7, 1031), (1027, 5), (65, 1027))
#: the largest number is so many times the root of how many numbers there are: in a sum of magnitudes, whose rounding errors
#: grow with their number, it still counts
WEIGHT = 4.0

#: few numbers, of which a share is no whole number; of two axes, on which all programs settle alike
ODD: Sequence[tuple[int, ...]] = ((3, 37), (5, 7))

#: lengths of vectors and of blocks, on exact multiples of which a program takes another path than beside them
WIDTHS = (4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096)
#: arrays, and first and last axes, of exactly such lengths; other axes are short
WHOLE: Sequence[tuple[int, ...]] = tuple((n,) for n in WIDTHS)
WHOLE_ROWS: Sequence[tuple[int, ...]] = tuple(
    shape for n in WIDTHS for few in [2 if n <= 256 else 3] for shape in ((few, n), (n, few))
)
#: the shapes of exact multiples, which make no other situation than that of shapes
EXACT = frozenset({*WHOLE, *WHOLE_ROWS})
#: the same for rules whose cost grows with the square or the cube of a side
WHOLE_SMALL: Sequence[tuple[int, ...]] = tuple(shape for shape in WHOLE_ROWS if max(shape) <= 64)
#: first axes of exactly such lengths, of rows that are a block
WHOLE_BLOCKS: Sequence[tuple[int, ...]] = tuple((n, 32) for n in (4, 16, 64, 256, 1024))
#: several blocks of 256, for rules that take these alone
WHOLE_WIDE: Sequence[tuple[int, ...]] = ((8, 256), (16, 256))

#: two axes beyond tiles of 8 to 64 and of 128, and multiples of none: a grid of tiles has a last column and a last row; these
#: lengths alone, beside a short axis, are no case of it
TILED_ROWS: Sequence[tuple[int, ...]] = ((67, 71), (130, 135))
#: the same; weights of convolutions, of two axes of one length, which a transposition that is wrong takes for one another; and
#: three to five axes of which a first or last one has length one
TILED: Sequence[tuple[int, ...]] = (
    *(*TILED_ROWS, (5, 5, 3), (3, 5, 5), (5, 5, 3, 3), (2, 3, 5, 5)),
    *((1, 5, 7), (5, 7, 1), (5, 7, 1, 1), (2, 3, 1, 2, 3)),
)
#: the same for rules whose cost grows with the cube of a side: beyond tiles of 8, 16 and 32
TILED_SMALL: Sequence[tuple[int, ...]] = ((35, 37),)

#: shapes that are wanted in place of those that a rule is driven in
Shapes = Sequence[tuple[int, ...]] | None

#: makes the arrays of a case of a shape; ArgumentError where the rule takes no such shape
Make = Callable[[tuple[int, ...], np.random.Generator], Mapping[str, np.ndarray]]


def taken(make: Make, shapes: Sequence[tuple[int, ...]], seed: int) -> Cases | None:
    """A case a shape that the rule takes, each with numbers of its own; None if there is none.

    Args:
        make: makes the arrays of a case.
        shapes: what is tried.
        seed: of the numbers; those of a shape do not depend on which others are taken.
    """
    found = list(_made(make, shapes, seed))
    return Cases([arrays for _, arrays in found], [called(shape) for shape, _ in found], seed) if found else None


def with_large(found: Cases | None, make: Make, primary: str, seed: int) -> Cases | None:
    """Cases of a kind without state, with one of blocks that has more than `MANY` elements, if none of them has.

    Args:
        found: the cases.
        make: makes the arrays of a case.
        primary: the array whose elements are counted.
        seed: of the numbers.
    """
    if found is not None and any(arrays[primary].size > MANY for arrays in found.arrays):
        return found
    large = taken(make, LARGE_BLOCKS, seed)
    return large if found is None else found.with_more(large)


def with_more(found: Cases | None, make: Make, shapes: Sequence[tuple[int, ...]], seed: int) -> Cases | None:
    """Cases with those of other shapes after them, none twice.

    Args:
        found: the cases.
        make: makes the arrays of a case.
        shapes: what is tried besides.
        seed: of the numbers.
    """
    known = set() if found is None else set(found.names)
    more = taken(make, [shape for shape in shapes if called(shape) not in known], seed)
    return more if found is None else found.with_more(more)


def _made(
    make: Make, shapes: Sequence[tuple[int, ...]], seed: int
) -> Iterator[tuple[tuple[int, ...], Mapping[str, np.ndarray]]]:
    for shape in shapes:
        random = np.random.Generator(np.random.Philox([seed, zlib.crc32(str(shape).encode())]))
        try:
            # numbers drawn for no axes are no arrays
            yield shape, {name: np.asarray(array) for name, array in make(shape, random).items()}
        except ArgumentError:
            continue


def shapes_for(graph: Graph, reduces: bool = False) -> Sequence[tuple[int, ...]]:
    """The shapes in which a rule of a graph is driven: of one that multiplies matrices small ones, of rows two axes.

    Args:
        graph: the rule's.
        reduces: whether numbers are made of many elements outside the graph: a norm of all leaves.
    """
    if graph.matrix():
        return (*SMALL, *WHOLE_SMALL, *TILED_SMALL)
    rows = {ROW, COLUMN} & {*graph.small.values(), *(node.axes for node in graph.nodes)}
    if rows:
        return (*MATRICES, *DECIDED_IN_ROWS, *WHOLE_ROWS, *TILED_ROWS)
    decided = DECIDED_AT_THE_END if reduces or graph.couples() else ()
    return (*SHAPES, *decided, *WHOLE, *WHOLE_ROWS, *TILED)


def called(shape: tuple[int, ...]) -> str:
    """What a case of a shape is called."""
    return f"shape {shape}"


def normal(random: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Standard normal numbers of a dtype; of some shapes the last ones are far larger."""
    values = np.asarray(random.standard_normal(shape))
    if shape in DECIDED:
        decide_at_the_end(values)
    return np.asarray(dtypes.round_to(values, dtype)).astype(dtype)


#: shapes whose last numbers are the largest
DECIDED = frozenset({*DECIDED_AT_THE_END, *DECIDED_IN_ROWS, *LARGE_BLOCKS})


def decide_at_the_end(values: np.ndarray) -> None:
    """Make the last element, and of an array of rows also those of every other row and column, the largest; in place.

    The one before it is nearly as large and of the other sign, so that the least is there too.

    Args:
        values: of one axis or two, of at least two numbers along each.
    """
    if values.ndim > 1:
        for lines in (values[-1::-2], values.T[-1::-2]):
            lines[:, -1] = np.copysign(WEIGHT * lines.shape[1] ** 0.5, lines[:, -1])
    last = WEIGHT * values.size**0.5
    values.reshape(-1)[-2:] = -0.75 * last, last
