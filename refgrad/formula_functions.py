"""Functions for the bodies of formulas, besides NumPy's: each is written in NumPy's vocabulary, on whatever stands for arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic import picking
from refgrad.arithmetic.function_arguments import AXIS, Carried, Floats, Labels, gated
from refgrad.arithmetic.operations.op import Value
from refgrad.arithmetic.stored_places import stored as stored
from refgrad.arithmetic.subgradients import stop_gradient as stop_gradient
from refgrad.arithmetic.subgradients import top_k as top_k
from refgrad.errors import bad_argument
from refgrad.legal import Flag, Whole

#: the matrix of signs of a longer one would fill the memory
LONGEST_TRANSFORM = 4096
_CARRIED, _LABELS = Carried(Floats()), Carried(Labels(0, 2**62))


@gated(x=_CARRIED, axis=AXIS)
def softmax(x: Any, axis: int = -1) -> Any:
    """The shares of exponentials: ``exp(x - max x)`` over its sum along an axis.

    Args:
        x: an array of any float dtype, or what stands for one in a formula.
        axis: along which shares add up to one.

    Returns:
        Shares of the shape of ``x``.

    >>> softmax(np.array([0.0, 0.0])).tolist()
    [0.5, 0.5]
    """
    _check_axis(x, axis)
    powers = np.exp(x - stop_gradient(np.max(x, axis=axis, keepdims=True)))
    return powers / np.sum(powers, axis=axis, keepdims=True)


@gated(x=_CARRIED, axis=AXIS, keepdims=Flag("the axis is kept"))
def logsumexp(x: Any, axis: int = -1, keepdims: bool = False) -> Any:
    """The logarithm of a sum of exponentials along an axis, from which the largest is taken out first.

    Args:
        x: an array of any float dtype, or what stands for one in a formula.
        axis: the axis.
        keepdims: True to keep it, of length one.

    Returns:
        The logarithms, of the shape of ``x`` but for the axis.

    >>> float(logsumexp(np.array([0.0, 0.0])))
    0.6931471805599453
    """
    _check_axis(x, axis)
    largest = stop_gradient(np.max(x, axis=axis, keepdims=True))
    total = largest + np.log(np.sum(np.exp(x - largest), axis=axis, keepdims=True))
    return total if keepdims else np.squeeze(total, axis)


@gated(x=_CARRIED, axis=AXIS)
def hadamard(x: Any, axis: int = -1) -> Any:
    """The Walsh-Hadamard transform along an axis: products with Sylvester's matrix of signs, in its natural order.

    Entry (i, j) of the matrix is -1 to the number of bits that i and j both have. It is not scaled: twice in turn is the length
    times ``x``, and ``hadamard(x) / sqrt(n)`` keeps lengths. A kernel may multiply by the matrix, or go by butterflies.

    Args:
        x: an array of any float dtype, or what stands for one in a formula.
        axis: along which it is transformed; its length is a power of two, up to 4096. A formula declares that by a number, as in
            ``x="batch 64"``.

    Returns:
        An array of the shape of ``x``.

    Raises:
        ArgumentError: the axis is not one of the array's, or its length is no power of two up to 4096.

    >>> hadamard(np.array([1.0, 2.0, 3.0, 4.0])).tolist()
    [10.0, -2.0, -4.0, 0.0]
    """
    _check_axis(x, axis)
    n = int(x.shape[axis])
    if n < 1 or n & (n - 1) or n > LONGEST_TRANSFORM:
        raise bad_argument("x.shape", tuple(x.shape), f"a power of two up to {LONGEST_TRANSFORM} along axis {axis}")
    rows = np.swapaxes(x, axis, -1)
    found = _butterflies(rows) if isinstance(x, np.ndarray) else rows @ signs(n)
    return np.swapaxes(found, axis, -1)


def signs(n: int) -> np.ndarray:
    """Sylvester's matrix of signs of a power of two."""
    found = np.ones((1, 1))
    while len(found) < n:
        found = np.block([[found, found], [found, -found]])
    return found


def _butterflies(x: np.ndarray) -> np.ndarray:
    """The transform of rows by sums and differences of halves."""
    shape, apart = x.shape, 1
    while apart < shape[-1]:
        pairs = np.reshape(x, (*shape[:-1], shape[-1] // (2 * apart), 2, apart))
        low, high = pairs[..., 0, :], pairs[..., 1, :]
        x = np.reshape(np.stack([low + high, low - high], axis=-2), shape)
        apart *= 2
    return x


@gated(labels=_LABELS, count=Whole(0, 10_000_000))
def one_hot(labels: Any, count: int) -> Any:
    """Rows of zeros with a one where the label says.

    Args:
        labels: whole numbers from 0 to ``count`` - 1, of any shape.
        count: how long a row is.

    Returns:
        Float32 of the shape of ``labels`` with one more axis at the end; the numbers are exact in any format.

    >>> one_hot(np.array([2, 0]), 3).tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if isinstance(labels, Value):
        return picking.one_hot(labels, count)
    _check_below(labels, count)
    return (labels[..., None] == np.arange(count)).astype(np.float32)


@gated(x=_CARRIED, labels=_LABELS)
def take(x: Any, labels: Any) -> Any:
    """The number of each row that its label says.

    Args:
        x: an array of any float dtype, or what stands for one in a formula, of the shape of ``labels`` with one more axis.
        labels: whole numbers from 0 on below the length of the last axis.

    Returns:
        The numbers, of the shape of ``labels``. A row of a table for each label is ``table[labels]``.

    >>> take(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 0])).tolist()
    [2.0, 3.0]
    """
    if x.shape[:-1] != labels.shape or not x.shape:
        raise bad_argument("x.shape", x.shape, f"{labels.shape}, the shape of labels, with one more axis")
    if isinstance(labels, Value):
        return picking.take(x, labels)
    _check_below(labels, x.shape[-1])
    return x[(*np.indices(labels.shape, sparse=True), labels)]


@gated(x=_CARRIED, labels=_LABELS, count=Whole(1, 10_000_000))
def segment_sum(x: Any, labels: Any, count: int) -> Any:
    """The sum of the rows that have each label.

    Args:
        x: rows, of any float dtype, or what stands for them in a formula: an array with the axis of ``labels`` first.
        labels: a whole number from 0 to ``count`` - 1 for each row.
        count: how many sums there are.

    Returns:
        The sums, ``count`` rows; zeros where no row has the label.

    Raises:
        ArgumentError: ``count`` is no whole number from 1 on, or labels are not one a row.

    >>> segment_sum(np.array([1.0, 2.0, 4.0]), np.array([1, 0, 1]), 3).tolist()
    [2.0, 5.0, 0.0]
    """
    if not x.shape or labels.shape != x.shape[:1]:
        raise bad_argument("labels", labels.shape, f"whole numbers of the shape {tuple(x.shape[:1])}, one a row")
    if isinstance(labels, Value):
        return picking.segment_sum(x, labels, count)
    _check_below(labels, count)
    return np.stack([np.sum(x[np.flatnonzero(labels == label)], axis=0) for label in range(count)])


def _check_axis(x: Any, axis: int) -> None:
    """`ArgumentError` for an axis that an array has not, or along which there is nothing."""
    if not x.ndim:
        raise bad_argument("x.ndim", 0, "one axis at least")
    Whole(-x.ndim, x.ndim - 1).check("axis", axis)
    if not x.shape[axis]:
        raise bad_argument("x.shape", x.shape, f"one number at least along axis {axis}")


def _check_below(labels: np.ndarray, count: int) -> None:
    if labels.size and labels.max() >= count:
        raise bad_argument("labels", int(labels.max()), f"whole numbers from 0 to {count - 1}")
