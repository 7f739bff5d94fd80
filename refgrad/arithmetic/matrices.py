"""Matrices on NumPy arrays with fixed bits: products that add along one tree, and what is made of products alone.

A parameter is the matrix of its first axis by all others. Every function also takes matrices stacked along leading axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.arithmetic.folding import BLOCK
from refgrad.projections import on_left

#: products that are made at a time
CHUNK = 1 << 18

#: the coefficients of one odd polynomial: a x + b x^3, or a x + b x^3 + c x^5
Polynomial = Sequence[Any]


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of two matrices; the terms of each element are added along the tree of `primitives.tree_sum`."""
    return _multiply.get()(a, b)


@contextmanager
def multiplied_by(multiply: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Iterator[None]:
    """While it lasts, and in this context alone, products are made by a function that gives the bits of `tree_product`.

    Args:
        multiply: a function of two matrices.
    """
    token = _multiply.set(multiply)
    try:
        yield
    finally:
        _multiply.reset(token)


def tree_product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """`product` by NumPy: all terms of some rows at a time, which are then folded."""
    *batch, rows, inner = a.shape
    out = np.empty((*batch, rows, b.shape[-1]), np.result_type(a, b))
    step = max(1, CHUNK // max(1, inner * b.shape[-1]))
    for start in range(0, rows, step):
        terms = a[..., start : start + step, :, None] * b[..., None, :, :]
        out[..., start : start + step, :] = _added(terms)
    return out


_multiply: ContextVar[Callable[[np.ndarray, np.ndarray], np.ndarray]] = ContextVar("multiply", default=tree_product)


def _added(terms: np.ndarray) -> np.ndarray:
    """Terms folded along the last axis but one, block by block, the upper part onto the lower."""
    count = terms.shape[-2]
    if count > BLOCK:
        parts = [_added(terms[..., i : i + BLOCK, :]) for i in range(0, count, BLOCK)]
        return _added(np.stack(parts, axis=-2))
    if count == 0:
        return np.zeros((*terms.shape[:-2], terms.shape[-1]), terms.dtype)
    while count > 1:
        half = 1 << ((count - 1).bit_length() - 1)
        joined = terms[..., : count - half, :] + terms[..., half:count, :]
        terms = np.concatenate([joined, terms[..., count - half : half, :]], axis=-2)
        count = half
    return np.asarray(terms[..., 0, :])


def transposed(x: np.ndarray) -> np.ndarray:
    """The matrix with its last two axes exchanged."""
    return np.swapaxes(x, -1, -2)


def odd_polynomials(
    x: np.ndarray,
    polynomials: Sequence[Polynomial],
    multiply: Callable[[Any, Any], Any] = product,
    narrow: Callable[[Any], Any] = lambda x: x,
) -> np.ndarray:
    """Odd polynomials of a matrix one after the other, a X + (b A + c A A) X where A = X X^T.

    Of a matrix with more rows than columns A is X^T X and stands on the right, which in real numbers is the same.
    ``narrow`` is applied to the result of every operation.
    """
    wide = x.shape[-2] <= x.shape[-1]
    for polynomial in polynomials:
        a, b, *c = polynomial
        square = narrow(multiply(x, transposed(x)) if wide else multiply(transposed(x), x))
        inner = narrow(b * square)
        if c:
            inner = narrow(inner + narrow(c[0] * narrow(multiply(square, square))))
        x = narrow(narrow(a * x) + narrow(multiply(inner, x) if wide else multiply(x, inner)))
    return x


def as_matrices(x: np.ndarray, batch: int = 0) -> np.ndarray:
    """Arrays as matrices of their first axis by all others, behind the axes along which they are stacked."""
    rows = x.shape[batch] if x.ndim > batch else 1
    return x.reshape(*x.shape[:batch], rows, math.prod(x.shape[batch + 1 :]))


def gathered(numbers: Sequence[Any], degrees: Sequence[int]) -> list[list[Any]]:
    """Coefficients in one row as those of each polynomial, of so many coefficients each."""
    supply = iter(numbers)
    return [[next(supply) for _ in range(degree)] for degree in degrees]


def newton_schulz(x: np.ndarray, polynomials: Sequence[Polynomial], precision: str = "working") -> np.ndarray:
    """`odd_polynomials` of an array, in its own dtype or with every result rounded to bfloat16."""

    def narrow(values: np.ndarray) -> np.ndarray:
        return dtypes.cast(values, "bfloat16", "nearest").astype(x.dtype)

    kept = (lambda values: values) if precision == "working" else narrow
    with np.errstate(all="ignore"):
        numbers = [[x.dtype.type(c) for c in polynomial] for polynomial in polynomials]
        return odd_polynomials(kept(as_matrices(x)), numbers, narrow=kept).reshape(x.shape)


def gram(x: np.ndarray, side: str) -> np.ndarray:
    """X X^T of an array's rows ("left"), or X^T X of its columns ("right")."""
    matrix = as_matrices(x)
    return product(matrix, transposed(matrix)) if side == "left" else product(transposed(matrix), matrix)


def matmul(a: np.ndarray, b: np.ndarray, transpose_a: bool = False, transpose_b: bool = False) -> np.ndarray:
    """The product of a parameter-shaped array and a square matrix, or of two square ones; shaped like the former."""
    first, second = as_matrices(a), as_matrices(b)
    found = product(transposed(first) if transpose_a else first, transposed(second) if transpose_b else second)
    return found.reshape(next((x.shape for x in (a, b) if x.ndim != 2), found.shape))


def on_symmetric(s: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """A function of a symmetric matrix, from its decomposition in float64 (of its lower half); NaN if it is not finite."""
    wide = s.astype(np.float64)
    if not np.isfinite(wide).all():
        return np.full(s.shape, np.nan, s.dtype)
    return np.asarray(function(wide)).astype(s.dtype)


def inverse_root(s: np.ndarray, order: int) -> np.ndarray:
    """S^(-1/order) of a positive definite matrix: V diag(lambda^(-1/order)) V^T; NaN or infinite for any other."""

    def root(wide: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(wide)
        return np.matmul(vectors * np.power(values, -1.0 / order), vectors.T)

    with np.errstate(all="ignore"):
        return on_symmetric(s, root)


def eigenbasis(s: np.ndarray) -> np.ndarray:
    """Eigenvectors of a symmetric matrix as columns, that of the largest eigenvalue first."""
    return on_symmetric(s, lambda wide: np.linalg.eigh(wide)[1][:, ::-1])


def orthonormal(a: np.ndarray) -> np.ndarray:
    """The orthogonal factor of a square matrix's QR decomposition."""
    return on_symmetric(a, lambda wide: np.linalg.qr(wide)[0])


def rayleigh(q: np.ndarray, s: np.ndarray) -> np.ndarray:
    """q_j^T S q_j of each column of a matrix."""
    return np.sum(q * np.matmul(s, q), axis=-2)


def reordered(x: np.ndarray, q: np.ndarray, s: np.ndarray, axis: str) -> np.ndarray:
    """The rows or columns of an array in the order in which q_j^T S q_j of the columns q_j falls; equal ones stay in order."""
    order = np.argsort(-rayleigh(q.astype(np.float64), s.astype(np.float64)), kind="stable")
    matrix = as_matrices(x)
    return (matrix[order] if axis == "row" else matrix[:, order]).reshape(x.shape)


def subspace(x: np.ndarray, rank: int, side: str) -> np.ndarray:
    """The singular vectors of the largest singular values, as columns, on one side of a matrix; NaN if it is not finite."""
    wide = as_matrices(x).astype(np.float64)
    count = min(rank, *wide.shape)
    left = on_left(wide.shape, side)
    if not np.isfinite(wide).all() or not wide.size:
        return np.full((wide.shape[0 if left else 1], count), np.nan, x.dtype)
    u, _, v = np.linalg.svd(wide, full_matrices=False)
    return np.ascontiguousarray(u[:, :count] if left else v[:count].T).astype(x.dtype)


def project(x: np.ndarray, basis: np.ndarray, side: str) -> np.ndarray:
    """A matrix seen in a basis: P^T X if that is of its columns, X P if it is of its rows."""
    matrix, columns = as_matrices(x), as_matrices(basis)
    return product(transposed(columns), matrix) if on_left(matrix.shape, side) else product(matrix, columns)


def lift(low: np.ndarray, basis: np.ndarray, like: np.ndarray, side: str) -> np.ndarray:
    """What is seen in a basis as a matrix again, shaped like another array."""
    seen, columns = as_matrices(low), as_matrices(basis)
    left = on_left(as_matrices(like).shape, side)
    return (product(columns, seen) if left else product(seen, transposed(columns))).reshape(like.shape)


def solve(q: np.ndarray, x: np.ndarray, side: str) -> np.ndarray:
    """Q^(-T) X ("left") or X Q^(-1) ("right") for upper triangular Q, in float64 and rounded once; NaN if Q is singular."""
    matrix, triangle = as_matrices(x).astype(np.float64), as_matrices(q).astype(np.float64).T
    try:
        found = np.linalg.solve(triangle, matrix if side == "left" else matrix.T)
    except np.linalg.LinAlgError:
        return np.full(x.shape, np.nan, x.dtype)
    return (found if side == "left" else found.T).reshape(x.shape).astype(x.dtype)


def upper(s: np.ndarray) -> np.ndarray:
    """A square matrix with zeros below its diagonal."""
    return np.triu(as_matrices(s)).reshape(s.shape)


def norm_bound(s: np.ndarray) -> np.ndarray:
    """|S y| / |y| for y = S s_j, s_j being the longest column of a symmetric matrix: at most its spectral norm; zero of zero."""
    matrix = as_matrices(s).astype(np.float64)
    if not matrix.size:
        return np.zeros((1, 1), s.dtype)
    y = matrix @ matrix[:, np.argmax(np.sum(matrix * matrix, axis=0))]
    length = np.linalg.norm(y)
    found = np.linalg.norm(matrix @ y) / length if length != 0 else length
    return np.full((1, 1), found).astype(s.dtype)
