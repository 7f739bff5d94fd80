"""Hypothesis strategies: numbers that arithmetic gets wrong, and problems for optimizers made of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from refgrad.arithmetic import dtypes
from refgrad.optimizers.base import Optimizer
from refgrad.oracle.inputs.cases import Cases
from refgrad.oracle.inputs.written import of_steps
from refgrad.rule import Extra

#: steps and elements of a generated problem
STEPS, ELEMENTS = 3, 6


def edges(dtype: Any) -> list[float]:
    """Both zeros, the ends of the normal and subnormal range, ones, their neighbours, and half."""
    facts = dtypes.format_of(dtype)
    above, below = 1.0 + 2 * facts.unit_roundoff, 1.0 - facts.unit_roundoff
    positive = [0.0, facts.smallest_subnormal, facts.smallest_normal, facts.largest, 1.0, above, below, 0.5, 2.0]
    return [sign * x for x in positive for sign in (1.0, -1.0)]


@lru_cache(maxsize=64)  # Hypothesis looks through each new strategy, here for every example
def numbers(dtype: Any = np.float32) -> st.SearchStrategy[float]:
    """Finite numbers of a format, as float64: its edges, ordinary ones, and all magnitudes alike."""
    facts = dtypes.format_of(dtype)
    low, high = int(np.log2(facts.smallest_subnormal)), int(np.log2(facts.largest))
    scaled = st.builds(lambda m, e: float(np.ldexp(m, e)), st.integers(-255, 255), st.integers(low, high - 8))
    return st.one_of(st.sampled_from(edges(dtype)), st.integers(-8, 8).map(lambda k: k / 4), scaled)


@lru_cache(maxsize=1)
def moderate() -> st.SearchStrategy[float]:
    """Numbers whose squares and their products are normal in every format: none is near an edge."""
    return st.builds(lambda m, e: float(np.ldexp(m, e)), st.integers(-255, 255), st.integers(-9, -5))


@lru_cache(maxsize=256)
def row_of(element: st.SearchStrategy[float], size: int) -> st.SearchStrategy[list[float]]:
    """So many numbers, each drawn from a strategy."""
    return st.lists(element, min_size=size, max_size=size)


@st.composite
def problems(
    draw: Any, dtype: Any = np.float32, element: Any = None, steps: int = STEPS, rule: Optimizer | None = None
) -> Cases:
    """A parameter, its gradients and a rule's extra inputs: one tensor of one axis; gradients repeat now and then."""
    element = numbers(dtype) if element is None else element
    size = draw(st.integers(1, ELEMENTS))
    row = row_of(element, size)
    p, grads = draw(row), [draw(row)]
    for _ in range(steps - 1):
        grads.append(draw(st.one_of(row, st.just(grads[-1]), st.just([0.0] * size))))
    array = lambda values: dtypes.round_to(np.asarray(values, np.float64), dtype).astype(dtype)  # noqa: E731
    wanted = {} if rule is None else rule.inputs()
    extras = [{n: _extra(draw, extra, row, element, array) for n, extra in wanted.items()} for _ in grads if wanted]
    return of_steps([array(p)], [[array(g)] for g in grads], [""], extras=extras)


def _extra(draw: Any, extra: Extra, row: Any, element: Any, array: Any) -> Any:
    """One step's extra input: a number that is not negative, or one an element."""
    if extra.scalar:
        return float(array([abs(draw(element))])[0])
    values = draw(row)
    if extra.bits:
        whole = [draw(st.integers(0, 2**extra.bits - 1)) for _ in values]
        return [np.asarray(whole, np.uint32)]
    return [array(values)]
