"""The few operations that NumPy lacks, or whose bits it does not fix.

Each takes a NumPy array, or any carrier of refgrad's arithmetics. The sum adds by one tree whose shape depends on the
number of terms alone, so that NumPy, Numba with any number of threads, and a GPU give the same bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import matrices
from refgrad.arithmetic.carrier import Carrier
from refgrad.arithmetic.folding import terms
from refgrad.arithmetic.operations import OPERATIONS
from refgrad.arithmetic.scalar_math import Scalar
from refgrad.arithmetic.working import number_like
from refgrad.axes import folded
from refgrad.errors import bad_argument

#: what a reduction leaves one number of: "tensor", "row" or "column"
Over = str


def tree_sum(x: Any, over: Over = "tensor") -> Any:
    """The sum of all elements, of each row ``x[i, ...]`` or column ``x[:, ...]``, as an array that broadcasts against ``x``.

    Terms are added along the tree of `refgrad.arithmetic.folding`.
    """
    return OPERATIONS["sum"](x, over=folded(over))


def tree_max(x: Any, over: Over = "tensor") -> Any:
    """The largest element (NaN if any is NaN), shaped as in `tree_sum`; minus infinity of nothing."""
    return OPERATIONS["max"](x, over=folded(over))


def length(x: Any, over: Over = "tensor") -> Any:
    """How many terms `tree_sum` adds, as a scalar."""
    if isinstance(x, Carrier):
        return x._apply("length", x, over=folded(over))
    return number_like(terms(np.shape(x), folded(over)), x)


def look_up(table: Any, places: Any) -> Any:
    """Numbers of a table.

    Args:
        table: a vector.
        places: whole numbers from 0 on, of any shape, which the table has.
    """
    if isinstance(table, Carrier) or isinstance(places, Carrier):
        carrier = table if isinstance(table, Carrier) else places
        return carrier._apply("look_up", table, places)
    return OPERATIONS["look_up"](table, places)


def newton_schulz(x: Any, polynomials: Sequence[Sequence[Any]], precision: str = "working") -> Any:
    """Odd polynomials of the matrix X, its first axis by all others, one after the other: a X + (b A + c A A) X, A = X X^T.

    Args:
        x: an array of at least one axis, or a carrier.
        polynomials: the coefficients of each: (a, b), or (a, b, c).
        precision: "working", or "bfloat16", in which every operation of the iteration is rounded to bfloat16; X itself
            may have been made in bfloat16 then.
    """
    if isinstance(x, Carrier):
        numbers = [number for polynomial in polynomials for number in polynomial]
        return x._apply("newton_schulz", x, *numbers, rule=(tuple(map(len, polynomials)), precision))
    numbers = [[n.value if isinstance(n, Scalar) else n for n in polynomial] for polynomial in polynomials]
    return matrices.newton_schulz(np.asarray(x), numbers, precision)


def gram(x: Any, side: str) -> Any:
    """X X^T of the rows of a matrix ("left"), or X^T X of its columns ("right"); each sum is a `tree_sum`."""
    if side not in ("left", "right"):
        raise bad_argument("side", side, "'left' or 'right'")
    return x._apply("gram", x, rule=side) if isinstance(x, Carrier) else matrices.gram(np.asarray(x), side)


def matmul(a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False) -> Any:
    """The product of square matrices of a parameter's rows or columns with it or each other; each sum is a `tree_sum`.

    A square matrix may be transposed first; a parameter (the matrix of its first axis by all others) may not.
    """
    if isinstance(a, Carrier) or isinstance(b, Carrier):
        carrier = a if isinstance(a, Carrier) else b
        return carrier._apply("matmul", a, b, rule=(transpose_a, transpose_b))
    return matrices.matmul(np.asarray(a), np.asarray(b), transpose_a, transpose_b)


def inverse_root(s: Any, order: int) -> Any:
    """S^(-1/order) of a positive definite matrix: by its eigenvalues, in float64, rounded once."""
    if isinstance(s, Carrier):
        return s._apply("inverse_root", s, rule=order)
    return matrices.inverse_root(np.asarray(s), order)


def eigenbasis(s: Any) -> Any:
    """Eigenvectors of a symmetric matrix as columns, the largest eigenvalue's first; signs are left open."""
    return s._apply("eigenbasis", s) if isinstance(s, Carrier) else matrices.eigenbasis(np.asarray(s))


def orthonormal(a: Any) -> Any:
    """The orthogonal factor of a square matrix's QR decomposition; signs of columns are left open."""
    return a._apply("orthonormal", a) if isinstance(a, Carrier) else matrices.orthonormal(np.asarray(a))


def reordered(x: Any, q: Any, s: Any, axis: str) -> Any:
    """The rows or columns of X in the order in which q_j^T S q_j falls, for the columns q_j of Q."""
    if any(isinstance(each, Carrier) for each in (x, q, s)):
        carrier = next(each for each in (x, q, s) if isinstance(each, Carrier))
        return carrier._apply("reordered", x, q, s, rule=axis)
    return matrices.reordered(np.asarray(x), np.asarray(q), np.asarray(s), axis)


def subspace(x: Any, rank: int, side: str) -> Any:
    """The singular vectors of the ``rank`` largest singular values of X, as columns, of its "shorter" or "longer" side."""
    if isinstance(x, Carrier):
        return x._apply("subspace", x, rule=(rank, side))
    return matrices.subspace(np.asarray(x), rank, side)


def project(x: Any, basis: Any, side: str) -> Any:
    """X in a basis P of its columns or rows: P^T X or X P; each sum is a `tree_sum`."""
    if isinstance(x, Carrier):
        return x._apply("project", x, basis, rule=side)
    return matrices.project(np.asarray(x), np.asarray(basis), side)


def lift(low: Any, basis: Any, like: Any, side: str) -> Any:
    """P Y or Y P^T, the matrix that is seen as Y in a basis P, shaped like another array."""
    if isinstance(like, Carrier):
        return like._apply("lift", low, basis, like, rule=side)
    return matrices.lift(np.asarray(low), np.asarray(basis), np.asarray(like), side)


def solve(q: Any, x: Any, side: str) -> Any:
    """Q^(-T) X ("left") or X Q^(-1) ("right") for an upper triangular Q: by substitution, in float64, rounded once."""
    if isinstance(x, Carrier):
        return x._apply("solve", q, x, rule=side)
    return matrices.solve(np.asarray(q), np.asarray(x), side)


def upper(s: Any) -> Any:
    """A square matrix with zeros below its diagonal."""
    return s._apply("upper", s) if isinstance(s, Carrier) else matrices.upper(np.asarray(s))


def norm_bound(s: Any) -> Any:
    """|S y| / |y| for y = S s_j, s_j the longest column of a symmetric S: a lower bound of its spectral norm, one number."""
    return s._apply("norm_bound", s) if isinstance(s, Carrier) else matrices.norm_bound(np.asarray(s))
