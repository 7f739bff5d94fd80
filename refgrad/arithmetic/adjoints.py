"""The derivative of each operation: what its operands receive of the gradient that reaches its value.

Each is written in NumPy's vocabulary, so that it runs on whatever the operation ran on: floats, values with a bound (of which
gradients have acceptance sets), arrays that round at random, or values that are recorded in turn, for a second derivative.
``upstream`` is the gradient that reaches the operation, ``value`` what it gave, and the others its operands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic.shaped import Shaped, axes_of
from refgrad.arithmetic.subgradients import between, largest_shares, unsorted

Adjoint = Callable[..., Any]


def _exceeding(upstream: Any, one: Any, other: Any) -> Any:
    """What the greater of two receives: all, nothing, or anything between at a tie."""
    return np.where(one > other, upstream, np.where(other > one, 0.0, between(0.0, upstream)))


def _of_magnitude(upstream: Any, value: Any, x: Any) -> Any:
    return np.where(x > 0.0, upstream, np.where(x < 0.0, -upstream, between(-upstream, upstream)))


def _of_power(exponent: float) -> tuple[Adjoint, ...]:
    if exponent == 0.0:
        return (lambda upstream, value, x, power: upstream * 0.0,)
    if exponent == 1.0:
        return (lambda upstream, value, x, power: upstream,)
    return (lambda upstream, value, x, power: upstream * (exponent * x ** (exponent - 1.0)),)


def shape_of(x: Any) -> tuple[int, ...]:
    """The shape of an array, of what stands for one, or of a number; no operation of the body."""
    return tuple(x.shape) if hasattr(x, "shape") else ()


#: an operation on elements -> what each of its operands receives, before axes that were broadcast are added up
ELEMENTWISE: Mapping[str, tuple[Adjoint, ...]] = {
    "add": (lambda upstream, value, a, b: upstream, lambda upstream, value, a, b: upstream),
    "sub": (lambda upstream, value, a, b: upstream, lambda upstream, value, a, b: -upstream),
    "mul": (lambda upstream, value, a, b: upstream * b, lambda upstream, value, a, b: upstream * a),
    "div": (lambda upstream, value, a, b: upstream / b, lambda upstream, value, a, b: -(upstream * value / b)),
    "neg": (lambda upstream, value, x: -upstream,),
    "abs": (_of_magnitude,),
    "square": (lambda upstream, value, x: 2.0 * (upstream * x),),
    "sqrt": (lambda upstream, value, x: upstream / (2.0 * value),),
    "exp": (lambda upstream, value, x: upstream * value,),
    "expm1": (lambda upstream, value, x: upstream * (value + 1.0),),
    "log": (lambda upstream, value, x: upstream / x,),
    "log1p": (lambda upstream, value, x: upstream / (1.0 + x),),
    "exp2": (lambda upstream, value, x: upstream * (value * math.log(2.0)),),
    "log2": (lambda upstream, value, x: upstream / (x * math.log(2.0)),),
    "arctan": (lambda upstream, value, x: upstream / (1.0 + x * x),),
    "arctan2": (
        lambda upstream, value, y, x: upstream * (x / (x * x + y * y)),
        lambda upstream, value, y, x: -(upstream * (y / (x * x + y * y))),
    ),
    "sinh": (lambda upstream, value, x: upstream * np.cosh(x),),
    "cosh": (lambda upstream, value, x: upstream * np.sinh(x),),
    "tanh": (lambda upstream, value, x: upstream * (1.0 - value * value),),
    "sin": (lambda upstream, value, x: upstream * np.cos(x),),
    "cos": (lambda upstream, value, x: -(upstream * np.sin(x)),),
    "erf": (lambda upstream, value, x: upstream * (2.0 / math.sqrt(math.pi) * np.exp(-(x * x))),),
    "expit": (lambda upstream, value, x: upstream * (value * (1.0 - value)),),
    "maximum": (
        lambda upstream, value, a, b: _exceeding(upstream, a, b),
        lambda upstream, value, a, b: _exceeding(upstream, b, a),
    ),
    "minimum": (
        lambda upstream, value, a, b: _exceeding(upstream, b, a),
        lambda upstream, value, a, b: _exceeding(upstream, a, b),
    ),
    "where": (
        lambda upstream, value, condition, a, b: upstream * 0.0,
        lambda upstream, value, condition, a, b: np.where(condition, upstream, 0.0),
        lambda upstream, value, condition, a, b: np.where(condition, 0.0, upstream),
    ),
}
#: operations whose value is the same nearly everywhere, so that nothing is received: decisions, and orders
CONSTANT = frozenset({"lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not", "xor", "sign"})
CONSTANT |= {"rint", "floor", "ceil"}
CONSTANT |= {"logical_and", "logical_or", "logical_xor", "logical_not", "isnan", "isfinite", "isinf"}


def adjoints_of(op: str, operands: Sequence[Any]) -> tuple[Adjoint, ...] | None:
    """What the operands of an operation on elements receive; None if that is not known.

    Args:
        op: the operation's name.
        operands: the operands; of a power, the second is a number.
    """
    return _of_power(float(operands[1])) if op == "power" else ELEMENTWISE.get(op)


def unbroadcast(upstream: Any, shape: tuple[int, ...]) -> Any:
    """A gradient added up along the axes along which an operand was broadcast.

    Args:
        upstream: of the shape that the operand was broadcast to.
        shape: the operand's.
    """
    more = len(shape_of(upstream)) - len(shape)
    longer = [i + more for i, n in enumerate(shape) if n == 1 and shape_of(upstream)[i + more] != 1]
    if more or longer:
        upstream = np.sum(upstream, axis=(*range(more), *longer), keepdims=True)
        upstream = np.reshape(upstream, shape)
    return upstream


def gathered(upstream: Any, sources: np.ndarray, shape: tuple[int, ...], key: Any = None) -> Any:
    """The gradient of an array whose numbers were moved: each gets what came of it, added up where it was taken repeatedly.

    Args:
        upstream: the gradient of the moved numbers.
        sources: for each of these, the place in the array that it was taken from; -1 for a number that is not the array's.
        shape: the array's.
        key: the index by which they were taken; None where it was no index.
    """
    size = math.prod(shape)
    for turned in (False, True) if sources.size == size else ():  # all of them, in their order or transposed
        if np.array_equal((sources.T if turned else sources).ravel(), np.arange(size)):
            return np.reshape(np.transpose(upstream) if turned else upstream, shape)
    read = upstream.gathered(sources, shape, key) if isinstance(upstream, Shaped) else None
    if read is not None:
        return read
    flat = np.reshape(upstream, (-1,))
    places, taken = np.flatnonzero(sources.ravel() >= 0), sources.ravel()
    taken = taken[places]
    counts = np.bincount(taken, minlength=size)
    most = int(counts.max(initial=0))
    if most == 0:
        return np.zeros(shape)
    order = np.argsort(taken, kind="stable")
    first = np.cumsum(counts) - counts
    table = np.full((size, most), sources.size)
    table[taken[order], np.arange(len(order)) - first[taken[order]]] = places[order]
    if np.any(counts < most):
        flat = np.concatenate([flat, np.zeros_like(flat[:1])])
    if most == 1:
        return np.reshape(flat[table[:, 0]], shape)
    return np.reshape(np.sum(flat[table], axis=-1), shape)


def spread(upstream: Any, shape: tuple[int, ...], axes: tuple[int, ...]) -> Any:
    """The gradient of what was folded along axes, for each term of the fold.

    Args:
        upstream: the gradient of the folds, with those axes or without.
        shape: that of the terms.
        axes: the axes that were folded.
    """
    kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
    return np.broadcast_to(np.reshape(upstream, kept), shape)


def of_largest(upstream: Any, x: Any, axis: Any) -> Any:
    """What each number receives of the gradient of the largest along axes; at a tie, any shares of it."""
    axes = axes_of(x, axis)
    return largest_shares(x, axis=axes) * spread(upstream, x.shape, axes)


def of_cumsum(upstream: Any, axis: int) -> Any:
    """What each number receives of the gradients of the sums that it is in."""
    return np.flip(np.cumsum(np.flip(upstream, axis), axis=axis), axis)


def of_sort(upstream: Any, x: Any, axis: int) -> Any:
    """What each number receives of the gradients of numbers in rising order; at a tie, any of theirs."""
    return unsorted(x, upstream, axis=axis)


def of_einsum(upstream: Any, operands: Sequence[Any], spec: str, which: int) -> Any:
    """What one factor of a sum of products receives.

    Args:
        upstream: the gradient of the sums.
        operands: the factors.
        spec: which axes meet and which are folded, such as ``"id,jd->ij"``.
        which: the factor that is asked for.
    """
    taken, _, given = spec.partition("->")
    names = taken.split(",")
    others = [i for i in range(len(operands)) if i != which]
    known = given + "".join(names[i] for i in others)
    alone = [axis for axis in names[which] if axis not in known]  # added up by itself: every term receives the same
    lengths = dict(zip(names[which], shape_of(operands[which]), strict=True))
    kept = "".join(axis for axis in names[which] if axis not in alone)
    found = np.einsum(
        ",".join([given, *(names[i] for i in others)]) + f"->{kept}", upstream, *(operands[i] for i in others)
    )
    if alone:
        found = np.reshape(found, tuple(1 if axis in alone else lengths[axis] for axis in names[which]))
        found = np.broadcast_to(found, tuple(lengths[axis] for axis in names[which]))
    return found


def of_matmul(upstream: Any, a: Any, b: Any, which: int) -> Any:
    """What one factor of a product of matrices, or with vectors, receives."""
    left = np.reshape(a, (1, -1)) if len(shape_of(a)) == 1 else a
    right = np.reshape(b, (-1, 1)) if len(shape_of(b)) == 1 else b
    shape = shape_of(upstream)
    if len(shape_of(a)) == 1:
        shape = (*shape[: len(shape) - (len(shape_of(b)) > 1)], 1, *shape[len(shape) - (len(shape_of(b)) > 1) :])
    if len(shape_of(b)) == 1:
        shape = (*shape, 1)
    upstream = np.reshape(upstream, shape)
    if which == 0:
        found, own = upstream @ np.swapaxes(right, -1, -2), left
    else:
        found, own = np.swapaxes(left, -1, -2) @ upstream, right
    return np.reshape(unbroadcast(found, shape_of(own)), shape_of((a, b)[which]))


def of_solve(upstream: Any, a: Any, solution: Any, which: int) -> Any:
    """What the matrix of a system, or its right side, receives."""
    back = np.linalg.solve(np.swapaxes(a, -1, -2), upstream)
    return back if which else -np.reshape(back, (*shape_of(back), 1)) * np.reshape(solution, (1, *shape_of(solution)))


def of_cholesky(upstream: Any, a: Any, lower: Any) -> Any:
    """What a symmetric matrix receives of its lower triangle L: L^-T S L^-1, with S of L^T and what L receives.

    S is symmetric: its lower triangle is that of the product, with half of the diagonal, and half of all that. L^-T is A^-1 L,
    the solution of a positive definite system.
    """
    product = np.swapaxes(lower, -1, -2) @ upstream
    below = np.tril(product) - 0.5 * np.eye(shape_of(a)[-1]) * product
    inverse = np.linalg.solve(a, lower)
    return inverse @ (0.5 * (below + np.swapaxes(below, -1, -2))) @ np.swapaxes(inverse, -1, -2)
