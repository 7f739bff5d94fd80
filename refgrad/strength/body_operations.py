"""NumPy's functions as the body of a rule without a graph calls them, each rounded as its run says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refgrad.strength.body_run import Run
from refgrad.strength.interpreter import ROUNDED
from refgrad.strength.rounding_styles import Array

#: what stands for real numbers
REAL = np.longdouble


def _axes(x: Array, axis: Any) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(x.ndim))
    return tuple(a % x.ndim for a in ((axis,) if isinstance(axis, int) else axis))


def _sum(run: Run, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    return run.total(x, _axes(x, axis), keepdims)


def _mean(run: Run, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    count = int(np.prod([x.shape[a] for a in _axes(x, axis)]))
    return run.quotient(_sum(run, x, axis, keepdims), np.asarray(float(count)))


def _variance(run: Run, x: Array, axis: Any = None, ddof: int = 0) -> Array:
    centred = run.round(x - _mean(run, x, axis, True))
    count = int(np.prod([x.shape[a] for a in _axes(x, axis)])) - ddof
    return run.quotient(_sum(run, run.round(centred * centred), axis), np.asarray(float(count)))


def _solve(run: Run, a: Array, b: Array) -> Array:
    """A symmetric positive definite system by elimination, the inverse, or a factorization."""
    if run.rounding is None:
        return np.linalg.solve(a.astype(np.float64), b.astype(np.float64)).astype(REAL)
    a, b, way = a.astype(np.float32), b.astype(np.float32), int(run.random.integers(3))
    if way == 0:
        return np.linalg.solve(a, b).astype(np.float64)
    if way == 1:
        return (np.linalg.inv(a) @ b).astype(np.float64)
    try:
        lower = np.linalg.cholesky(a)
    except np.linalg.LinAlgError:  # so near to singular that rounding decides
        return np.linalg.solve(a, b).astype(np.float64)
    return np.linalg.solve(lower.T, np.linalg.solve(lower, b)).astype(np.float64)


def _rounded(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda run, *args: run.round(function(*args))


def _exact(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda run, *args, **how: np.asarray(function(*args, **how))


#: an operation's name -> a function of the run and of float64 arrays that hold float32 numbers
OPERATIONS: Mapping[str, Callable[..., Array]] = {
    **{name: _rounded(function) for name, function in ROUNDED.items()},
    **{name: _rounded(getattr(np, name)) for name in ("log1p", "square")},
    **{name: _exact(getattr(np, name)) for name in ("maximum", "minimum", "fmin", "sign", "where", "percentile")},
    **{name: _exact(getattr(np, name)) for name in ("argsort", "clip", "max", "min", "abs")},
    "neg": _exact(np.negative),
    "sum": _sum,
    "mean": _mean,
    "var": _variance,
    "matmul": lambda run, a, b: run.product(a, b),
    "solve": _solve,
}
