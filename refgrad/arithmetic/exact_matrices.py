"""Operations on matrices of mpmath numbers; a precision of their operations has no meaning here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mpmath
import numpy as np

from refgrad.arithmetic import matrices
from refgrad.arithmetic.matrices import as_matrices
from refgrad.projections import on_left


def newton_schulz(x: np.ndarray, *rest: Any) -> np.ndarray:
    """Odd polynomials of a matrix, one after the other."""
    *numbers, (degrees, _) = rest
    polynomials = matrices.gathered(numbers, degrees)
    return matrices.odd_polynomials(as_matrices(x), polynomials, multiply=product).reshape(x.shape)


def gram(x: np.ndarray, side: str) -> np.ndarray:
    """X X^T or X^T X."""
    matrix = as_matrices(x)
    return product(matrix, matrix.T) if side == "left" else product(matrix.T, matrix)


def matmul(a: np.ndarray, b: np.ndarray, flips: tuple[bool, bool]) -> np.ndarray:
    """A product, each matrix transposed first or not."""
    first, second = as_matrices(a), as_matrices(b)
    found = product(first.T if flips[0] else first, second.T if flips[1] else second)
    return found.reshape(next((v.shape for v in (a, b) if v.ndim != 2), found.shape))


def reordered(x: np.ndarray, q: np.ndarray, s: np.ndarray, axis: str) -> np.ndarray:
    """The rows or columns in the order in which q_j^T S q_j falls."""
    matrix, basis, square = (as_matrices(v) for v in (x, q, s))
    images = product(square, basis)
    sizes = [mpmath.fdot(basis[:, j].tolist(), images[:, j].tolist()) for j in range(basis.shape[1])]
    order = sorted(range(len(sizes)), key=lambda j: -sizes[j])
    return np.asarray(matrix[order] if axis == "row" else matrix[:, order]).reshape(x.shape)


def solve(q: np.ndarray, x: np.ndarray, side: str) -> np.ndarray:
    """X Q^(-1) for an upper triangular Q, column by column; Q^(-T) X is the transpose of X^T Q^(-1)."""
    triangle, matrix = as_matrices(q), as_matrices(x)
    rows = (matrix.T if side == "left" else matrix).copy()
    for j in range(len(triangle)):
        for i in range(j):
            rows[:, j] = rows[:, j] - rows[:, i] * triangle[i, j]
        rows[:, j] = [_over(a, triangle[j, j]) for a in rows[:, j]]
    return np.asarray(rows.T if side == "left" else rows).reshape(x.shape)


def _over(a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    """A quotient; that by zero as IEEE 754 has it."""
    if b != 0:
        return a / b
    return mpmath.nan if a == 0 or mpmath.isnan(a) else mpmath.inf * mpmath.sign(a)


def upper(s: np.ndarray, rule: None = None) -> np.ndarray:
    """A matrix with zeros below its diagonal."""
    return np.triu(as_matrices(s)).reshape(s.shape)


def norm_bound(s: np.ndarray, rule: None = None) -> np.ndarray:
    """|S y| / |y| for y = S s_j, s_j being the longest column."""
    matrix = as_matrices(s)
    sizes = [mpmath.fsum(a * a for a in column) for column in matrix.T]
    longest = max(range(len(sizes)), key=lambda j: sizes[j], default=None)
    y = product(matrix, matrix[:, [longest]]) if longest is not None else matrix
    lengths = [mpmath.sqrt(mpmath.fsum(a * a for a in v.ravel())) for v in (product(matrix, y) if y.size else y, y)]
    found = np.asarray([lengths[0] / lengths[1] if lengths[1] else mpmath.mpf(0)], dtype=object)
    return found.reshape((1,) * s.ndim)


def subspace(x: np.ndarray, rule: tuple[int, str]) -> np.ndarray:
    """The first singular vectors on one side of a matrix."""
    matrix = as_matrices(x)
    square = product(matrix, matrix.T) if on_left(matrix.shape, rule[1]) else product(matrix.T, matrix)
    found = eigenbasis(square)[:, : min(rule[0], *matrix.shape)]
    return found if x.ndim else found.reshape(())


def project(x: np.ndarray, basis: np.ndarray, side: str) -> np.ndarray:
    """P^T X or X P."""
    matrix, columns = as_matrices(x), as_matrices(basis)
    found = product(columns.T, matrix) if on_left(matrix.shape, side) else product(matrix, columns)
    return found if x.ndim else found.reshape(())


def lift(low: np.ndarray, basis: np.ndarray, like: np.ndarray, side: str) -> np.ndarray:
    """P Y or Y P^T."""
    seen, columns = as_matrices(low), as_matrices(basis)
    left = on_left(as_matrices(like).shape, side)
    return (product(columns, seen) if left else product(seen, columns.T)).reshape(like.shape)


def orthonormal(a: np.ndarray, rule: None = None) -> np.ndarray:
    """The orthogonal factor of a square matrix; signs of columns are whatever comes out."""
    found = np.asarray(mpmath.qr(mpmath.matrix(as_matrices(a).tolist()))[0].tolist(), dtype=object)
    return found.reshape(a.shape)


def eigenbasis(s: np.ndarray, rule: None = None) -> np.ndarray:
    """Eigenvectors as columns, that of the largest eigenvalue first; their signs are whatever comes out."""
    return _on_symmetric(s, lambda values, vectors, falling: vectors[:, falling])


def inverse_root(s: np.ndarray, order: int) -> np.ndarray:
    """S^(-1/order), by eigenvalues."""

    def root(values: list[mpmath.mpf], vectors: np.ndarray, falling: list[int]) -> np.ndarray:
        power = -mpmath.mpf(1) / order
        roots = [v**power if v > 0 else mpmath.inf if v == 0 else mpmath.nan for v in values]
        return product(vectors * np.asarray(roots, dtype=object), vectors.T)

    return _on_symmetric(s, root)


def _on_symmetric(s: np.ndarray, function: Any) -> np.ndarray:
    x = as_matrices(s)
    if not all(mpmath.isfinite(a) for a in x.ravel()):
        return np.full(s.shape, mpmath.nan, dtype=object)
    with mpmath.workdps(2 * mpmath.mp.dps):  # small eigenvalues are as exact as large ones
        values, vectors = jacobi((x + x.T) / 2)
        falling = sorted(range(len(values)), key=lambda j: -values[j])
        return np.asarray(function(values, vectors, falling)).reshape(s.shape)


def jacobi(a: np.ndarray) -> tuple[list[mpmath.mpf], np.ndarray]:
    """Eigenvalues and eigenvectors of a symmetric matrix, by rotations that make one pair of elements zero after another."""
    a, size = a.copy(), len(a)
    vectors = np.asarray([[mpmath.mpf(i == j) for j in range(size)] for i in range(size)], dtype=object)
    vectors = vectors.reshape(size, size)
    small = mpmath.eps * mpmath.sqrt(mpmath.fsum(x * x for x in a.ravel()))
    for i, j in _pairs_above(a, small):
        tau = (a[j, j] - a[i, i]) / (2 * a[i, j])
        tangent = (1 if tau >= 0 else -1) / (abs(tau) + mpmath.sqrt(1 + tau * tau))
        cosine = 1 / mpmath.sqrt(1 + tangent * tangent)
        sine = tangent * cosine
        for m in (a.T, a, vectors.T):  # columns, rows, and the columns of the vectors
            m[i], m[j] = cosine * m[i] - sine * m[j], sine * m[i] + cosine * m[j]
    return [a[i, i] for i in range(size)], vectors


def _pairs_above(a: np.ndarray, small: mpmath.mpf) -> Iterator[tuple[int, int]]:
    """Sweeps over the places above the diagonal, until no element there is large."""
    pairs = [(i, j) for i in range(len(a)) for j in range(i + 1, len(a))]
    while any(abs(a[pair]) > small for pair in pairs):
        yield from (pair for pair in pairs if abs(a[pair]) > small)


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of two matrices, each element rounded once."""
    rows, columns = a.tolist(), b.T.tolist()
    found = [mpmath.fdot(row, column) for row in rows for column in columns]
    return np.reshape(np.asarray(found, dtype=object), (len(rows), len(columns)))
