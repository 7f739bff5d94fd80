"""Hypothesis strategies: the arrays of one case of a rule without state."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from refgrad.arithmetic import dtypes
from refgrad.axes import Axes, axes_shape, broadcasts
from refgrad.errors import ArgumentError
from refgrad.estimators.base import Estimator
from refgrad.kinds.table import kind_of
from refgrad.oracle.inputs import masks
from refgrad.quantizers.base import Quantizer
from refgrad.rule import Range
from refgrad.sparsity.base import Mask
from refgrad.testing.strategies import moderate, numbers, row_of

#: numbers that parameters are drawn from, as far as they are legal
PARAMETERS = (0.25, 0.5, 0.3, 1.0, 2.0, 0.75)
ROWS, ELEMENTS = 2, 6
#: what the lengths of rows are multiples of, the first that an estimator takes
STEPS = (1, 4, 8)
#: cases that are generated, of which one is drawn
GENERATED = 12
#: shapes that an array of a few numbers is repeated to fill, the first that a quantizer takes
SHAPES = ((2, 6), (2, 32), (2, 256), (16, 256))


def _array(values: Any, dtype: np.dtype) -> np.ndarray:
    return dtypes.round_to(np.asarray(values, np.float64), dtype).astype(dtype)


def undrawable(rule: Any) -> str:
    """Why no arrays can be drawn for a rule; empty if they can."""
    if not isinstance(rule, Estimator):
        return ""
    known = set(rule.takes()) == {"x", "cotangent", *rule.parameters} and all(
        map(broadcasts, rule.parameter_axes().values())
    )
    return "" if known else "it takes arrays that are not drawn"


def strategy_of(rule: Any, dtype: np.dtype, tame: bool) -> Any:
    """What one case of a rule is drawn from; with ``tame``, numbers away from the edges of the format."""
    return STRATEGIES.get(rule.kind, generated)(rule, dtype, tame)


@st.composite
def generated(draw: Any, rule: Any, dtype: np.dtype, tame: bool) -> dict[str, np.ndarray]:
    """A case that `refgrad.verify` generates, of ordinary numbers where these are to be tame."""
    cases = kind_of(rule).generate(rule, GENERATED, dtype, draw(st.integers(0, 2**16)))
    named = [i for i in range(len(cases.arrays)) if not tame or cases.name(i).startswith("normal")]
    return dict(cases.arrays[draw(st.sampled_from(named or [0]))])


@st.composite
def estimates(draw: Any, rule: Estimator, dtype: np.dtype, tame: bool) -> dict[str, np.ndarray]:
    """``x``, a cotangent and legal parameters."""
    element = moderate() if tame else numbers(dtype)
    shape = (draw(st.integers(1, ROWS)), draw(st.integers(1, ELEMENTS)) * step_of(rule, dtype))
    size = shape[0] * shape[1]
    x = draw(row_of(_or_quarters(element), size))
    cotangent = draw(row_of(moderate(), size))
    arrays = {"x": _array(x, dtype).reshape(shape), "cotangent": _array(cotangent, dtype).reshape(shape)}
    for name, axes in _drawn(rule).items():
        legal = rule.parameters[name].legal
        wanted = axes_shape(axes, shape)
        count = int(np.prod(wanted))
        drawn = draw(st.lists(st.sampled_from(_legal(legal)), min_size=count, max_size=count))
        arrays[name] = _array(drawn, dtype).reshape(wanted)
    arrays |= _tables(rule, shape, dtype)
    return rule.prepared(arrays) if rule.chosen else arrays


def _drawn(rule: Estimator) -> dict[str, Axes]:
    """The axes of the parameters; choices are made, not drawn."""
    return {n: axes for n, axes in rule.parameter_axes().items() if n not in rule.chosen}


def _tables(rule: Estimator, shape: tuple[int, ...], dtype: np.dtype) -> dict[str, np.ndarray]:
    return {name: _array(np.eye(3, shape[1]), dtype) for name in rule.tables}


@lru_cache(maxsize=1024)
def step_of(rule: Estimator, dtype: np.dtype) -> int:
    """What the length of a row has to be a multiple of; not all rules take any."""
    parameters = {n: _legal(rule.parameters[n].legal)[0] for n in rule.parameters}
    for step in STEPS:
        x = np.ones((1, step), dtype)
        arrays: dict[str, Any] = {
            n: np.full(axes_shape(axes, x.shape), parameters[n], dtype) for n, axes in _drawn(rule).items()
        }
        arrays |= _tables(rule, x.shape, dtype)
        try:
            rule.evaluate(x, backend="numpy", **arrays)
        except ArgumentError:
            continue
        return step
    return STEPS[-1]


def _legal(legal: Range) -> list[float]:
    found = [value for value in PARAMETERS if value in legal]
    return found or [(max(legal.low, -1e3) + min(legal.high, 1e3)) / 2]


@lru_cache(maxsize=64)
def _or_quarters(element: st.SearchStrategy[float]) -> st.SearchStrategy[float]:
    """Numbers of a strategy, and small multiples of a quarter, at which decisions fall."""
    return element | st.integers(-6, 6).map(lambda k: k / 4)


@lru_cache(maxsize=64)
def _far_from_overflow(dtype: np.dtype) -> st.SearchStrategy[float]:
    return numbers(dtype).filter(lambda v: abs(v) <= dtypes.format_of(dtype).largest / 8)


@st.composite
def quantized(draw: Any, rule: Quantizer, dtype: np.dtype, tame: bool) -> dict[str, np.ndarray]:
    """An array that repeats a few numbers, in the smallest shape that the rule takes."""
    element = moderate() if tame else _far_from_overflow(dtype)
    values = draw(st.lists(element, min_size=1, max_size=2 * ELEMENTS))
    x = _array(values, dtype)
    x = np.abs(x) if rule.nonnegative else x
    return {"x": np.resize(x, shape_of(rule, dtype))}


@lru_cache(maxsize=1024)
def shape_of(rule: Quantizer, dtype: np.dtype) -> tuple[int, ...]:
    """The smallest of some shapes that a rule takes."""
    for shape in SHAPES:
        try:
            rule.quantize(np.ones(shape, dtype))
        except ArgumentError:
            continue
        return shape
    return SHAPES[-1]


@st.composite
def masked(draw: Any, rule: Mask, dtype: np.dtype, tame: bool) -> dict[str, np.ndarray]:
    """What a mask is made from, of a family that `refgrad.verify` generates; ordinary numbers where these are to be tame."""
    family = draw(
        st.just("normal") if tame else st.sampled_from(sorted(n for n in masks.families(rule) if "infinities" not in n))
    )
    made = masks.generate(rule, dtype, draw(st.integers(0, 2**16)))
    return dict(made.arrays[list(made.names).index(family)])


STRATEGIES: Mapping[str, Any] = {"estimator": estimates, "quantizer": quantized, "mask": masked}
