"""Arrays that kernels take as they are: the common case of a step in place, in which the usual checks would find nothing.

Each of these checks costs more than a step of a small parameter, and a model has a thousand parameters. What is looked at here is
the same, of exactly NumPy's arrays in Python's own dicts, lists and tuples; of all else nothing is said.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic.arrays import as_it_is
from refgrad.rule import Slot

WORKING = frozenset((np.dtype(np.float32), np.dtype(np.float64)))
#: the deepest nesting of a tree that is looked into
DEEPEST = 20

#: the slots of a rule by name, all of them arrays; None for one that is shaped like the parameter
ArraySlots = Collection[tuple[str, Slot | None]]


def ready_leaf(p: Any, g: Any, state: Mapping[str, Any], slots: ArraySlots) -> dict[str, np.ndarray] | None:
    """The arrays of a step in place of one parameter, where the usual checks have nothing to look for.

    Args:
        p: the parameter, or a tree of parameters.
        g: its gradient.
        state: the state.
        slots: the rule's slots.

    Returns:
        The arrays by name, if each is just what kernels take, and none can overlap another; None for all else, such as a tree.
    """
    if type(p) is not np.ndarray or type(state) is not dict or "t" not in state:
        return None
    row = [p, g]
    for name, _ in slots:
        row.append(state.get(name))
    arrays = _ready(row, slots)
    return arrays if len(set(map(id, row))) == len(row) else None


def ready_leaves(p: Any, g: Any, state: Mapping[str, Any], slots: ArraySlots) -> list[dict[str, np.ndarray]] | None:
    """The same of each leaf of a tree.

    Args:
        p: a tree of parameters: dicts, lists and tuples.
        g: the gradients.
        state: the state.
        slots: the rule's slots.

    Returns:
        The arrays by name, one dict a leaf, if no array can overlap another of any leaf; None for all else, such as an array.
    """
    if type(state) is not dict or "t" not in state:
        return None
    rows, found, together = list[Sequence[Any]](), [], set[int]()
    if not _gather(rows, (p, g, *(state.get(name) for name, _ in slots)), 0):
        return None
    for row in rows:
        arrays = _ready(row, slots)
        if arrays is None:
            return None
        found.append(arrays)
        together.update(map(id, row))
    return found if len(together) == len(rows) * (2 + len(slots)) else None


def _gather(rows: list[Sequence[Any]], trees: Sequence[Any], depth: int) -> bool:
    """Add to rows what trees of one structure hold, place by place; False where they are not of one structure, or not plain."""
    kind = type(trees[0])
    if depth == DEEPEST or kind not in (dict, list, tuple):
        return False
    if kind is dict:
        keys = trees[0].keys()
        for tree in trees:
            if type(tree) is not dict or tree.keys() != keys:
                return False
        places: Iterable[Sequence[Any]] = [[tree[key] for tree in trees] for key in keys]
    else:
        length = len(trees[0])
        for tree in trees:
            if type(tree) not in (list, tuple) or len(tree) != length:
                return False
        places = zip(*trees, strict=True)
    for row in places:
        if type(row[0]) is np.ndarray:
            rows.append(row)
        elif not _gather(rows, row, depth + 1):
            return False
    return True


def _ready(row: Sequence[Any], slots: ArraySlots) -> dict[str, np.ndarray] | None:
    """A parameter, its gradient and its state by name, if these are arrays of one working dtype in memory of their own."""
    p, g = row[0], row[1]
    dtype, shape = p.dtype, p.shape
    if dtype not in WORKING or not p.flags.carray or p.base is not None:
        return None
    if not as_it_is(g, dtype, shape) or g.base is not None:
        return None
    arrays, place = {"p": p, "g": g}, 1
    for name, slot in slots:  # as `as_it_is`, without a call: there are several at each step of each parameter
        place += 1
        array = arrays[name] = row[place]
        if type(array) is not np.ndarray or (array.dtype is not dtype and array.dtype != dtype):
            return None
        if array.shape != (shape if slot is None else slot.shape(shape)):
            return None
        if not array.flags.carray or array.base is not None:
            return None
    return arrays
