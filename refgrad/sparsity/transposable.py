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
from refgrad.sparsity import tiles as solvers
from refgrad.sparsity.base import Mask
from refgrad.sparsity.magnitude import Measure, measured

#: tiles up to this size are solved by going through all patterns, larger ones as flows
LARGEST_LISTED = 4


class Transposable(Mask):
    """A mask whose transpose is an N:M mask too, so that it serves the backward pass as well.

    Score: |w|. "exact": of the patterns with n entries in each row and column of a tile that of the largest sum. "at_most": of
    those with no more than n; where n cannot be reached in every row, it may keep more weight than any balanced pattern does.
    Sums of tiles up to 4 by 4 are taken in float64: patterns that differ by less than their rounding are equally good.
    "greedy": entries in falling order, each kept as long as its row and its column have room; it keeps at least half of what
    "at_most" keeps, and may keep more than "exact" does. "greedy_pruned": entries in rising order, each pruned as long as its
    row or its column has fewer than m - n pruned; it may prune more than m - n in a row, and keep no more than n.
    Shapes: w is a matrix, both sides multiples of m. Source: Hubara et al. 2021, arXiv:2102.08124, section 4 (exact, and the
    2-approximation that prunes); the greedy one that keeps is that of torch and xFormers (there on signed values: `measure`).
    """

    n: Annotated[int, Whole(1)] = 2
    m: Annotated[int, Whole(1, 32)] = 4
    method: Annotated[
        str,
        Choice(
            exact="the best of all patterns with n entries in each row and column of a tile",
            at_most="the best of all patterns with at most n entries in each row and column of a tile",
            greedy="entries in falling order, each kept if its row and its column have fewer than n yet",
            greedy_pruned="entries in rising order, each pruned if its row or its column has fewer than m - n pruned yet",
        ),
    ] = "exact"
    measure: Measure = "magnitude"

    exempt_laws: ClassVar[Mapping[str, str]] = {}
    citation = Citation(
        "Hubara et al. 2021",
        "Accelerated Sparse Neural Training: Transposable N:M masks",
        "arXiv:2102.08124, section 4",
        read="study",
        source="as recalled; the sums are checked against brute force and linear programming",
        unreachable="code of the authors",
    )
    unspecified = "which of equally good patterns is taken; the greedy one that prunes is as recalled"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n > self.m:
            raise bad_argument("Transposable.n", self.n, f"a whole number from 1 to m={self.m}")

    def scores(self, w: Any) -> Any:  # type: ignore[override]
        return measured(w, self.measure)

    def example_shape(self) -> tuple[int, ...]:
        """Several tiles each way."""
        return (4 * self.m, 6 * self.m) if self.m <= LARGEST_LISTED else (2 * self.m, 2 * self.m)

    def select(self, scores: np.ndarray, prefer: np.ndarray | None = None) -> np.ndarray:
        """The pattern of each tile.

        Sums that are equal to within their rounding may go either way: ``prefer`` is taken if it is that good.
        """
        tiles = self._tiles(scores)
        first = None if prefer is None else self._tiles(prefer)
        if self.method.startswith("greedy"):
            solve = solvers.greedy_kept if self.method == "greedy" else solvers.greedy_pruned
            chosen = solve(tiles, self.n, self.nan_rank, self.ties, first)
        else:
            chosen = self._best(tiles, first)
        down, across = scores.shape[0] // self.m, scores.shape[1] // self.m
        return chosen.reshape(down, across, self.m, self.m).swapaxes(1, 2).reshape(scores.shape)

    def _tiles(self, array: np.ndarray) -> np.ndarray:
        """(tiles, m, m), tiles in row-major order."""
        if array.ndim != 2 or array.shape[0] % self.m or array.shape[1] % self.m:
            raise bad_argument("w.shape", array.shape, f"a matrix with sides that are multiples of m={self.m}")
        down, across = array.shape[0] // self.m, array.shape[1] // self.m
        return array.reshape(down, self.m, across, self.m).swapaxes(1, 2).reshape(-1, self.m, self.m)

    def _best(self, tiles: np.ndarray, first: np.ndarray | None) -> np.ndarray:
        worst = -np.inf if self.nan_rank == "smallest" else np.inf
        scores = np.where(np.isnan(tiles), np.asarray(worst, tiles.dtype), tiles)
        if self.m > LARGEST_LISTED:
            chosen = solvers.best_flow(scores, self.n, self.method == "exact")
        else:
            listed = patterns(self.n, self.m, self.method)
            sums = np.stack([_total(scores, p.reshape(1, self.m, self.m)) for p in listed], axis=1)
            chosen = listed[np.argmax(sums, axis=1)].reshape(tiles.shape)
        if first is None or not len(tiles):
            return chosen
        reach = (
            (self.n * self.m + 1) * format_of(tiles.dtype).unit_roundoff * np.abs(scores.astype(np.float64)).sum((1, 2))
        )
        asked, largest = _total(scores, first), _total(scores, chosen)
        with np.errstate(invalid="ignore", over="ignore"):
            good = legal(first, self.n, self.method) & ((asked == largest) | (asked >= largest - 2 * reach))
        return np.where(good[:, None, None], first, chosen)


def _total(scores: np.ndarray, pattern: np.ndarray) -> np.ndarray:
    """The sum of the scores that a pattern keeps, in float64."""
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(pattern, scores.astype(np.float64), 0.0).sum(axis=(1, 2))


def legal(found: np.ndarray, n: int, method: str = "exact") -> np.ndarray:
    """Which patterns (patterns, m, m) a method chooses from.

    With "exact" n entries in each row and column; with "at_most" no more than n, and no room for another entry.
    """
    across, down = found.sum(axis=1), found.sum(axis=2)
    if method == "exact":
        return (across == n).all(axis=1) & (down == n).all(axis=1)
    room = ~found & (across < n)[:, None, :] & (down < n)[:, :, None]
    return (across <= n).all(axis=1) & (down <= n).all(axis=1) & ~room.any(axis=(1, 2))


@cache
def patterns(n: int, m: int, method: str = "exact") -> np.ndarray:
    """The m by m patterns that a method chooses from (see `legal`), flattened, in lexicographic order of the rows' entries."""
    fewest = n if method == "exact" else 0
    rows = [np.isin(np.arange(m), kept) for k in range(n, fewest - 1, -1) for kept in combinations(range(m), k)]
    found = np.asarray([np.stack(choice) for choice in product(rows, repeat=m)])
    balanced = found[legal(found, n, method)].reshape(-1, m * m)
    balanced.flags.writeable = False
    return balanced
