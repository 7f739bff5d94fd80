"""What a gradient says where a function has a kink: functions of arrays, each of which has a value for every admissible choice.

They are called as NumPy's functions are, on arrays and on whatever stands for arrays. Of floats they give one choice; of
values with a bound, the set of all of them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.arithmetic.function_arguments import COUNT, Carried, Floats, gated
from refgrad.errors import bad_argument


def known_to_carriers(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that hands itself to what stands for an array, as NumPy's do (NEP 18)."""

    @functools.wraps(function)
    def call(*args: Any, **how: Any) -> Any:
        for each in args:
            if not isinstance(each, np.ndarray) and hasattr(type(each), "__array_function__"):
                return each.__array_function__(call, (type(each),), args, how)
        return function(*args, **how)

    return call


@known_to_carriers
def stop_gradient(x: Any) -> Any:
    """The array itself, which a gradient takes for a constant.

    Args:
        x: an array of any float dtype, or what stands for one in a formula.

    Returns:
        The numbers of ``x``. `refgrad.softmax` takes the largest number out so: its gradient has no part in the result's.

    >>> stop_gradient(np.array([1.0, 2.0])).tolist()
    [1.0, 2.0]
    """
    return x


@known_to_carriers
def between(a: Any, b: Any) -> Any:
    """Any number from one to another; of floats, the middle, as most programs have it at a tie of two."""
    return 0.5 * a + 0.5 * b


@known_to_carriers
def largest_shares(x: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    """By how much each element is the largest along axes: shares that add up to one; of floats, equal ones at a tie."""
    largest = x == np.max(x, axis=axis, keepdims=True)
    return np.asarray(largest / np.sum(largest, axis=axis, keepdims=True)).astype(x.dtype)


@known_to_carriers
def unsorted(x: np.ndarray, sorted_: np.ndarray, axis: int) -> np.ndarray:
    """Numbers that stand in the order of ``x`` when it is sorted, each at the place that its element came from."""
    order = np.argsort(x, axis=axis, kind="stable")
    found = np.empty_like(sorted_)
    np.put_along_axis(found, order, sorted_, axis)
    return found


@known_to_carriers
def resorted(x: np.ndarray, numbers: np.ndarray, axis: int) -> np.ndarray:
    """Numbers at places of ``x``, in the order in which these are sorted: what `unsorted` undoes."""
    order = np.argsort(x, axis=axis, kind="stable")
    return np.take_along_axis(numbers, order, axis)


@known_to_carriers
@gated(x=Carried(Floats()), count=COUNT)
def top_k(x: Any, count: int) -> Any:
    """Where the largest numbers of each row stand, along the last axis.

    Args:
        x: an array of any float dtype, or what stands for one in a formula.
        count: how many of each row; all, where a row has no more.

    Returns:
        Truth values of the shape of ``x``, a condition for `numpy.where`: no gradient goes through it. Of equal numbers at the
        edge the first are taken; a kernel may take others.

    >>> top_k(np.array([[3.0, 1.0, 2.0]]), 2).tolist()
    [[True, False, True]]
    """
    if not x.ndim:
        raise bad_argument("x.ndim", 0, "one axis at least")
    return largest_places(x, count)


def largest_places(x: np.ndarray, count: int) -> np.ndarray:
    """`top_k` of an array of any real dtype, also of more digits than float64, with an axis.

    Args:
        x: the numbers.
        count: how many of each row.

    Returns:
        Truth values of the shape of ``x``.
    """
    chosen = np.argsort(-x, axis=-1, kind="stable")[..., :count]
    found = np.zeros(x.shape, bool)
    np.put_along_axis(found, chosen, True, axis=-1)
    return found
