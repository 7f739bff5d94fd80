"""Bounds on operations that join the elements of arrays of any shape, as in `refgrad.arithmetic.running_error`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refgrad.arithmetic import summation
from refgrad.arithmetic.bounded import Bounded
from refgrad.arithmetic.running_error import Model, minimum, settle


def product(a: Bounded, b: Bounded, model: Model) -> Bounded:
    """A product of matrices, or with a vector: sums of products in the orders that the model says."""
    return _sums_of_products([a, b], lambda left, right: left @ right, a.value.shape[-1], model)


def einsum(spec: str, operands: Sequence[Bounded], model: Model) -> Bounded:
    """Sums of products of elements, as `numpy.einsum` has them: products in any order, added in the orders that the model says.

    Args:
        spec: which axes meet and which are folded, such as ``"id,jd->ij"``.
        operands: the factors.
        model: what is charged.
    """
    taken, _, given = spec.partition("->")
    lengths = {
        axis: length
        for axes, operand in zip(taken.split(","), operands, strict=True)
        for axis, length in zip(axes, np.shape(operand.value), strict=True)
    }
    terms = math.prod(length for axis, length in lengths.items() if axis not in given)
    return _sums_of_products(operands, lambda *arrays: np.einsum(spec, *arrays, optimize=True), terms, model)


def _sums_of_products(
    operands: Sequence[Bounded], multiplied: Callable[..., np.ndarray], terms: int, model: Model
) -> Bounded:
    """Sums of products of some factors.

    What the factors are off by is carried one factor at a time: those before it as they are, those after it at their largest.

    Args:
        operands: the factors.
        multiplied: the sums, of the numbers of all factors.
        terms: how many products are added to one number.
        model: what is charged.
    """
    values, errors = [x.value for x in operands], [x.bound() for x in operands]
    sizes = [np.abs(value) + error for value, error in zip(values, errors, strict=True)]
    magnitude = multiplied(*sizes)
    carried: Any = 0.0
    for i, error in enumerate(errors):
        if np.any(error):
            carried = carried + multiplied(*map(np.abs, values[:i]), error, *sizes[i + 1 :])
    factors = len(operands)
    relative = _of_terms(factors, model) + summation.steps(terms, model) * model.of_adding + terms * factors * 2.0**-53
    some = multiplied(*((size != 0.0).astype(np.float64) for size in sizes))  # a product with zero loses nothing
    error = carried + relative * magnitude + some * (max(factors - 1, 1) * model.underflow)
    return Bounded(multiplied(*values), error)


def _of_terms(factors: int, model: Model) -> float:
    """What the products are off by, and the sum where it is rounded at the end: products are made in what is added in."""
    if model.added_in is None:
        return model.charge * factors
    return model.charge + model.roundings * model.added_in * factors


def solution(a: Bounded, b: Bounded, model: Model) -> Bounded:
    """The solution of a symmetric positive definite system, by elimination, a factorization or the inverse.

    With A x = b and an error dA, db of each, |x' - x| <= |A^-1| (|dA| |x'| + |db|). A method's own backward error is charged to
    |dA_ij| <= 3 n (n + 1) u sqrt(a_ii a_jj), the bound of Cholesky's factorization (Higham 2002, theorem 10.3) with room for
    elimination and for products with the inverse, and x' is |A^-1| |b|, by which the inverse's products are bounded too.

    Of a matrix that is zero beside a band of k diagonals on either side, factors have no more than 2 k + 1 numbers in a row
    (with exchanges of rows, k without), and all else is a sum of zeros: n is that number then, and dA is zero beyond 2 k.
    """
    inverse = np.abs(np.linalg.inv(a.value))
    n = a.value.shape[-1]
    scale = np.sqrt(np.abs(np.diagonal(a.value)))
    reach = 2 * _band(a)
    terms, apart = min(n, reach + 1), np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    own = 3 * terms * (terms + 1) * (model.unit_roundoff * model.roundings) * np.outer(scale, scale) * (apart <= reach)
    perturbation = a.bound() + own
    first = inverse @ (np.abs(b.value) + b.bound())
    growth = np.max(np.sum(inverse @ perturbation, axis=-1), initial=0.0)
    error = inverse @ (perturbation @ first + b.bound() + model.charge * n * np.abs(b.value))
    error = error / (1.0 - growth) if growth < 0.5 else np.full(error.shape, np.inf)
    return Bounded(np.linalg.solve(a.value, b.value), error + n * model.underflow)


def cholesky(a: Bounded, model: Model) -> Bounded:
    """The lower triangle L of a symmetric positive definite matrix A = L L^T, by any order of its sums; stacks of matrices too.

    A method's own backward error is charged to |dA_ij| <= 2 (n + 1) u sqrt(a_ii a_jj) (Higham 2002, theorem 10.3). With the
    matrix's own error this is E, and L' = L (I + G), where G is lower triangular and G + G^T + G G^T = F = L^-1 E L^-T. So
    |G| <= low |F| + |G| |G|^T, low taking the lower triangle with half of the diagonal; with g the Frobenius norm of G and f
    that of low |F|, g <= f + g^2, and where f < 1/4 the smaller root holds, as G grows from 0 with F.

    Args:
        a: the matrix, of which the lower triangle is read.
        model: how programs round.
    """
    known = np.isfinite(a.value).all(axis=(-1, -2), keepdims=True)
    n, value = a.value.shape[-1], np.linalg.cholesky(np.where(known, a.value, np.eye(a.value.shape[-1])))
    scale = np.sqrt(np.abs(np.diagonal(a.value, axis1=-2, axis2=-1)))
    own = 2 * (n + 1) * (model.unit_roundoff * model.roundings) * scale[..., :, None] * scale[..., None, :]
    inverse, lower = np.abs(np.linalg.inv(value)), np.tril(np.ones((n, n)))
    carried = np.tril(a.bound()) + np.swapaxes(np.tril(a.bound(), -1), -1, -2)
    first = inverse @ (carried + own) @ np.swapaxes(inverse, -1, -2) * (lower - 0.5 * np.eye(n))
    size = np.sqrt(np.sum(first * first, axis=(-1, -2), keepdims=True))
    with np.errstate(invalid="ignore"):
        root = (1.0 - np.sqrt(1.0 - 4.0 * size)) / 2.0
    error = np.abs(value) @ (first + root * root * lower) * lower + lower * n * model.underflow
    unknown = np.where((lower > 0.0) | ~known, np.inf, 0.0)  # programs make of NaN what they like
    return Bounded(value, np.where(known & (size < 0.25), error, unknown))


def _band(a: Bounded) -> int:
    """How far from the diagonal a matrix has numbers that are not known to be zero."""
    rows, columns = np.nonzero((a.value != 0.0) | (a.bound() != 0.0))
    return int(np.max(np.abs(rows - columns), initial=0))


def log1p(x: Bounded, model: Model) -> Bounded:
    """The logarithm of one more."""
    value, room = np.log1p(x.value), 1.0 + x.value - x.bound()
    carried = np.where(room > 0.0, x.bound() / room, np.where(x.bound() > 0.0, np.inf, 0.0))
    return _of_library(value, carried, model)


def fmin(a: Bounded, b: Bounded, model: Model) -> Bounded:
    """The lesser of two, or the one that is a number."""
    least = minimum(a, b, model)
    value = np.fmin(a.value, b.value)
    error = np.where(np.isnan(a.value), b.bound(), np.where(np.isnan(b.value), a.bound(), least.bound()))
    return Bounded(value, error)


def expm1(x: Bounded, model: Model) -> Bounded:
    """The exponential less one."""
    value = np.expm1(x.value)
    carried = (np.abs(value) + 1.0) * np.expm1(x.bound())
    return _of_library(value, carried, model)


def erf(x: Bounded, value: np.ndarray, model: Model) -> Bounded:
    """The error function, whose slope is steepest at zero.

    Args:
        x: the argument.
        value: the function of its centre.
        model: what is charged.
    """
    return _of_library(value, np.minimum(2.0 / math.sqrt(math.pi) * x.bound(), 2.0), model)


def expit(x: Bounded, value: np.ndarray, model: Model) -> Bounded:
    """The logistic function, written as one over one more than an exponential: its arguments as of `erf`."""
    carried = np.minimum(np.minimum(0.25 * x.bound(), value * np.expm1(x.bound())), 1.0)
    # one over infinity is zero, where the exponential overflows
    carried = np.where(np.exp(x.bound() - x.value) >= model.largest, np.maximum(carried, value), carried)
    return _of_library(value, carried, model)


def _of_library(value: np.ndarray, carried: np.ndarray, model: Model) -> Bounded:
    error = carried + (model.charge + 8 * model.unit_roundoff) * (np.abs(value) + carried) + model.underflow
    return settle(value, error, model)


def ordered(x: Bounded, axis: int) -> Bounded:
    """Numbers in rising order along an axis: each place lies between the ends in their order."""
    value = np.sort(x.value, axis=axis)
    low, high = (np.sort(end, axis=axis) for end in (x.value - x.bound(), x.value + x.bound()))
    return Bounded(value, np.maximum(high - value, value - low))


def cumulated(x: Bounded, axis: int, model: Model) -> Bounded:
    """Sums of the first elements along an axis, each in any order."""
    value, count = np.cumsum(x.value, axis=axis), np.shape(x.value)[axis]
    shape = tuple(count if i == axis else 1 for i in range(np.ndim(x.value)))
    steps = np.arange(count, dtype=np.float64).reshape(shape)
    magnitude = np.cumsum(np.abs(x.value) + x.bound(), axis=axis)
    relative = steps * model.unit_roundoff + (steps + 1) * 2.0**-52
    return settle(value, np.cumsum(x.bound(), axis=axis) + relative * magnitude, model)


def shares_of_largest(x: Bounded, axes: tuple[int, ...]) -> Bounded:
    """By how much each number is the largest along axes: one or nothing, or anything between where several may be it."""
    low, high = x.value - x.bound(), x.value + x.bound()
    may_be = high >= np.max(low, axis=axes, keepdims=True)
    alone = np.sum(may_be, axis=axes, keepdims=True) == 1
    return Bounded(np.where(may_be, np.where(alone, 1.0, 0.5), 0.0), np.where(may_be & ~alone, 0.5, 0.0))


def _places_in_order(x: Bounded, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last place that each number may have in rising order; the axis is moved to the end."""
    centre, reach = (np.moveaxis(part, axis, -1) for part in (x.value, x.bound()))
    low, high = centre - reach, centre + reach
    first = np.sum(high[..., None, :] < low[..., :, None], axis=-1)
    return first, centre.shape[-1] - 1 - np.sum(low[..., None, :] > high[..., :, None], axis=-1)


def resorted(x: Bounded, numbers: Bounded, axis: int) -> Bounded:
    """Numbers that stand where those of ``x`` do, in the order that sorts these; at each place any of those that may be there."""
    first, last = _places_in_order(x, axis)
    shape = np.broadcast_shapes(np.shape(numbers.value), np.shape(numbers.bound()))
    value, error = (np.moveaxis(np.broadcast_to(end, shape), axis, -1) for end in (numbers.value, numbers.bound()))
    place = np.arange(first.shape[-1])[:, None]
    may = (first[..., None, :] <= place) & (place <= last[..., None, :])
    likely = np.argmax(may, axis=-1)
    least = np.min(np.where(may, (value - error)[..., None, :], np.inf), axis=-1)
    most = np.max(np.where(may, (value + error)[..., None, :], -np.inf), axis=-1)
    alone = np.sum(may, axis=-1) == 1
    centre = np.where(alone, np.take_along_axis(value, likely, -1), 0.5 * least + 0.5 * most)
    room = np.where(alone, np.take_along_axis(error, likely, -1), (0.5 * most - 0.5 * least) * (1.0 + 4 * 2.0**-53))
    return Bounded(np.moveaxis(centre, -1, axis), np.moveaxis(room, -1, axis))


def unsorted(x: Bounded, numbers: Bounded, axis: int) -> Bounded:
    """Numbers in the order that sorts ``x``, each at the place where its element was before.

    An element whose place in the order is not sure has any number of the places that it may have.
    """
    first, last = _places_in_order(x, axis)
    shape = np.broadcast_shapes(np.shape(numbers.value), np.shape(numbers.bound()))
    ends = [np.moveaxis(np.broadcast_to(end, shape), axis, -1) for end in (numbers.value, numbers.bound())]
    least, most = ends[0] - ends[1], ends[0] + ends[1]
    taken = [np.take_along_axis(end, first, -1) for end in (ends[0], ends[1], least, most)]
    value, error, least_of, most_of = (end.copy() for end in taken)
    for at in np.argwhere(last > first):
        row, places = tuple(at[:-1]), slice(first[tuple(at)], last[tuple(at)] + 1)
        least_of[tuple(at)], most_of[tuple(at)] = least[row][places].min(), most[row][places].max()
    open_ = last > first
    value = np.where(open_, 0.5 * least_of + 0.5 * most_of, value)
    error = np.where(open_, (0.5 * most_of - 0.5 * least_of) * (1.0 + 4 * 2.0**-53), error)
    return Bounded(np.moveaxis(value, -1, axis), np.moveaxis(error, -1, axis))
