"""Matrices on NumPy arrays with fixed bits: products that add along one tree, and what is made of products alone.

A parameter is the matrix of its first axis by all others. Every function also takes matrices stacked along leading axes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes

#: terms that one leaf of the summation tree takes, as in `primitives.tree_sum`
BLOCK = 1024
#: products that are made at a time
CHUNK = 1 << 18

#: the coefficients of one odd polynomial: a x + b x^3, or a x + b x^3 + c x^5
Polynomial = Sequence[Any]


def product(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The product of two matrices; the terms of each element are added along the tree of `primitives.tree_sum`."""
    *batch, rows, inner = a.shape
    out = np.empty((*batch, rows, b.shape[-1]), np.result_type(a, b))
    step = max(1, CHUNK // max(1, inner * b.shape[-1]))
    for start in range(0, rows, step):
        terms = a[..., start : start + step, :, None] * b[..., None, :, :]
        out[..., start : start + step, :] = _added(terms)
    return out


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
