"""What bounds on operations on matrices share: products, norms, and matrices that NaN or infinities reach."""

from __future__ import annotations

import numpy as np

from refgrad.arithmetic import summation
from refgrad.arithmetic.matrices import as_matrices, transposed
from refgrad.arithmetic.running_error import OWN, Array, Bounded, Model, settle


def product(a: Bounded, b: Bounded, shape: tuple[int, ...], model: Model) -> Bounded:
    """A product of two matrices: |A| E_B + E_A |B| + E_A E_B, and what the sums of its terms round, in any order."""
    size_a, size_b = (np.abs(m.value) for m in (a, b))
    error_a, error_b = a.bound(), b.bound()
    carried = size_a @ error_b + error_a @ (size_b + error_b)
    size = size_a @ size_b + carried
    terms = size_a.shape[-1]
    error = carried + of_products(terms, 0.0, model) * size + terms * model.underflow
    value = a.value @ b.value
    unknown = np.isnan(error) & ~np.isnan(value) | (np.isfinite(value) & (size > model.largest))
    settled = settle(value, np.where(unknown, np.inf, np.where(np.isnan(value), 0.0, error)), model)
    return Bounded(settled.value.reshape(shape), settled.bound().reshape(shape))


def unusual(value: Array, shape: tuple[int, ...]) -> Bounded:
    """NaN in a matrix reaches all of its elements; of infinities and of unknown elements nothing is said."""
    if not value.size:
        return Bounded(value.reshape(shape))
    known = np.isnan(value).any(axis=(-1, -2), keepdims=True)
    everywhere = np.broadcast_to(known, value.shape)
    filled, bound = np.where(everywhere, np.nan, 0.0), np.where(everywhere, 0.0, np.inf)
    return Bounded(filled.reshape(shape), bound.reshape(shape))


def norm_of(x: Array) -> Array:
    """Frobenius norms from above."""
    return np.sqrt(np.sum(x * x, axis=(-1, -2), keepdims=True)) * (1.0 + x.shape[-1] * x.shape[-2] * OWN)


def of_products(terms: int, narrow: float, model: Model) -> float:
    """The relative error of a sum of that many products, in the orders that the model says, and rounded once more."""
    once_more = 0 if model.sums == "pairwise" and terms > 1 else 1  # which a balanced tree has room for
    return (summation.steps(terms, model) + once_more) * model.of_adding + 2 * model.charge + terms * OWN + narrow


def as_stacked(x: Bounded, batch: int) -> Bounded:
    value = as_matrices(np.asarray(x.value), batch)
    return Bounded(value, as_matrices(np.broadcast_to(x.bound(), np.shape(x.value)), batch))


def flipped(x: Bounded) -> Bounded:
    return Bounded(transposed(x.value), transposed(x.bound()))
