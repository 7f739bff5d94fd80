"""Rotations of filters as matrices: what turns them, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.estimators.rotation import Rotation, learned_rotation, rotate, sides

TURN = Rotation(np.asarray([[0.0, -1.0], [1.0, 0.0]]), np.eye(3))


def test_sides_are_the_nearest_divisors() -> None:
    assert [sides(n) for n in (1, 7, 36, 12)] == [(1, 1), (1, 7), (6, 6), (3, 4)]
    for wrong in (0, 2.0, 10**13):
        with pytest.raises(ArgumentError, match=r"^n is"):
            sides(wrong)  # type: ignore[arg-type]


def test_filters_are_turned_whatever_their_order_in_memory() -> None:
    w = np.arange(12.0).reshape(2, 6)
    turned = rotate(w, TURN)
    assert turned[0].tolist() == [3.0, 4.0, 5.0, -0.0, -1.0, -2.0]
    assert rotate(np.asfortranarray(w), TURN).tobytes() == turned.tobytes()
    learned = learned_rotation(w, TURN, rounds=1)
    assert learned_rotation(np.asfortranarray(w), TURN, rounds=1).left.tobytes() == learned.left.tobytes()


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"w\.shape is"):
        rotate(np.zeros(7), TURN)
    with pytest.raises(ArgumentError, match=r"rotation\[1\]\.shape is"):
        learned_rotation(np.zeros(6), Rotation(np.eye(2), np.zeros((3, 2))))
    with pytest.raises(ArgumentError, match="rotation is None"):
        rotate(np.zeros(6), None)  # type: ignore[arg-type]
