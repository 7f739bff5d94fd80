"""The smallest case that still fails: one element, numbers with few bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from refgrad.errors import ArgumentError
from refgrad.estimators.base import Estimator
from refgrad.oracle.engine.shrink import least
from refgrad.oracle.engine.verdict import Finding
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.shrink import simpler

Fails = Callable[[Cases], bool]


def shrink(cases: Cases, first: Finding, rule: Estimator, fails: Fails, seconds: float = 3.0) -> Cases:
    """One case that fails, no larger than the one that was found: greedy, and within a time."""
    best = Cases([cases.arrays[first.step - 1]], [cases.name(first.step - 1)])
    return least(best, lambda larger: _smaller(larger, first.index, rule), fails, seconds)


def _smaller(case: Cases, index: tuple[int, ...], rule: Estimator) -> Iterator[Cases]:
    arrays, levels = dict(case.arrays[0]), rule.takes()
    x = arrays["x"]
    if x.size > 1:
        if len(index) == x.ndim:
            yield _cut(arrays, levels, tuple(slice(i, i + 1) for i in index))
        for axis, length in enumerate(x.shape):
            if length > 1:
                for cut in (slice(0, length // 2), slice(length // 2, length)):
                    yield _cut(arrays, levels, (slice(None),) * axis + (cut,))
        return
    for name, array in arrays.items():
        for simple in simpler(array):
            if _is_legal({**arrays, name: simple}, rule):
                yield Cases([{**arrays, name: simple}], [""])


def _is_legal(arrays: dict[str, np.ndarray], rule: Estimator) -> bool:
    """Whether the rule takes these arrays: a scale of zero is simple, but no scale."""
    try:
        rule.prepared(arrays)
    except ArgumentError:
        return False
    return True


def _cut(arrays: dict[str, np.ndarray], levels: dict[str, str], at: tuple[slice, ...]) -> Cases:
    """Part of every array; of one number a row only the rows are cut, of the tensor's nothing."""
    parts = {"element": at, "row": at[:1], "column": (slice(None), *at[1:]), "tensor": ()}
    # a table has a shape of its own
    return Cases([{n: a[parts[levels.get(n, "tensor")]].copy() for n, a in arrays.items()}], [""])
