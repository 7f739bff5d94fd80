"""Transposable N:M masks: n of every m in each row and each column of every m by m tile."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import combinations, product
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.dtypes import format_of
from refgrad.errors import bad_argument
from refgrad.rule import Choice, Citation, Whole
from refgrad.sparsity.base import Mask
from refgrad.sparsity.magnitude import Measure, measured
from refgrad.sparsity.selection import keys

#: tiles up to this size are solved by going through all patterns
LARGEST_TILE = 4


class Transposable(Mask):
    """A mask whose transpose is an N:M mask too, so that it serves the backward pass as well.

    Score: |w|. "exact": of the patterns with n entries in each row and column of a tile that of the largest sum. "at_most": of
    those with no more than n; where n cannot be reached in every row, it may keep more weight than any balanced pattern does.
    "greedy": entries in falling order, each kept as long as its row and its column have room; it keeps at least half of what
    "at_most" keeps, and may keep more than "exact" does.
    Shapes: w is a matrix, both sides multiples of m. Source: Hubara et al. 2021, arXiv:2102.08124, section 4 (exact);
    the greedy one is that of torch and xFormers (there on signed values by default: `measure`).
    """

    n: Annotated[int, Whole(1)] = 2
    m: Annotated[int, Whole(1, 32)] = 4
    method: Annotated[
        str,
        Choice(
            exact="the best of all patterns with n entries in each row and column of a tile (m up to 4)",
            at_most="the best of all patterns with at most n entries in each row and column of a tile (m up to 4)",
            greedy="entries in falling order, each kept if its row and its column have fewer than n yet",
        ),
    ] = "exact"
    measure: Measure = "magnitude"

    lawless: ClassVar[Mapping[str, str]] = {}
    lawless: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Hubara et al. 2021",
        "Accelerated Sparse Neural Training: Transposable N:M masks",
        "arXiv:2102.08124, section 4",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n > self.m:
            raise bad_argument("Transposable.n", self.n, f"a whole number from 1 to m={self.m}")
        if self.method != "greedy" and self.m > LARGEST_TILE:
            raise bad_argument("Transposable.m", self.m, f"up to {LARGEST_TILE}, or method='greedy'")

    def scores(self, w: Any) -> Any:  # type: ignore[override]
        return measured(w, self.measure)

    def example_shape(self) -> tuple[int, ...]:
        """Several tiles each way."""
        return (4 * self.m, 6 * self.m)

    def select(self, scores: np.ndarray, prefer: np.ndarray | None = None) -> np.ndarray:
        """The pattern of each tile.

        Exact sums that are equal to within their rounding may go either way: ``prefer`` is taken if it is that good.
        """
        tiles = self._tiles(scores)
        first = None if prefer is None else self._tiles(prefer)
        chosen = self._greedy(tiles, first) if self.method == "greedy" else self._best(tiles, first)
        down, across = scores.shape[0] // self.m, scores.shape[1] // self.m
        return chosen.reshape(down, across, self.m, self.m).swapaxes(1, 2).reshape(scores.shape)

    def _tiles(self, array: np.ndarray) -> np.ndarray:
        """(tiles, m m), tiles and their entries in row-major order."""
        if array.ndim != 2 or array.shape[0] % self.m or array.shape[1] % self.m:
            raise bad_argument("w.shape", array.shape, f"a matrix with sides that are multiples of m={self.m}")
        down, across = array.shape[0] // self.m, array.shape[1] // self.m
        return array.reshape(down, self.m, across, self.m).swapaxes(1, 2).reshape(-1, self.m * self.m)

    def _best(self, tiles: np.ndarray, first: np.ndarray | None) -> np.ndarray:
        listed = patterns(self.n, self.m, self.method)
        worst = -np.inf if self.nan_rank == "smallest" else np.inf
        wide = np.where(np.isnan(tiles), worst, tiles).astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            sums = np.stack([wide[:, p].sum(axis=1) for p in listed], axis=1)
        best = np.argmax(sums, axis=1)
        chosen = listed[best]
        if first is None or not len(tiles):
            return chosen
        same = (first[:, None, :] == listed[None]).all(axis=2)
        reach = (self.n * self.m + 1) * format_of(tiles.dtype).unit_roundoff * np.abs(wide).sum(axis=1)
        asked = sums[np.arange(len(sums)), np.argmax(same, axis=1)]
        largest = sums[np.arange(len(sums)), best]
        with np.errstate(invalid="ignore", over="ignore"):
            good = same.any(axis=1) & ((asked == largest) | (asked >= largest - 2 * reach))
        return np.where(good[:, None], first, chosen)

    def _greedy(self, tiles: np.ndarray, first: np.ndarray | None) -> np.ndarray:
        count, size = tiles.shape
        ranked = keys(tiles, self.nan_rank)
        index = np.broadcast_to(np.arange(size) if self.ties != "high" else -np.arange(size), tiles.shape)
        later = np.zeros_like(tiles, bool) if first is None else ~first
        order = np.lexsort((index, later, ~ranked), axis=1)
        chosen = np.zeros(tiles.shape, bool)
        rows, columns = np.zeros((count, self.m), int), np.zeros((count, self.m), int)
        every = np.arange(count)
        for entry in order.T:
            row, column = entry // self.m, entry % self.m
            room = (rows[every, row] < self.n) & (columns[every, column] < self.n)
            rows[every, row] += room
            columns[every, column] += room
            chosen[every, entry] = room
        return chosen


@cache
def patterns(n: int, m: int, method: str = "exact") -> np.ndarray:
    """The m by m patterns that a method chooses from, flattened, in lexicographic order of the rows' entries.

    With "exact" n entries in each row and column; with "at_most" no more than n, and none that could take another entry.
    """
    fewest = n if method == "exact" else 0
    rows = [np.isin(np.arange(m), kept) for k in range(n, fewest - 1, -1) for kept in combinations(range(m), k)]
    found = np.asarray([np.stack(choice) for choice in product(rows, repeat=m)])
    across, down = found.sum(axis=1), found.sum(axis=2)
    # room is left where an empty entry has room in its row and its column
    room = ~found & (across < n)[:, None, :] & (down < n)[:, :, None]
    legal = (across <= n).all(axis=1) & ~room.any(axis=(1, 2))
    if method == "exact":
        legal &= (across == n).all(axis=1)
    balanced = found[legal].reshape(-1, m * m)
    balanced.flags.writeable = False
    return balanced
