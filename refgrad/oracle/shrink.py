"""The smallest input that still fails: one element, few steps, numbers with few bits."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np

from refgrad.oracle.engine.shrink import least
from refgrad.oracle.inputs.steps import Inputs

Fails = Callable[[Inputs], bool]


def shrink(inputs: Inputs, leaf: int, step: int, index: tuple[int, ...], fails: Fails, seconds: float = 3.0) -> Inputs:
    """Inputs that fail, no larger than those given: greedy, and within a time."""
    deadline = time.monotonic() + seconds
    some = inputs.steps(slice(0, max(step, 1)))
    best = some.mapped(lambda a: a, slice(leaf, leaf + 1))
    if not fails(best):
        return some
    return least(best, lambda larger: _smaller(larger, index), fails, deadline - time.monotonic())


def _smaller(inputs: Inputs, index: tuple[int, ...]) -> Iterator[Inputs]:
    p = inputs.p[0]
    if p.size > 1:
        if len(index) == p.ndim and all(i < n for i, n in zip(index, p.shape, strict=True)):
            yield inputs.mapped(lambda a: a[index].reshape((1,) * p.ndim).copy())
        for axis, length in enumerate(p.shape):
            if length > 1:
                for cut in (slice(0, length // 2), slice(length // 2, length)):
                    at = (slice(None),) * axis + (cut,)
                    yield inputs.mapped(lambda a, at=at: a[at].copy())  # type: ignore[misc]
        return
    steps = range(len(inputs.g))
    if len(steps) > 1:
        for drop in steps:
            yield inputs.steps([t for t in steps if t != drop])
    for simple in simpler(p):
        yield dataclasses.replace(inputs, p=[simple])
    for t in steps:
        for simple in simpler(inputs.g[t][0]):
            yield dataclasses.replace(inputs, g=[*inputs.g[:t], [simple], *inputs.g[t + 1 :]])
        for name, value in inputs.given(t + 1).items():
            for simple in simpler(np.asarray(value)):
                new = float(simple) if isinstance(value, float | int) else [simple[0]]
                extras = [*inputs.extras[:t], {**inputs.given(t + 1), name: new}, *inputs.extras[t + 1 :]]
                yield dataclasses.replace(inputs, extras=extras)


def simpler(array: np.ndarray) -> Iterator[np.ndarray]:
    """The value as 0, 1 or -1, or with its mantissa cut to 1, 2, 4 or 8 bits; only what is simpler than it is."""
    value = float(array.reshape(-1)[0])
    if value in (0.0, 1.0) or not np.isfinite(value):
        return
    if array.dtype.kind == "u":
        yield from (np.full(array.shape, n, array.dtype) for n in (0, 1))
        return
    mantissa, exponent = np.frexp(value)
    shorter = [float(np.ldexp(np.rint(mantissa * 2.0**bits) / 2.0**bits, exponent)) for bits in (1, 2, 4, 8)]
    for candidate in [0.0, 1.0, *([-1.0] if value < 0 else []), *shorter]:
        if candidate == value:
            return
        yield np.full(array.shape, candidate).astype(array.dtype)
