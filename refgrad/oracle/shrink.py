"""The smallest input that still fails: one element, few steps, numbers with few bits."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from refgrad.oracle.inputs import Inputs

Fails = Callable[[Inputs], bool]


def shrink(inputs: Inputs, leaf: int, step: int, index: tuple[int, ...], fails: Fails, seconds: float = 3.0) -> Inputs:
    """Inputs that fail, no larger than those given: greedy, and within a time."""
    deadline = time.monotonic() + seconds
    best = Inputs([inputs.p[leaf]], [[g[leaf]] for g in inputs.g[: max(step, 1)]], [inputs.name(leaf)])
    if not fails(best):
        return Inputs(inputs.p, inputs.g[: max(step, 1)], inputs.names)
    changed = True
    while changed and time.monotonic() < deadline:
        changed = False
        for smaller in _smaller(best, index):
            if time.monotonic() > deadline:
                break
            if fails(smaller):
                best, changed = smaller, True
                break
    return best


def _smaller(inputs: Inputs, index: tuple[int, ...]) -> Iterator[Inputs]:
    p, grads = inputs.p[0], [g[0] for g in inputs.g]
    if p.size > 1:
        if len(index) == p.ndim and all(i < n for i, n in zip(index, p.shape, strict=True)):
            yield _inputs(p[index].reshape((1,) * p.ndim), [g[index].reshape((1,) * p.ndim) for g in grads])
        for axis, length in enumerate(p.shape):
            if length > 1:
                for cut in (slice(0, length // 2), slice(length // 2, length)):
                    at = (slice(None),) * axis + (cut,)
                    yield _inputs(p[at], [g[at] for g in grads])
        return
    for drop in range(len(grads)):
        if len(grads) > 1:
            yield _inputs(p, grads[:drop] + grads[drop + 1 :])
    arrays = [p, *grads]
    for position, array in enumerate(arrays):
        for simple in simpler(array):
            yield _inputs(*_split([*arrays[:position], simple, *arrays[position + 1 :]]))


def _split(arrays: list[np.ndarray]) -> tuple[np.ndarray, list[np.ndarray]]:
    return arrays[0], arrays[1:]


def _inputs(p: np.ndarray, grads: list[np.ndarray]) -> Inputs:
    return Inputs([p.copy()], [[g.copy()] for g in grads], [""])


def simpler(array: np.ndarray) -> Iterator[np.ndarray]:
    """The value as 0, 1 or -1, or with its mantissa cut to 1, 2, 4 or 8 bits; only what is simpler than it is."""
    value = float(array.reshape(-1)[0])
    if value in (0.0, 1.0) or not np.isfinite(value):
        return
    mantissa, exponent = np.frexp(value)
    shorter = [float(np.ldexp(np.rint(mantissa * 2.0**bits) / 2.0**bits, exponent)) for bits in (1, 2, 4, 8)]
    for candidate in [0.0, 1.0, *([-1.0] if value < 0 else []), *shorter]:
        if candidate == value:
            return
        yield np.full(array.shape, candidate).astype(array.dtype)
