"""Bounds on operations on matrices: derived, as in `running_error`, but with norms where magnitudes would say nothing.

A chain of products is not bounded element by element: magnitudes lose what cancels in an orthogonal matrix, and the bound
grows by a power of the size at every step. What a step rounds is bounded by magnitudes; from there on it is carried in the
Frobenius norm by the derivative of all that follows, which singular values give.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refgrad.arithmetic.matrices import as_matrices, gathered, odd_polynomials, transposed
from refgrad.arithmetic.running_error import _OWN, Bounded, Model, _settle
from refgrad.arithmetic.sides import on_left

Array = np.ndarray
#: the unit roundoff of bfloat16
BFLOAT16 = 2.0**-8


#: how results of an operation are judged, for the notes of a verdict
JUDGED: Mapping[str, str] = {
    "newton_schulz": "Newton-Schulz steps are judged by a derived bound: magnitudes, and the derivative of what follows",
    "gram": "products of matrices are judged by a derived bound, for any order of their sums",
    "matmul": "products of matrices are judged by a derived bound, for any order of their sums",
    "inverse_root": "matrix roots are judged by a derived bound, for backward stable decompositions",
    "eigenbasis": "eigenvectors are judged by a-posteriori residuals of those that were seen; what follows, given these",
    "orthonormal": "QR factors are judged by a-posteriori residuals of those that were seen; what follows, given these",
    "subspace": "singular vectors are judged by a-posteriori residuals of those that were seen; what follows, given these",
    "project": "products of matrices are judged by a derived bound, for any order of their sums",
    "lift": "products of matrices are judged by a derived bound, for any order of their sums",
    "solve": "triangular systems are judged by a derived bound, for substitution in any order of its sums",
    "norm_bound": "norms of matrices are judged by a derived bound, for every column that rounding may take for the longest",
    "reordered": "an order of eigenvectors that rounding may change leaves what follows undecided",
}


def operation(
    op: str, args: Sequence[Bounded], attribute: Any, seen: Bounded | None, model: Model, batch: int
) -> Bounded:
    """An operation of a graph on matrices; ``seen`` is what was observed of its result, if it was."""
    if op == "newton_schulz":
        degrees, precision = attribute
        return newton_schulz(args[0], args[1:], degrees, precision, model, batch)
    if op == "gram":
        return gram(args[0], attribute, model, batch)
    if op == "matmul":
        return matmul(args[0], args[1], attribute, model, batch)
    if op == "reordered":
        return reordered(args[0], args[1], args[2], attribute, model, batch)
    if op in ("subspace", "project", "lift"):
        found = _in_subspace(op, args, attribute, seen, model, batch)
        flat = np.ndim(args[0].value) == batch  # of a parameter without axes they are numbers
        shape = np.shape(args[2].value) if op == "lift" else np.shape(args[0].value) if flat else found.value.shape
        return Bounded(found.value.reshape(shape), found.bound().reshape(shape))
    if op == "solve":
        return solve(args[0], args[1], attribute, model, batch)
    square = _matrices(args[0], batch)  # of a parameter without axes they are numbers
    kept = None if seen is None else _matrices(seen, batch)
    if op == "norm_bound":
        found = norm_bound(square, model)
        ones = (1,) * (np.ndim(args[0].value) - batch)
        value, error = (each.reshape(*each.shape[:batch], *ones) for each in (found.value, found.bound()))
        return Bounded(value, error)
    if op == "upper":
        found = Bounded(np.triu(square.value), np.triu(square.bound()))
    elif op == "inverse_root":
        found = inverse_root(square, attribute, model)
    else:
        found = {"eigenbasis": eigenbasis, "orthonormal": orthonormal}[op](square, kept, model)
    shape = np.shape(args[0].value)
    norm = found.norm if found.norm is None or len(shape) == batch + 2 else None
    return Bounded(found.value.reshape(shape), found.bound().reshape(shape), norm=norm)


def _in_subspace(
    op: str, args: Sequence[Bounded], rule: Any, seen: Bounded | None, model: Model, batch: int
) -> Bounded:
    """Bases of subspaces, and products with them."""
    given = [_matrices(arg, batch) for arg in args]
    rows, columns = given[2 if op == "lift" else 0].value.shape[-2:]
    left = on_left((rows, columns), rule[1] if op == "subspace" else rule)
    if op == "subspace":
        kept = None if seen is None else _matrices(seen, batch)
        return subspace(given[0] if left else _transposed(given[0]), min(rule[0], rows, columns), kept, model)
    x, basis = given[:2]
    if op == "project":
        first, second = (_transposed(basis), x) if left else (x, basis)
    else:
        first, second = (basis, x) if left else (x, _transposed(basis))
    return product(first, second, (*first.value.shape[:-1], second.value.shape[-1]), model)


def newton_schulz(
    x: Bounded, numbers: Sequence[Bounded], degrees: Sequence[int], precision: str, model: Model, batch: int
) -> Bounded:
    """Odd polynomials f of matrices, one after the other, the terms of each put together in any order.

    What was wrong before some of them, of norm d, is wrong by no more than L d after: L is the largest divided difference
    (f(s) - f(t)) / (s - t) between singular values of either sign (and zero, if the matrix is not square), for that is the
    norm of the derivative.
    """
    shape = np.shape(x.value)
    value = as_matrices(x.value, batch)
    local = np.broadcast_to(as_matrices(np.broadcast_to(x.bound(), shape), batch), value.shape)
    if not value.size or not (np.isfinite(value).all() and np.isfinite(local).all()):
        return _unusual(value, shape)
    if precision == "bfloat16":  # the matrix itself, its norm and their quotient may have been rounded
        local = local + 4 * BFLOAT16 * np.abs(value)
    sizes = np.linalg.svd(value, compute_uv=False)
    away = _norm(local)
    sources: list[_Source] = []
    carried = np.zeros_like(away)
    for polynomial in gathered(numbers, degrees):
        sources.append(_Source.at(np.abs(sizes), away, _norm(local), value.shape))
        top = np.max(np.abs(sizes), axis=-1)[..., None, None] + away
        local = _rounded(value, away, top, polynomial, precision, model)
        plain = [np.asarray(number.value, np.float64) for number in polynomial]
        sources = [source.through(plain) for source in sources]
        carried = np.sum([source.size() for source in sources], axis=0)
        value = odd_polynomials(value, [plain], multiply=np.matmul)
        sizes = _polynomial(plain, sizes)
        away = carried + _norm(local)
    bound = carried + local
    settled = _settle(value, np.where(np.isfinite(bound), bound, np.inf), model)
    norm = carried.reshape(*shape[:batch], *(1 for _ in shape[batch:]))
    return Bounded(settled.value.reshape(shape), settled.bound().reshape(shape), norm=norm)


@dataclass(frozen=True)
class _Source:
    """What went wrong at one place, and how much larger it can have become since, by pairs of singular values.

    ``first`` and ``second`` are the pairs, where they are now; ``near`` and ``far`` how far off they may be.
    """

    norm: Array
    first: Array
    second: Array
    near: Array
    far: Array
    gain: Array

    @classmethod
    def at(cls, sizes: Array, away: Array, norm: Array, shape: tuple[int, ...]) -> _Source:
        """At matrices of these singular values, from which a program's may be so far away."""
        null = np.zeros((*sizes.shape[:-1], 1 if shape[-1] != shape[-2] else 0))
        first, second = sizes[..., :, None], np.concatenate([sizes, -sizes, null], axis=-1)[..., None, :]
        # a program's singular values are no further off than its matrix; those that are always zero stay
        near = away + shape[-1] * shape[-2] * _OWN * (1.0 + np.max(sizes, axis=-1)[..., None, None])
        far = np.where(np.arange(second.shape[-1]) < 2 * sizes.shape[-1], near, 0.0)
        gain = np.ones(np.broadcast_shapes(first.shape, second.shape))
        return cls(norm, first, second, near + 0.0 * first, far, gain)

    def through(self, polynomial: Sequence[Array]) -> _Source:
        """Behind one more polynomial."""
        slope = _slope(polynomial, self.first, self.second, self.near, self.far)
        near = self.near * _slope(polynomial, self.first, self.first, self.near, self.near)
        far = self.far * _slope(polynomial, self.second, self.second, self.far, self.far)
        first, second = _polynomial(polynomial, self.first), _polynomial(polynomial, self.second)
        return _Source(self.norm, first, second, near, far, self.gain * slope)

    def size(self) -> Array:
        """The norm of what has become of it."""
        return self.norm * np.max(self.gain, axis=(-1, -2), keepdims=True)


def _polynomial(polynomial: Sequence[Array], s: Array) -> Array:
    a, b, *c = polynomial
    return s * (a + s * s * (b + (c[0] * s * s if c else 0.0)))


def _slope(polynomial: Sequence[Array], s: Array, t: Array, near: Array, far: Array) -> Array:
    """The largest divided difference between numbers no further from s and t than that.

    f[s, t] = a + b (s^2 + s t + t^2) + c (s^4 + s^3 t + s^2 t^2 + s t^3 + t^4), whose derivatives are at most
    3 |b| r + 10 |c| r^3 for numbers up to r.
    """
    a, b, *rest = polynomial
    c = rest[0] if rest else np.asarray(0.0)
    exactly = a + b * (s * s + s * t + t * t) + c * (s**4 + s**3 * t + s * s * t * t + s * t**3 + t**4)
    top = np.maximum(np.abs(s) + near, np.abs(t) + far)
    size = np.abs(a) + 3 * np.abs(b) * top**2 + 5 * np.abs(c) * top**4
    return np.abs(exactly) + 16 * _OWN * size + (near + far) * (3 * np.abs(b) * top + 10 * np.abs(c) * top**3)


def _unusual(value: Array, shape: tuple[int, ...]) -> Bounded:
    """NaN in a matrix reaches all of its elements; of infinities and of unknown elements nothing is said."""
    if not value.size:
        return Bounded(value.reshape(shape))
    known = np.isnan(value).any(axis=(-1, -2), keepdims=True)
    everywhere = np.broadcast_to(known, value.shape)
    filled, bound = np.where(everywhere, np.nan, 0.0), np.where(everywhere, 0.0, np.inf)
    return Bounded(filled.reshape(shape), bound.reshape(shape))


def _norm(x: Array) -> Array:
    """Frobenius norms from above."""
    return np.sqrt(np.sum(x * x, axis=(-1, -2), keepdims=True)) * (1.0 + x.shape[-1] * x.shape[-2] * _OWN)


def _rounded(
    value: Array, away: Array, top: Array, polynomial: Sequence[Bounded], precision: str, model: Model
) -> Array:
    """What one polynomial may round, whichever way its terms are put together and on whichever side A stands.

    ``top`` bounds the largest singular value. For A = X X^T (and for X^T X on the right): the rounding of A, through the two
    terms that it is in; of b A and c A A and their sum, or of (c A + b) A; and of what is multiplied by X or added to it.
    The first two are carried by the norms of the matrices, the last is known element by element.
    """
    narrow = model.roundings * BFLOAT16 if precision == "bfloat16" else 0.0
    numbers = [(np.abs(np.asarray(n.value)), np.asarray(n.bound())) for n in (*polynomial, Bounded(np.zeros(())))[:3]]
    left = _rounded_beside(value, away, top, numbers, narrow, model)
    right = transposed(_rounded_beside(transposed(value), away, top, numbers, narrow, model))
    extent = sum(value.shape[-2:])
    lost = model.underflow * extent**2 * (1.0 + sum(n for n, _ in numbers)) * (1.0 + extent * top) ** 5
    return np.maximum(left, right) * (1.0 + 2 * _of_products(extent, narrow, model)) + lost


def _rounded_beside(
    value: Array, away: Array, top: Array, numbers: Sequence[tuple[Array, Array]], narrow: float, model: Model
) -> Array:
    """`_rounded` for A = X X^T, from magnitudes of coefficients with their errors."""
    (a, a_error), (b, b_error), (c, c_error) = numbers
    rows, columns = value.shape[-2:]
    size = np.abs(value) + away
    squared = _of_products(columns, narrow, model) * (size @ transposed(size))
    wrong = _norm(squared)
    square = np.abs(value @ transposed(value)) + squared + away * (2 * top + away)
    through = (b + c * (2 * top**2 + wrong)) * top * wrong
    both = b * square + c * (square @ square)
    inner = (_of_products(rows, narrow, model) + 3 * (model.charge + narrow)) * _norm(both) * top
    outer = (2 * _of_products(rows, narrow, model) + 4 * (model.charge + narrow)) * (a * size + both @ size)
    unsure = a_error * size + (b_error * square + c_error * (square @ square)) @ size
    return outer + unsure + inner + through


def _of_products(terms: int, narrow: float, model: Model) -> float:
    """The relative error of a sum of that many products, in any order or by a balanced tree, and rounded once more."""
    steps = terms if model.any_order else math.ceil(math.log2(max(terms, 1))) + 1
    return steps * model.unit_roundoff + 2 * model.charge + terms * _OWN + narrow


#: how far a backward stable decomposition may be from an exact one of a matrix nearby, in units in the last place times the
#: size of the matrix: the test ratios that LAPACK's own test programs let pass (TESTING/sep.in, svd.in and dtest.in)
EIGEN, SINGULAR, FACTOR = 60.0, 35.0, 30.0


def product(a: Bounded, b: Bounded, shape: tuple[int, ...], model: Model) -> Bounded:
    """A product of two matrices: |A| E_B + E_A |B| + E_A E_B, and what the sums of its terms round, in any order."""
    size_a, size_b = (np.abs(m.value) for m in (a, b))
    error_a, error_b = a.bound(), b.bound()
    carried = size_a @ error_b + error_a @ (size_b + error_b)
    size = size_a @ size_b + carried
    terms = size_a.shape[-1]
    error = carried + _of_products(terms, 0.0, model) * size + terms * model.underflow
    value = a.value @ b.value
    unknown = np.isnan(error) & ~np.isnan(value) | (np.isfinite(value) & (size > model.largest))
    settled = _settle(value, np.where(unknown, np.inf, np.where(np.isnan(value), 0.0, error)), model)
    return Bounded(settled.value.reshape(shape), settled.bound().reshape(shape))


def gram(x: Bounded, side: str, model: Model, batch: int) -> Bounded:
    """X X^T or X^T X: a square of an element is one of a number with an error, and not negative."""
    a = _matrices(x, batch)
    b = _transposed(a)
    first, second = (a, b) if side == "left" else (b, a)
    rows = first.value.shape[-2]
    return product(first, second, (*first.value.shape[:batch], rows, rows), model)


def matmul(a: Bounded, b: Bounded, flips: tuple[bool, bool], model: Model, batch: int) -> Bounded:
    """`matrices.matmul` on values with a bound."""
    ends = [m.value.shape for m in (a, b) if m.value.ndim != batch + 2]
    first, second = _matrices(a, batch), _matrices(b, batch)
    first, second = _transposed(first) if flips[0] else first, _transposed(second) if flips[1] else second
    natural = (*first.value.shape[:-1], second.value.shape[-1])
    return product(first, second, ends[0] if ends else natural, model)


def inverse_root(s: Bounded, order: int, model: Model) -> Bounded:
    """S^(-1/order) by a backward stable decomposition: that of a matrix nearby, put together again.

    A deviation of norm d of S is one of L d of the root, L being the largest divided difference of x^(-1/order) between
    eigenvalues, each up to d off. Nothing can be said where one may be zero.
    """
    if not (np.isfinite(s.value).all() and np.isfinite(s.bound()).all()) or not s.value.size:
        return _unusual(s.value, s.value.shape)
    symmetric = (s.value + transposed(s.value)) / 2
    values, vectors = np.linalg.eigh(symmetric)
    size = values.shape[-1]
    largest = np.max(np.abs(values), axis=-1)[..., None, None]
    near = EIGEN * size * (2 * model.unit_roundoff + _OWN) * largest
    # which half of a matrix that is not quite symmetric is read is left open
    off = near + _norm(s.bound()) + _norm(s.value - transposed(s.value))
    least = values[..., 0][..., None, None] - off
    low, roots = np.maximum(values[..., None, :] - off, 0.0), np.power(values, -1.0 / order)[..., None, :]
    value = np.matmul(vectors * roots, transposed(vectors))
    # |f[s, t]| for a convex falling f is largest at the lower ends, and no larger than |f'| at the smaller of them
    slope = np.power(np.min(low, axis=-1, keepdims=True), -1.0 / order - 1.0) / order
    gathered_ = np.matmul(
        np.abs(vectors) * np.power(np.where(low > 0, low, 1.0), -1.0 / order), transposed(np.abs(vectors))
    )
    # the function itself, the product, and vectors that are orthonormal to so many units
    together = (_of_products(size, 0.0, model) + 8 * model.unit_roundoff + 4 * model.charge) * gathered_
    loose = (
        EIGEN * size * (2 * model.unit_roundoff + _OWN) * 2 * np.power(np.where(least > 0, least, 1.0), -1.0 / order)
    )
    norm = np.where(least > 0, slope * off + loose, np.inf)
    value = np.where(np.isfinite(value), value, 0.0)
    return _settle(value, norm + together, model)._replace(norm=norm)


def eigenbasis(s: Bounded, seen: Bounded | None, model: Model) -> Bounded:
    """Columns that were seen, that pass for eigenvectors by the residuals of S q = lambda q, for orthonormal, and in order.

    Each is judged by what LAPACK's test programs demand. A column that fails has the nearest of our own as its set.
    """
    if seen is None or not np.isfinite(s.value).all() or not np.isfinite(s.bound()).all():
        return Bounded(np.zeros_like(s.value), np.full(s.value.shape, np.inf))
    q, size = seen.value, s.value.shape[-1]
    units = EIGEN * size * (2 * model.unit_roundoff + _OWN)
    times = np.matmul(s.value, q)
    value = np.sum(q * times, axis=-2, keepdims=True)
    extent = np.linalg.norm(s.value, axis=(-2, -1), keepdims=True)
    allowed = units * extent + _norm(s.bound()) + _norm(s.value - transposed(s.value))
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
    q, units = seen.value, SINGULAR * max(x.value.shape[-2:]) * (2 * model.unit_roundoff + _OWN)
    u, sizes, _ = np.linalg.svd(x.value, full_matrices=False)
    largest = np.max(sizes, axis=-1)[..., None, None]
    allowed = 2 * (units * largest + _norm(x.bound())) * largest
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
    units = FACTOR * size * (2 * model.unit_roundoff + _OWN)
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
    triangle, matrix = _matrices(q, batch), _matrices(x, batch)
    matrix = _transposed(matrix) if side == "left" else matrix
    diagonal = np.diagonal(triangle.value, axis1=-2, axis2=-1)
    if not (np.isfinite(triangle.value).all() and np.isfinite(matrix.value).all() and (diagonal != 0.0).all()):
        return Bounded(np.zeros(shape), np.full(shape, np.inf))
    inverse = np.abs(np.linalg.inv(triangle.value))
    value = transposed(np.linalg.solve(transposed(triangle.value), transposed(matrix.value)))
    size, terms = np.abs(value), triangle.value.shape[-1]
    spread = triangle.bound() + _of_products(terms, 0.0, model) * np.abs(triangle.value)
    error = (matrix.bound() + size @ spread + terms * model.underflow) @ inverse
    # what the error does to itself is a geometric series
    ratio = np.max(np.sum(spread @ inverse, axis=-1), axis=-1)[..., None, None]
    error = np.where(ratio < 0.5, error / (1.0 - np.minimum(ratio, 0.5)), np.inf) + 4 * terms * _OWN * size
    settled = _settle(value, error, model)
    found = _transposed(settled) if side == "left" else settled
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
    middle, half = (low + high) / 2, (high - low) / 2 * (1.0 + 8 * _OWN) + (low + high) * (model.charge + 4 * _OWN)
    known = np.isfinite(middle)
    return Bounded(np.where(known & ~zero, middle, 0.0), np.where(zero, 0.0, np.where(known, half, np.inf)))


def _lengths(m: Bounded, model: Model) -> tuple[Array, Array]:
    """The lengths of columns, and how far off they may be."""
    value = np.sqrt(np.sum(m.value**2, axis=-2))
    own = np.sqrt(np.sum((m.bound() + np.zeros_like(m.value)) ** 2, axis=-2))
    return value, own + (value + own) * _of_products(m.value.shape[-2], 0.0, model)


def _orthonormal(q: Array, units: float) -> Array:
    """Whether each column has the length one and is orthogonal to all others."""
    off = np.abs(np.matmul(transposed(q), q) - np.eye(q.shape[-1]))
    return np.asarray((off <= units).all(axis=-2, keepdims=True))


def _passed(seen: Bounded, passes: Array, own: Array) -> Bounded:
    """The columns that pass as they were seen, and ours, turned the same way, for the others."""
    turned = own * np.where(np.sum(own * seen.value, axis=-2, keepdims=True) < 0.0, -1.0, 1.0)
    return Bounded(np.where(passes, seen.value, turned), np.where(passes, seen.bound(), 0.0))


def reordered(x: Bounded, q: Bounded, s: Bounded, axis: str, model: Model, batch: int) -> Bounded:
    """Rows or columns in the order of q_j^T S q_j; where two of these are too near to each other, nothing is said of either."""
    matrix = _matrices(x, batch)
    times = product(s, q, s.value.shape, model)
    size = np.abs(q.value) + q.bound()
    value = np.sum(q.value * times.value, axis=-2)
    error = np.sum(size * times.bound() + q.bound() * np.abs(times.value), axis=-2)
    error = error + _of_products(s.value.shape[-1], 0.0, model) * np.sum(size * np.abs(times.value), axis=-2)
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


def _matrices(x: Bounded, batch: int) -> Bounded:
    value = as_matrices(np.asarray(x.value), batch)
    return Bounded(value, as_matrices(np.broadcast_to(x.bound(), np.shape(x.value)), batch))


def _transposed(x: Bounded) -> Bounded:
    return Bounded(transposed(x.value), transposed(x.bound()))
