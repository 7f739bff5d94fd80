"""NumPy's functions as the body of a rule without a graph calls them, each rounded as its run says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import subgradients
from refgrad.arithmetic.shaped import axes_of, counted
from refgrad.strength.body_run import Run
from refgrad.strength.interpreter import ROUNDED
from refgrad.strength.rounding_styles import Array

#: what stands for real numbers
REAL = np.longdouble


def _sum(run: Run, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    return run.total(x, axes_of(x, axis), keepdims)


def _mean(run: Run, x: Array, axis: Any = None, keepdims: bool = False) -> Array:
    return run.quotient(_sum(run, x, axis, keepdims), np.asarray(float(counted(x, axis))))


def _variance(run: Run, x: Array, axis: Any = None, ddof: int = 0, keepdims: bool = False) -> Array:
    centred = run.round(x - _mean(run, x, axis, True))
    squares = _sum(run, run.round(centred * centred), axis, keepdims)
    return run.quotient(squares, np.asarray(float(counted(x, axis) - ddof)))


def _einsum(run: Run, *operands: Array, spec: str) -> Array:
    """Rounded products of the operands in turn, added in a random order."""
    taken, _, given = spec.partition("->")
    axes = sorted(set(taken) - {","})
    kept = [axis for axis in axes if axis in given] + [axis for axis in axes if axis not in given]
    product = np.ones((), run.dtype)
    for names, x in zip(taken.split(","), operands, strict=True):
        own = np.einsum(f"{names}->{''.join(a for a in kept if a in names)}", x)
        own = np.expand_dims(own, tuple(i for i, axis in enumerate(kept) if axis not in names))
        product = run.round(product * own)
    lengths = {
        a: n for names, x in zip(taken.split(","), operands, strict=True) for a, n in zip(names, x.shape, strict=True)
    }
    product = np.broadcast_to(product, [lengths[axis] for axis in kept])
    folded = tuple(i for i, axis in enumerate(kept) if axis not in given)
    total = run.total(product, folded) if folded else product
    return np.einsum(f"{''.join(a for a in kept if a in given)}->{given}", total)


def _cumulated(run: Run, x: Array, axis: int = -1) -> Array:
    """Sums of the first elements, one after the other."""
    last = np.moveaxis(x, axis, -1)
    sums = np.empty_like(last)
    for i in range(last.shape[-1]):
        sums[..., i] = last[..., i] if i == 0 else run.round(sums[..., i - 1] + last[..., i])
    return np.moveaxis(sums, -1, axis)


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


def _cholesky(run: Run, a: Array) -> Array:
    """The lower triangle of a positive definite matrix: by LAPACK in float32, or a column after the other."""
    if run.rounding is None:
        return np.linalg.cholesky(a.astype(np.float64)).astype(REAL)
    if a.ndim > 2 or run.random.integers(2):
        return np.linalg.cholesky(a.astype(np.float32)).astype(np.float64)
    lower = np.zeros_like(a)
    for j in range(len(a)):
        left = a[j:, j]
        for k in range(j):
            left = run.round(left - run.round(lower[j:, k] * lower[j, k]))
        lower[j, j] = run.round(np.sqrt(left[0]))
        lower[j + 1 :, j] = run.round(left[1:] / lower[j, j])
    return lower


def special(name: str) -> Callable[..., Any]:
    """A function of SciPy's, which is loaded when it is first called; it knows float64 alone."""

    def call(x: Array) -> Array:
        import scipy.special

        return np.asarray(getattr(scipy.special, name)(np.asarray(x, np.float64)), x.dtype)

    return call


def _rounded(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda run, *args: run.round(function(*args))


def _exact(function: Callable[..., Any]) -> Callable[..., Array]:
    return lambda run, *args, **how: np.asarray(function(*args, **how))


#: an operation's name -> a function of the run and of float64 arrays that hold float32 numbers
OPERATIONS: Mapping[str, Callable[..., Array]] = {
    **{name: _rounded(function) for name, function in ROUNDED.items()},
    **{name: _rounded(getattr(np, name)) for name in ("log1p", "expm1", "square", "exp2", "log2", "arctan", "arctan2")},
    **{name: _rounded(getattr(np, name)) for name in ("sinh", "cosh")},
    **{name: _rounded(special(name)) for name in ("erf", "expit")},
    **{name: _exact(getattr(np, name)) for name in ("maximum", "minimum", "fmin", "sign", "where", "percentile")},
    **{name: _exact(getattr(np, name)) for name in ("argsort", "clip", "max", "min", "abs", "rint", "floor", "ceil")},
    "neg": _exact(np.negative),
    "argmax": _exact(np.argmax),
    "argmin": _exact(np.argmin),
    **{f.__name__: _exact(f) for f in (subgradients.between, subgradients.largest_shares)},
    **{f.__name__: _exact(f) for f in (subgradients.unsorted, subgradients.resorted)},
    "sum": _sum,
    "mean": _mean,
    "var": _variance,
    "matmul": lambda run, a, b: run.product(a, b),
    "solve": _solve,
    "cholesky": _cholesky,
    "einsum": _einsum,
    "cumsum": _cumulated,
    "sort": _exact(np.sort),
}
