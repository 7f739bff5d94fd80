"""Bounds on Newton-Schulz steps.

A chain of products is not bounded element by element: magnitudes lose what cancels in an orthogonal matrix, and the bound
grows by a power of the size at every step. What a step rounds is bounded by magnitudes; from there on it is carried in the
Frobenius norm by the derivative of all that follows, which singular values give.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refgrad.arithmetic.matrices import as_matrices, gathered, odd_polynomials, transposed
from refgrad.arithmetic.matrix_bounds import norm_of, of_products, unusual
from refgrad.arithmetic.running_error import OWN, Array, Bounded, Model, settle

#: the unit roundoff of bfloat16
BFLOAT16 = 2.0**-8


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
        return unusual(value, shape)
    if precision == "bfloat16":  # the matrix itself, its norm and their quotient may have been rounded
        local = local + 4 * BFLOAT16 * np.abs(value)
    sizes = np.linalg.svd(value, compute_uv=False)
    away = norm_of(local)
    sources: list[_Source] = []
    carried, overflows = np.zeros_like(away), np.zeros(away.shape, bool)
    for polynomial in gathered(numbers, degrees):
        sources.append(_Source.at(np.abs(sizes), away, norm_of(local), value.shape))
        top = np.max(np.abs(sizes), axis=-1)[..., None, None] + away
        local = _rounded(value, away, top, polynomial, precision, model)
        overflows |= ~(_highest(top, polynomial) <= model.largest)
        plain = [np.asarray(number.value, np.float64) for number in polynomial]
        sources = [source.through(plain) for source in sources]
        carried = np.sum([source.size() for source in sources], axis=0)
        value = odd_polynomials(value, [plain], multiply=np.matmul)
        sizes = _polynomial(plain, sizes)
        away = carried + norm_of(local)
    # of infinities that were met on the way nothing is known: in one order they cancel to NaN, in another they do not
    bound, value = np.where(overflows, np.inf, carried + local), np.where(overflows, 0.0, value)
    settled = settle(value, np.where(np.isfinite(bound), bound, np.inf), model)
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
        near = away + shape[-1] * shape[-2] * OWN * (1.0 + np.max(sizes, axis=-1)[..., None, None])
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
    return np.abs(exactly) + 16 * OWN * size + (near + far) * (3 * np.abs(b) * top + 10 * np.abs(c) * top**3)


def _highest(top: Array, polynomial: Sequence[Bounded]) -> Array:
    """What no number is beyond that one polynomial meets, whichever way it is put together.

    Elements of a matrix, and sums of some of the products of two rows, are no larger than the norms: ``top`` of the matrix.
    """
    a, b, *c = (np.abs(np.asarray(n.value)) + np.asarray(n.bound()) for n in polynomial)
    fourth = top**4 if c else 0.0
    ends = top * (a + b * top**2 + (c[0] * fourth if c else 0.0))
    return np.maximum(np.maximum(top**2, fourth), ends) * (1.0 + 2.0**-4)


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
    return np.maximum(left, right) * (1.0 + 2 * of_products(extent, narrow, model)) + lost


def _rounded_beside(
    value: Array, away: Array, top: Array, numbers: Sequence[tuple[Array, Array]], narrow: float, model: Model
) -> Array:
    """`_rounded` for A = X X^T, from magnitudes of coefficients with their errors."""
    (a, a_error), (b, b_error), (c, c_error) = numbers
    rows, columns = value.shape[-2:]
    size = np.abs(value) + away
    squared = of_products(columns, narrow, model) * (size @ transposed(size))
    wrong = norm_of(squared)
    square = np.abs(value @ transposed(value)) + squared + away * (2 * top + away)
    through = (b + c * (2 * top**2 + wrong)) * top * wrong
    both = b * square + c * (square @ square)
    inner = (of_products(rows, narrow, model) + 3 * (model.charge + narrow)) * norm_of(both) * top
    outer = (2 * of_products(rows, narrow, model) + 4 * (model.charge + narrow)) * (a * size + both @ size)
    unsure = a_error * size + (b_error * square + c_error * (square @ square)) @ size
    return outer + unsure + inner + through
