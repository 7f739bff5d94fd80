"""A number with a bound and ends."""

from __future__ import annotations

import numpy as np

from refgrad.arithmetic.bounded import Bounded


def test_ends_are_never_beyond_the_bound() -> None:
    x = Bounded(
        np.asarray([1.0, 2.0]), np.asarray([0.5, np.inf]), low=np.asarray([0.0, 0.0]), nan=np.asarray([False, False])
    )
    assert x.lowest().tolist() == [0.5, 0.0]
    assert x.highest().tolist() == [1.5, np.inf]
    assert x.has_ends()


def test_nothing_tells_of_nan_but_an_infinite_bound() -> None:
    assert Bounded(np.asarray([1.0, np.nan])).may_be_nan().tolist() == [False, True]
    assert Bounded(np.zeros(3), np.asarray([1.0, np.inf, np.nan])).may_be_nan().tolist() == [False, True, True]
    assert Bounded(np.zeros(1), np.asarray([np.inf]), nan=np.asarray([False])).may_be_nan().tolist() == [False]


def test_what_is_known_moves_with_the_numbers() -> None:
    x = Bounded(np.asarray([1.0, 2.0]), np.asarray([np.inf, 1.0]), low=np.asarray([0.5, 1.5]))
    turned = x.mapped(lambda a: a[::-1])
    assert turned.lowest().tolist() == [1.5, 0.5]
    assert turned.bound().tolist() == [1.0, np.inf]
    assert turned.high is None
