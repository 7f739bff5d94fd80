"""Patterns of a tile with at most n entries in each row and column: the best one by minimum-cost flow, and two greedy ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic.top_k import keys

#: bits that integers of a tile may have, so that sums along a path fit into int64
WIDTH = 54


def best_flow(tiles: np.ndarray, n: int, exact: bool) -> np.ndarray:
    """The patterns of the largest sum, exactly: n entries in each row and column, or with ``exact`` false at most n.

    Rows send n units each, columns take n each, and every entry carries at most one. Each round sends one more unit along the
    shortest path of what is left, whose length is taken in whole numbers: the scores are scaled by a power of two.

    Args:
        tiles: scores, (tiles, m, m), finite or infinite.
        n: how many entries a row and a column may have.
        exact: whether they must have as many.
    """
    chosen = np.zeros(tiles.shape, bool)
    bits, low = _extent(tiles)
    narrow = bits <= WIDTH
    for part, kind in ((narrow, np.int64), (~narrow, object)):
        if part.any():
            chosen[part] = _flow(_whole(tiles[part], low[part], kind), n, exact)
    return chosen


def _extent(tiles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many bits the scores of each tile take as whole numbers, and the exponent of the lowest one."""
    finite = np.where(np.isfinite(tiles), tiles, 0.0).astype(np.float64)
    exponents = np.frexp(finite)[1]
    digits = 24 if tiles.dtype != np.float64 else 53
    used = finite != 0.0
    low = np.min(np.where(used, exponents, 2000), axis=(1, 2)) - digits
    high = np.max(np.where(used, exponents, -2000), axis=(1, 2))
    # infinite scores are larger than all others together
    bits = np.where(used.any(axis=(1, 2)), high - low, 0) + np.where(
        np.isinf(tiles).any(axis=(1, 2)), 2 + _log(tiles), 0
    )
    return bits + _log(tiles), low


def _log(tiles: np.ndarray) -> int:
    return 2 * int(tiles.shape[1]).bit_length() - 1


def _whole(tiles: np.ndarray, low: np.ndarray, kind: Any) -> np.ndarray:
    """The scores as whole numbers; an infinite one as more than all finite ones of the tile together."""
    finite = np.where(np.isfinite(tiles), tiles, 0.0).astype(np.float64)
    mantissa, exponents = np.frexp(finite)
    wide = (mantissa * 2.0**53).astype(np.int64).astype(object)
    shift = exponents - 53 - low[:, None, None]
    # shifts to the right lose nothing: the lowest exponent is that of the last digit
    moved = np.frompyfunc(lambda x, s: int(x) << int(s) if s >= 0 else int(x) >> int(-s), 2, 1)(wide, shift)
    moved = np.where(finite == 0.0, 0, moved)
    most = np.abs(moved).sum(axis=(1, 2)) + 1
    signs = np.where(np.isinf(tiles), np.sign(np.where(np.isnan(tiles), 0, tiles)), 0).astype(int).astype(object)
    return (moved + signs * most[:, None, None]).astype(kind)


def _flow(w: np.ndarray, n: int, exact: bool) -> np.ndarray:
    count, m, _ = w.shape
    # as an array: NumPy takes no plain number beyond 64 bits
    far = np.asarray(int(np.abs(w).max(initial=0)) * (4 * m) + 1, w.dtype)
    chosen = np.zeros(w.shape, bool)
    every = np.arange(count)
    for _ in range(n * m):
        length, before_column, before_row = _shortest(w, chosen, n, far)
        full = chosen.sum(axis=1) >= n
        length = np.where(full, far, length)
        column = np.argmin(length, axis=1)
        cost = length[every, column]
        going = (cost < far) if exact else (cost <= 0)
        while going.any():
            row = before_column[every, column]
            chosen[every[going], row[going], column[going]] = True
            back = before_row[every, row]
            going = going & (back >= 0)
            chosen[every[going], row[going], back[going]] = False
            column = np.where(going, back, column)
    return chosen


def _shortest(w: np.ndarray, chosen: np.ndarray, n: int, far: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The least cost to each column from rows that have room, and what comes before each column and row on the way.

    From a row to a column by an entry that is not chosen, at minus its score; back by one that is, at its score.
    """
    rows = np.where(chosen.sum(axis=2) < n, np.zeros_like(far), far)
    columns = np.broadcast_to(far, rows.shape)
    before_column, before_row = np.full(rows.shape, -1), np.full(rows.shape, -1)
    for _ in range(2 * w.shape[1]):
        # what cannot be reached stays out of reach
        ahead = np.where(chosen | (rows == far)[:, :, None], far, rows[:, :, None] - w)
        least, found = ahead.min(axis=1), ahead.argmin(axis=1)
        better = least < columns
        columns, before_column = np.where(better, least, columns), np.where(better, found, before_column)
        back = np.where(chosen & (columns != far)[:, None, :], columns[:, None, :] + w, far)
        least, found = back.min(axis=2), back.argmin(axis=2)
        better = least < rows
        rows, before_row = np.where(better, least, rows), np.where(better, found, before_row)
        if not better.any():
            break
    return columns, before_column, before_row


def greedy_kept(tiles: np.ndarray, n: int, nan: str, ties: str, first: np.ndarray | None) -> np.ndarray:
    """Entries in falling order, each kept if its row and its column have fewer than n yet; (tiles, m, m)."""
    count, m, _ = tiles.shape
    flat = tiles.reshape(count, m * m)
    order = _order(flat, nan, ties, None if first is None else ~first.reshape(flat.shape), falling=True)
    chosen = np.zeros(flat.shape, bool)
    rows, columns = np.zeros((count, m), int), np.zeros((count, m), int)
    every = np.arange(count)
    for entry in order.T:
        row, column = entry // m, entry % m
        room = (rows[every, row] < n) & (columns[every, column] < n)
        rows[every, row] += room
        columns[every, column] += room
        chosen[every, entry] = room
    return chosen.reshape(tiles.shape)


def greedy_pruned(tiles: np.ndarray, n: int, nan: str, ties: str, first: np.ndarray | None) -> np.ndarray:
    """Entries in rising order, each pruned if its row or its column has fewer than m - n pruned yet; (tiles, m, m)."""
    count, m, _ = tiles.shape
    flat, least = tiles.reshape(count, m * m), m - n
    # of equal ones those that are not to be kept go first
    order = _order(flat, nan, ties, None if first is None else first.reshape(flat.shape), falling=False)
    kept = np.ones(flat.shape, bool)
    ranked = keys(flat, nan)
    for tile in range(count):
        rows, columns = [0] * m, [0] * m
        sequence = [int(e) for e in order[tile]]
        if first is not None:
            sequence = _feasible(sequence, ranked[tile], first.reshape(flat.shape)[tile], least, m)
        for entry in sequence:
            row, column = divmod(entry, m)
            if rows[row] < least or columns[column] < least:
                kept[tile, entry] = False
                rows[row] += 1
                columns[column] += 1
    return kept.reshape(tiles.shape)


def _feasible(sequence: list[int], ranked: np.ndarray, first: np.ndarray, least: int, m: int) -> list[int]:
    """The order with equal entries that are to go arranged so that all of them do, if any arrangement lets them.

    The last of them must find room with all others gone; taking it away leaves the same question with more room.
    """
    result: list[int] = []
    rows, columns = [0] * m, [0] * m
    start = 0
    while start < len(sequence):
        stop = start
        while stop < len(sequence) and ranked[sequence[stop]] == ranked[sequence[start]]:
            stop += 1
        group = sequence[start:stop]
        going = [e for e in group if not first[e]]
        for e in going:
            rows[e // m] += 1
            columns[e % m] += 1
        down, across, backwards = list(rows), list(columns), list[int]()
        left = list(going)
        while left:
            last = next((e for e in left if down[e // m] - 1 < least or across[e % m] - 1 < least), left[-1])
            left.remove(last)
            down[last // m] -= 1
            across[last % m] -= 1
            backwards.append(last)
        result += backwards[::-1] + [e for e in group if first[e]]
        start = stop
    return result


def _order(flat: np.ndarray, nan: str, ties: str, later: np.ndarray | None, falling: bool) -> np.ndarray:
    """The indices of each tile's entries by score, equal ones by ``later`` (false first), then by index as the tie rule says."""
    ranked = keys(flat, nan)
    forward = (
        ties != "high"
    ) == falling  # where entries fall the lower index is kept first, where they rise it is pruned last
    index = np.broadcast_to(np.arange(flat.shape[1]) if forward else -np.arange(flat.shape[1]), flat.shape)
    held = np.zeros(flat.shape, bool) if later is None else later
    return np.lexsort((index, held, ~ranked if falling else ranked), axis=1)
