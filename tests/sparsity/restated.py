"""Which entries a mask keeps, restated in plain Python from what the named behaviours say, apart from the code that is tested."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from itertools import combinations, product
from typing import Any

import numpy as np

from refgrad import sparsity
from refgrad.sparsity.base import Mask, Structured, Unstructured
from refgrad.sparsity.n_of_m import Groups

Rank = tuple[int, float]
Place = tuple[int, ...]


def rank(value: float, nan: str) -> Rank:
    """Where a score stands: NaN above or below all numbers, and both zeros at one place."""
    if math.isnan(value):
        return (1 if nan == "largest" else -1, 0.0)
    return (0, value + 0.0)


def best(ranks: Sequence[Rank], count: int, ties: str) -> set[int]:
    """The places of so many of the largest."""
    if count <= 0:
        return set()
    if count >= len(ranks):
        return set(range(len(ranks)))
    backwards = sorted(range(len(ranks)), key=lambda i: (ranks[i], i if ties == "high" else -i))
    taken, left = backwards[-count:], backwards[:-count]
    if ties == "keep_all":
        return {i for i, r in enumerate(ranks) if r >= min(ranks[j] for j in taken)}
    if ties == "prune_all":
        return {i for i, r in enumerate(ranks) if r > max(ranks[j] for j in left)}
    return set(taken)


def whole(value: float, rounding: str) -> int:
    """A number as a whole one."""
    near = {"half_even": round, "floor": math.floor, "ceil": math.ceil}[
        rounding.partition("_plus")[0].partition("_minus")[0]
    ]
    return near(value) + rounding.endswith("plus_one") - rounding.endswith("minus_one")


def count(rule: Unstructured, size: int) -> int:
    """How many of so many are kept."""
    dense = 1.0 - rule.sparsity
    if rule.counted == "kept_float32":
        dense = float(np.float32(1.0) - np.float32(rule.sparsity))
        found = whole(float(np.float32(np.float32(dense) * np.float32(size))), rule.rounding)
    elif rule.counted == "pruned":
        found = size - whole(rule.sparsity * size, rule.rounding)
    else:
        found = whole(dense * size, rule.rounding) - (rule.counted == "kept_percentile")
    return min(max(found, rule.at_least), size)


def unit(rule: Mask, place: Place, shape: tuple[int, ...]) -> int:
    """Which unit an entry of the weights belongs to, counted in the order of the scores."""
    if isinstance(rule, Structured):
        return place[rule.axis]
    if isinstance(rule, sparsity.Block):
        across = -(-shape[1] // rule.width)
        return place[0] // rule.height * across + place[1] // rule.width
    return int(np.ravel_multi_index(place, shape))


def unstructured(rule: Unstructured, scores: np.ndarray) -> set[int]:
    """The places of the scores that are kept, of one ranking or of one a row."""
    ranks = [rank(float(s), rule.nan_rank) for s in scores.ravel()]
    length = len(ranks) // len(scores) if rule.granularity == "row" and scores.ndim else len(ranks)
    found: set[int] = set()
    for start in range(0, len(ranks), max(length, 1)):
        found |= {start + i for i in best(ranks[start : start + length], count(rule, length), rule.ties)}
    return found


def lines(along: str, shape: tuple[int, ...]) -> Iterable[list[Place]]:
    """The places of each line that is cut into groups."""
    places = list(np.ndindex(*shape))
    if along == "flat":
        return [places]
    axis = {"last": len(shape) - 1, "first": 0, "channel": 1}[along]
    found: dict[Place, list[Place]] = {}
    for place in places:
        found.setdefault(place[:axis] + place[axis + 1 :], []).append(place)
    return found.values()


def grouped(rule: Groups, scores: np.ndarray) -> set[Place]:
    """n of every m along each line."""
    kept = rule.n if rule.n_is == "kept" else rule.m - rule.n
    found: set[Place] = set()
    for line in lines(rule.along, scores.shape):
        for start in range(0, len(line), rule.m):
            group = line[start : start + rule.m]
            if len(group) < rule.m and rule.tail == "dense":
                found |= set(group)
            elif getattr(rule, "chosen_by", "") == "pattern_sums":
                found |= {group[i] for i in by_sums([scores[p] for p in group])}
            else:
                ranks = [rank(float(scores[p]), rule.nan_rank) for p in group]
                found |= {group[i] for i in best(ranks, min(kept, len(group)), rule.ties)}
    return found


#: apex's pairs of four in its order, that of ``set(permutations([1, 1, 0, 0]))`` in CPython
PAIRS = ((1, 3), (0, 1), (1, 2), (0, 2), (0, 3), (2, 3))


def by_sums(four: Sequence[Any]) -> tuple[int, ...]:
    """The first pair whose four masked values add up to most in their precision; NaN is more than anything."""
    with np.errstate(invalid="ignore", over="ignore"):
        masked = [[x * type(x)(i in pair) for i, x in enumerate(four)] for pair in PAIRS]
        sums = [float(((a + b) + c) + d) for a, b, c, d in masked]
    return PAIRS[max(range(len(PAIRS)), key=lambda i: (rank(sums[i], "largest"), -i))]


def tiled(rule: sparsity.Transposable, scores: np.ndarray) -> set[Place]:
    """The entries that are kept of each m by m tile."""
    found: set[Place] = set()
    for top, left in product(range(0, scores.shape[0], rule.m), range(0, scores.shape[1], rule.m)):
        tile = scores[top : top + rule.m, left : left + rule.m].tolist()
        found |= {(top + i, left + j) for i, j in TILES[rule.method](rule, tile)}
    return found


def _by_rank(rule: sparsity.Transposable, tile: list[list[float]], falling: bool) -> list[Place]:
    places = list(np.ndindex(rule.m, rule.m))
    sign = -1 if falling else 1
    order = lambda p: (sign * rank(tile[p[0]][p[1]], rule.nan_rank)[0], sign * rank(tile[p[0]][p[1]], rule.nan_rank)[1])  # noqa: E731
    return sorted(places, key=order)


def _greedy(rule: sparsity.Transposable, tile: list[list[float]]) -> set[Place]:
    """In falling order, as long as the row and the column have room."""
    kept: set[Place] = set()
    for i, j in _by_rank(rule, tile, falling=True):
        if sum(p[0] == i for p in kept) < rule.n and sum(p[1] == j for p in kept) < rule.n:
            kept.add((i, j))
    return kept


def _greedy_pruned(rule: sparsity.Transposable, tile: list[list[float]]) -> set[Place]:
    """In rising order, pruned as long as the row or the column has too few that are."""
    pruned: set[Place] = set()
    for i, j in _by_rank(rule, tile, falling=False):
        if min(sum(p[0] == i for p in pruned), sum(p[1] == j for p in pruned)) < rule.m - rule.n:
            pruned.add((i, j))
    return set(np.ndindex(rule.m, rule.m)) - pruned


def _optimal(full: bool) -> Callable[[sparsity.Transposable, list[list[float]]], set[Place]]:
    def solve(rule: sparsity.Transposable, tile: list[list[float]]) -> set[Place]:
        """The best of all patterns with n in each row and column; or with at most n, and no room for another entry."""
        sizes = range(rule.n if full else 0, rule.n + 1)
        rows = [row for size in sizes for row in combinations(range(rule.m), size)]
        most, chosen = -math.inf, set()
        for pattern in product(rows, repeat=rule.m):
            columns = [sum(j in row for row in pattern) for j in range(rule.m)]
            if max(columns) > rule.n or (full and min(columns) < rule.n):
                continue
            room = [j for j, size in enumerate(columns) if size < rule.n]
            if any(j not in row for row in pattern if len(row) < rule.n for j in room):
                continue
            value = math.fsum(tile[i][j] for i, row in enumerate(pattern) for j in row)
            if value > most:
                most, chosen = value, {(i, j) for i, row in enumerate(pattern) for j in row}
        return chosen

    return solve


TILES = {"exact": _optimal(True), "at_most": _optimal(False), "greedy": _greedy, "greedy_pruned": _greedy_pruned}


def mask(rule: Mask, scores: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which entries of weights of a shape are kept, from the scores of their units."""
    found = np.zeros(shape, bool)
    if isinstance(rule, sparsity.SoftMovement):
        limit = rank(float(scores.dtype.type(rule.threshold)), rule.nan_rank)
        for place in np.ndindex(*shape):
            found[place] = rank(float(scores[place]), rule.nan_rank) > limit
    elif isinstance(rule, Unstructured):
        chosen = unstructured(rule, scores)
        for place in np.ndindex(*shape):
            found[place] = unit(rule, place, shape) in chosen
    else:
        assert isinstance(rule, Groups | sparsity.Transposable)
        for place in grouped(rule, scores) if isinstance(rule, Groups) else tiled(rule, scores):
            found[place] = True
    return found
