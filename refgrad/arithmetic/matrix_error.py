"""Bounds on operations on matrices: derived, as in `running_error`, but with norms where magnitudes would say nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refgrad.arithmetic.matrices import transposed
from refgrad.arithmetic.matrix_bounds import as_stacked, flipped, norm_of, of_products, product, unusual
from refgrad.arithmetic.running_error import OWN, Array, Bounded, Model, settle
from refgrad.projections import on_left


def of_subspace(
    given: Sequence[Bounded], rule: tuple[int, str], seen: Bounded | None, model: Model, batch: int
) -> Bounded:
    """A basis of a subspace of the rows or the columns of a matrix; ``seen`` is what was observed of it."""
    rows, columns = given[0].value.shape[-2:]
    kept = None if seen is None else as_stacked(seen, batch)
    x = given[0] if on_left((rows, columns), rule[1]) else flipped(given[0])
    return subspace(x, min(rule[0], rows, columns), kept, model)


def of_projection(given: Sequence[Bounded], side: str, seen: Bounded | None, model: Model, batch: int) -> Bounded:
    """A matrix seen in a basis."""
    x, basis = given
    left = on_left(x.value.shape[-2:], side)
    return _multiplied(*((flipped(basis), x) if left else (x, basis)), model)


def of_lift(given: Sequence[Bounded], side: str, seen: Bounded | None, model: Model, batch: int) -> Bounded:
    """What is seen in a basis, as a matrix again."""
    x, basis, like = given
    left = on_left(like.value.shape[-2:], side)
    return _multiplied(*((basis, x) if left else (x, flipped(basis))), model)


def _multiplied(first: Bounded, second: Bounded, model: Model) -> Bounded:
    return product(first, second, (*first.value.shape[:-1], second.value.shape[-1]), model)


#: how far a backward stable decomposition may be from an exact one of a matrix nearby, in units in the last place times the
#: size of the matrix: the test ratios that LAPACK's own test programs let pass (TESTING/sep.in, svd.in and dtest.in)
EIGEN, SINGULAR, FACTOR = 60.0, 35.0, 30.0


def gram(x: Bounded, side: str, model: Model, batch: int) -> Bounded:
    """X X^T or X^T X: a square of an element is one of a number with an error, and not negative."""
    a = as_stacked(x, batch)
    b = flipped(a)
    first, second = (a, b) if side == "left" else (b, a)
    rows = first.value.shape[-2]
    return product(first, second, (*first.value.shape[:batch], rows, rows), model)


def matmul(a: Bounded, b: Bounded, flips: tuple[bool, bool], model: Model, batch: int) -> Bounded:
    """`matrices.matmul` on values with a bound."""
    ends = [m.value.shape for m in (a, b) if m.value.ndim != batch + 2]
    first, second = as_stacked(a, batch), as_stacked(b, batch)
    first, second = flipped(first) if flips[0] else first, flipped(second) if flips[1] else second
    natural = (*first.value.shape[:-1], second.value.shape[-1])
    return product(first, second, ends[0] if ends else natural, model)


def inverse_root(s: Bounded, order: int, model: Model) -> Bounded:
    """S^(-1/order) by a backward stable decomposition: that of a matrix nearby, put together again.

    A deviation of norm d of S is one of L d of the root, L being the largest divided difference of x^(-1/order) between
    eigenvalues, each up to d off. Nothing can be said where one may be zero.
    """
    if not (np.isfinite(s.value).all() and np.isfinite(s.bound()).all()) or not s.value.size:
        return unusual(s.value, s.value.shape)
    symmetric = (s.value + transposed(s.value)) / 2
    values, vectors = np.linalg.eigh(symmetric)
    size = values.shape[-1]
    largest = np.max(np.abs(values), axis=-1)[..., None, None]
    near = EIGEN * size * (2 * model.unit_roundoff + OWN) * largest
    # which half of a matrix that is not quite symmetric is read is left open
    off = near + norm_of(s.bound()) + norm_of(s.value - transposed(s.value))
    least = values[..., 0][..., None, None] - off
    low, roots = np.maximum(values[..., None, :] - off, 0.0), np.power(values, -1.0 / order)[..., None, :]
    value = np.matmul(vectors * roots, transposed(vectors))
    # |f[s, t]| for a convex falling f is largest at the lower ends, and no larger than |f'| at the smaller of them
    slope = np.power(np.min(low, axis=-1, keepdims=True), -1.0 / order - 1.0) / order
    gathered_ = np.matmul(
        np.abs(vectors) * np.power(np.where(low > 0, low, 1.0), -1.0 / order), transposed(np.abs(vectors))
    )
    # the function itself, the product, and vectors that are orthonormal to so many units
    together = (of_products(size, 0.0, model) + 8 * model.unit_roundoff + 4 * model.charge) * gathered_
    loose = EIGEN * size * (2 * model.unit_roundoff + OWN) * 2 * np.power(np.where(least > 0, least, 1.0), -1.0 / order)
    norm = np.where(least > 0, slope * off + loose, np.inf)
    value = np.where(np.isfinite(value), value, 0.0)
    return settle(value, norm + together, model)._replace(norm=norm)


def eigenbasis(s: Bounded, seen: Bounded | None, model: Model) -> Bounded:
    """Columns that were seen, that pass for eigenvectors by the residuals of S q = lambda q, for orthonormal, and in order.

    Each is judged by what LAPACK's test programs demand. A column that fails has the nearest of our own as its set.
    """
    if seen is None or not np.isfinite(s.value).all() or not np.isfinite(s.bound()).all():
        return Bounded(np.zeros_like(s.value), np.full(s.value.shape, np.inf))
    q, size = seen.value, s.value.shape[-1]
    units = EIGEN * size * (2 * model.unit_roundoff + OWN)
    times = np.matmul(s.value, q)
    value = np.sum(q * times, axis=-2, keepdims=True)
    extent = np.linalg.norm(s.value, axis=(-2, -1), keepdims=True)
    allowed = units * extent + norm_of(s.bound()) + norm_of(s.value - transposed(s.value))
    residual = np.sqrt(np.sum((times - q * value) ** 2, axis=-2, keepdims=True))
    falls = value[..., :-1] - value[..., 1:] >= -2 * allowed
    falls = np.concatenate([falls, np.ones_like(falls[..., :1])], axis=-1) if size > 1 else np.ones_like(value, bool)
    passes = (residual <= allowed) & falls & _orthonormal(q, units)
    own = np.linalg.eigh((s.value + transposed(s.value)) / 2)[1][..., ::-1]
    return _passed(seen, passes, own)


def subspace(x: Bounded, count: int, seen: Bounded | None, model: Model) -> Bounded:
    """Columns that were seen, where they pass for the first left singular vectors: X X^T q = s^2 q, orthonormal, largest.

    A backward stable decomposition is that of a matrix nearby, whose square is off by twice the size of both.
    """
    shape = (*x.value.shape[:-1], count)
    if seen is None or not np.isfinite(x.value).all() or not np.isfinite(x.bound()).all():
        return Bounded(np.zeros(shape), np.full(shape, np.inf))
    q, units = seen.value, SINGULAR * max(x.value.shape[-2:]) * (2 * model.unit_roundoff + OWN)
    u, sizes, _ = np.linalg.svd(x.value, full_matrices=False)
    largest = np.max(sizes, axis=-1)[..., None, None]
    allowed = 2 * (units * largest + norm_of(x.bound())) * largest
    times = np.matmul(x.value, np.matmul(transposed(x.value), q))
    quotient = np.sum(q * times, axis=-2, keepdims=True)
    residual = np.sqrt(np.sum((times - q * quotient) ** 2, axis=-2, keepdims=True))
    first = np.abs(quotient - sizes[..., None, :count] ** 2) <= allowed
    return _passed(seen, (residual <= allowed) & first & _orthonormal(q, units), u[..., :count])


def orthonormal(a: Bounded, seen: Bounded | None, model: Model) -> Bounded:
    """Columns that were seen, where they pass for the orthogonal factor Q of A: Q^T A is upper triangular, Q orthonormal."""
    if seen is None or not np.isfinite(a.value).all() or not np.isfinite(a.bound()).all():
        return Bounded(np.zeros_like(a.value), np.full(a.value.shape, np.inf))
    q, size = seen.value, a.value.shape[-1]
    units = FACTOR * size * (2 * model.unit_roundoff + OWN)
    lower = np.tril(np.matmul(transposed(q), a.value), -1)
    own_error = np.sqrt(np.sum(a.bound() ** 2 + np.zeros_like(a.value), axis=-2, keepdims=True))
    extent = np.sqrt(np.sum(a.value**2, axis=-2, keepdims=True))
    passes = np.abs(lower) <= units * extent + 2 * own_error
    # what is below the diagonal in column j is the part of a_j along a later q_i: both are to blame
    passes = passes.all(axis=-2, keepdims=True) & transposed(passes.all(axis=-1, keepdims=True))
    return _passed(seen, passes & _orthonormal(q, units), np.linalg.qr(a.value)[0])


def solve(q: Bounded, x: Bounded, side: str, model: Model, batch: int) -> Bounded:
    """Y = X Q^(-1) for an upper triangular Q by substitution: (E_X + |Y| E_Q + gamma |Y| |Q|) |Q^(-1)|; Q^(-T) X alike."""
    shape = np.shape(x.value)
    triangle, matrix = as_stacked(q, batch), as_stacked(x, batch)
    matrix = flipped(matrix) if side == "left" else matrix
    diagonal = np.diagonal(triangle.value, axis1=-2, axis2=-1)
    if not (np.isfinite(triangle.value).all() and np.isfinite(matrix.value).all() and (diagonal != 0.0).all()):
        return Bounded(np.zeros(shape), np.full(shape, np.inf))
    inverse = np.abs(np.linalg.inv(triangle.value))
    value = transposed(np.linalg.solve(transposed(triangle.value), transposed(matrix.value)))
    size, terms = np.abs(value), triangle.value.shape[-1]
    spread = triangle.bound() + of_products(terms, 0.0, model) * np.abs(triangle.value)
    error = (matrix.bound() + size @ spread + terms * model.underflow) @ inverse
    # what the error does to itself is a geometric series
    ratio = np.max(np.sum(spread @ inverse, axis=-1), axis=-1)[..., None, None]
    error = np.where(ratio < 0.5, error / (1.0 - np.minimum(ratio, 0.5)), np.inf) + 4 * terms * OWN * size
    settled = settle(value, error, model)
    found = flipped(settled) if side == "left" else settled
    return Bounded(found.value.reshape(shape), found.bound().reshape(shape))


def norm_bound(s: Bounded, model: Model) -> Bounded:
    """|S y| / |y|, y = S s_j: the hull over every column s_j that may be the longest."""
    if not s.value.size:
        return Bounded(np.zeros((*s.value.shape[:-2], 1, 1)))
    columns = product(s, s, s.value.shape, model)
    further = product(s, columns, s.value.shape, model)
    (own, own_error), (y, y_error), (z, z_error) = (_lengths(m, model) for m in (s, columns, further))
    may = own + own_error >= np.max(own - own_error, axis=-1, keepdims=True)
    with np.errstate(all="ignore"):
        low, high = np.maximum(z - z_error, 0.0) / (y + y_error), (z + z_error) / np.maximum(y - y_error, 0.0)
    zero = (s.value == 0.0).all(axis=(-1, -2), keepdims=True) & (s.bound() == 0.0).all(axis=(-1, -2), keepdims=True)
    low = np.min(np.where(may, low, np.inf), axis=-1)[..., None, None]
    high = np.max(np.where(may, high, 0.0), axis=-1)[..., None, None]
    middle, half = (low + high) / 2, (high - low) / 2 * (1.0 + 8 * OWN) + (low + high) * (model.charge + 4 * OWN)
    known = np.isfinite(middle)
    return Bounded(np.where(known & ~zero, middle, 0.0), np.where(zero, 0.0, np.where(known, half, np.inf)))


def _lengths(m: Bounded, model: Model) -> tuple[Array, Array]:
    """The lengths of columns, and how far off they may be."""
    value = np.sqrt(np.sum(m.value**2, axis=-2))
    own = np.sqrt(np.sum((m.bound() + np.zeros_like(m.value)) ** 2, axis=-2))
    return value, own + (value + own) * of_products(m.value.shape[-2], 0.0, model)


def _orthonormal(q: Array, units: float) -> Array:
    """For each column, True if it has the length one and is orthogonal to all others."""
    off = np.abs(np.matmul(transposed(q), q) - np.eye(q.shape[-1]))
    return np.asarray((off <= units).all(axis=-2, keepdims=True))


def _passed(seen: Bounded, passes: Array, own: Array) -> Bounded:
    """The columns that pass as they were seen, and ours, turned the same way, for the others."""
    turned = own * np.where(np.sum(own * seen.value, axis=-2, keepdims=True) < 0.0, -1.0, 1.0)
    return Bounded(np.where(passes, seen.value, turned), np.where(passes, seen.bound(), 0.0))


def reordered(x: Bounded, q: Bounded, s: Bounded, axis: str, model: Model, batch: int) -> Bounded:
    """Rows or columns in the order of q_j^T S q_j; where two of these are too near to each other, nothing is said of either."""
    matrix = as_stacked(x, batch)
    times = product(s, q, s.value.shape, model)
    size = np.abs(q.value) + q.bound()
    value = np.sum(q.value * times.value, axis=-2)
    error = np.sum(size * times.bound() + q.bound() * np.abs(times.value), axis=-2)
    error = error + of_products(s.value.shape[-1], 0.0, model) * np.sum(size * np.abs(times.value), axis=-2)
    order = np.argsort(-value, axis=-1, kind="stable")
    value, error = (np.take_along_axis(each, order, axis=-1) for each in (value, error))
    close = ~(value[..., :-1] - value[..., 1:] > error[..., :-1] + error[..., 1:])
    edge = np.zeros((*close.shape[:-1], 1), bool)
    open_ = np.concatenate([close, edge], axis=-1) | np.concatenate([edge, close], axis=-1)
    along = -2 if axis == "row" else -1
    where, unknown = (np.expand_dims(each, -1 if axis == "row" else -2) for each in (order, open_))
    where = np.broadcast_to(where, matrix.value.shape)
    found, off = (np.take_along_axis(each, where, axis=along) for each in (matrix.value, matrix.bound()))
    return Bounded(found.reshape(x.value.shape), np.where(unknown, np.inf, off).reshape(x.value.shape))
