"""Which order of input channels lets an N:M mask keep most: searches over permutations of columns.

Source: Pool and Yu 2021, "Channel Permutations for N:M Sparsity", NeurIPS 34. Objective and searches are in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from refgrad.arithmetic.function_arguments import ITERATIONS, Floats, gated
from refgrad.errors import bad_argument
from refgrad.legal import Whole

#: more orders than this are not gone through one by one
MOST_ORDERS = 3_000_000


#: groups that are longer than any hardware's
_GROUP = Whole(1, 1_000)
_MATRIX, _KEPT = Floats(axes=2), Whole(0, 1_000)


@gated(w=_MATRIX, n=_KEPT, m=_GROUP)
def kept_magnitude(w: np.ndarray, n: int, m: int) -> float:
    """The sum of magnitudes that the mask keeping n of every m along the rows of a matrix keeps."""
    groups = np.abs(_matrix(w, n, m)).reshape(w.shape[0], w.shape[1] // m, m)
    return float(np.sort(groups, axis=2)[:, :, m - n :].sum())


@gated(w=_MATRIX, n=_KEPT, m=_GROUP)
def exhaustive(w: np.ndarray, n: int = 2, m: int = 4) -> np.ndarray:
    """The permutation of columns that keeps most, the first of equally good ones.

    Orders that differ only within groups, or in the order of groups, keep the same: C! / ((m!)^G G!) are gone through.

    Raises:
        ArgumentError: ``w`` is no matrix, m does not divide its columns, or there are too many orders.
    """
    magnitude = np.abs(_matrix(w, n, m))
    columns = magnitude.shape[1]
    if orders(columns, m) > MOST_ORDERS:
        raise bad_argument("w.shape[1]", columns, f"few enough columns for {MOST_ORDERS} orders; or use `swaps`")
    worth: dict[tuple[int, ...], float] = {}
    for group in combinations(range(columns), m):
        worth[group] = float(np.sort(magnitude[:, group], axis=1)[:, m - n :].sum())
    best = max(_partitions(tuple(range(columns)), m), key=lambda groups: sum(worth[g] for g in groups), default=())
    return np.asarray([c for group in best for c in group], dtype=np.intp)


@gated(w=_MATRIX, n=_KEPT, m=_GROUP, most=ITERATIONS)
def swaps(w: np.ndarray, n: int = 2, m: int = 4, most: int = 1000) -> np.ndarray:
    """A permutation by steepest ascent: the best swap of two columns of different groups, until none keeps more.

    Never keeps less than the order that came in. Arguments and errors are those of `exhaustive`; ``most`` bounds the swaps.
    """
    magnitude = np.abs(_matrix(w, n, m))
    order = np.arange(magnitude.shape[1])
    for _ in range(most):
        gain, i, j = _best_swap(magnitude[:, order], n, m)
        if gain <= 0.0:
            break
        order[[i, j]] = order[[j, i]]
    # many gains added up may round to less than nothing
    return order if kept_magnitude(w[:, order], n, m) >= kept_magnitude(w, n, m) else np.arange(len(order))


@gated(columns=Whole(0, 10_000), m=_GROUP)
def orders(columns: int, m: int) -> int:
    """How many orders of columns differ in what their groups hold."""
    number = 1
    for left in range(columns, 0, -m):
        for k in range(1, m):
            number = number * (left - k) // k
    return number


def _best_swap(magnitude: np.ndarray, n: int, m: int) -> tuple[float, int, int]:
    groups = magnitude.shape[1] // m
    worth = [_worth(magnitude[:, g * m : (g + 1) * m], n, m) for g in range(groups)]
    best = (0.0, 0, 0)
    for g, h in combinations(range(groups), 2):
        for i in range(g * m, (g + 1) * m):
            for j in range(h * m, (h + 1) * m):
                changed = magnitude[:, [*range(g * m, (g + 1) * m), *range(h * m, (h + 1) * m)]]
                changed[:, [i - g * m, m + j - h * m]] = changed[:, [m + j - h * m, i - g * m]]
                gain = _worth(changed[:, :m], n, m) + _worth(changed[:, m:], n, m) - worth[g] - worth[h]
                best = max(best, (gain, i, j), key=lambda found: found[0])
    return best


def _worth(group: np.ndarray, n: int, m: int) -> float:
    return float(np.sort(group, axis=1)[:, m - n :].sum())


def _partitions(left: tuple[int, ...], m: int) -> Iterator[tuple[tuple[int, ...], ...]]:
    """Ways to cut columns into groups, each group led by the smallest column that is left."""
    if not left:
        yield ()
        return
    for others in combinations(left[1:], m - 1):
        taken = set(others)
        for more in _partitions(tuple(c for c in left[1:] if c not in taken), m):
            yield ((left[0], *others), *more)


def _matrix(w: np.ndarray, n: int, m: int) -> np.ndarray:
    if w.shape[1] % m:
        raise bad_argument("w.shape", w.shape, f"a matrix with columns that are a multiple of m={m}")
    if n > m:
        raise bad_argument("n", n, f"a whole number from 0 to m={m}")
    return w.astype(np.float64)
