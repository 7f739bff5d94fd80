"""Places as an index of slices or an order of axes, and constants by what makes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.arithmetic.moved_places import index_of, makers, order_of

SHAPE = (4, 3, 5)
NUMBERS = np.arange(60).reshape(SHAPE)


@pytest.mark.parametrize(
    "key",
    [
        np.s_[0],
        np.s_[:, 1],
        np.s_[..., 4],
        np.s_[1:3, :, ::2],
        np.s_[::-1, 2, 3:0:-1],
        np.s_[-1:, ::-2],
    ],
)
def test_an_index_takes_what_it_was_found_of(key: Any) -> None:
    found = index_of(NUMBERS[key], SHAPE)
    assert found is not None
    assert np.array_equal(NUMBERS[found].ravel(), NUMBERS[key].ravel())


def test_what_no_slices_take_has_no_index() -> None:
    for places in (
        NUMBERS[[0, 1, 3]],
        np.roll(NUMBERS, 1),
        NUMBERS.transpose(1, 0, 2),
        np.repeat(NUMBERS, 2),
        NUMBERS[:0],
    ):
        assert index_of(places, SHAPE) is None
    assert index_of(np.zeros(1, int), ()) is None


def test_orders_of_axes() -> None:
    for order in ((0, 1, 2), (2, 0, 1), (1, 0, 2)):
        assert order_of(NUMBERS.transpose(order), SHAPE) == order
    assert order_of(np.roll(NUMBERS, 1), SHAPE) is None
    assert order_of(NUMBERS[:2], SHAPE) is None


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.full((2, 3), -np.inf), "np.full((2, 3), -np.inf)"),
        (np.full((2, 3), np.nan), "np.full((2, 3), np.nan)"),
        (np.ones(3, bool), "np.full((3,), True)"),
        (np.arange(4), "np.arange(4)"),
        (np.arange(4)[:, None], "np.reshape(np.arange(4), (4, 1))"),
        (np.eye(3, 4, dtype=bool), "np.eye(3, 4, dtype=bool)"),
        (np.tri(3, 4, -1), "np.tri(3, 4, -1)"),
        (np.tri(3, 3, 1, dtype=int), "np.tri(3, 3, 1, dtype=int)"),
        (~np.tri(3, 3, dtype=bool), "~np.tri(3, 3, dtype=bool)"),
        (1 - np.tri(3, 3), "(1 - np.tri(3, 3))"),
    ],
)
def test_what_makes_a_constant_makes_it(array: np.ndarray, text: str) -> None:
    same = (m for m in makers(array) if np.array_equal(m.array(array.shape), array, equal_nan=array.dtype.kind == "f"))
    lengths = list(map(str, array.shape))
    found = next(same).text.format(*lengths, all=", ".join(lengths) + "," * (array.ndim == 1))
    assert found == text
    made = eval(found, {"np": np})
    assert np.array_equal(made, array, equal_nan=array.dtype.kind == "f")
    assert made.dtype == array.dtype
