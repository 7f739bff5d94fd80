"""Arrays whose operations are off at random: by how much, where not, and what comes of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.special

from refgrad.arithmetic.perturbed import EndlessError, Noise, Perturbed, runs

UNIT = 2.0**-24
X = np.random.default_rng(0).normal(size=(40, 50))


def relative(function: Any, *arrays: np.ndarray, true: Any = None) -> np.ndarray:
    """How far some runs are off, over the largest rounding error of the result."""
    own = function(*arrays) if true is None else true
    found = np.array([np.asarray(each) for each in runs(function, arrays, UNIT, 40)])
    return np.abs(found - own) / (UNIT * np.abs(own))


@pytest.mark.parametrize(
    ("function", "most"),
    [
        (lambda x: x * 3.0, 1.0),
        (lambda x: 1.0 / x, 1.0),
        (np.sqrt, 1.0),
        (np.exp, 4.0),
        (scipy.special.erf, 4.0),
        (lambda x: np.float64(2.0) + x, 1.0),
    ],
)
def test_one_operation_is_off_by_one_rounding(function: Any, most: float) -> None:
    off = relative(function, np.abs(X))
    assert off.max() <= most * (1 + 1e-6)
    assert off.max() > 0.9 * most
    assert np.sqrt(np.mean(off**2)) == pytest.approx(most / 3**0.5, rel=0.05)


@pytest.mark.parametrize(
    "function",
    [np.abs, np.negative, lambda x: np.maximum(x, 0.5), np.floor, lambda x: np.max(x, axis=0), lambda x: x[::2].T],
)
def test_what_no_format_rounds_is_not_off(function: Any) -> None:
    assert (relative(function, X, true=np.where(function(X) == 0, 1.0, function(X))) * (function(X) != 0)).max() == 0


def test_a_sum_is_off_as_one_that_is_added_in_turn() -> None:
    """As far as that of float32 is on average, or a little farther."""
    x = np.abs(np.random.default_rng(1).normal(size=(300, 1000))).astype(np.float32)
    own = x.astype(np.float64).sum(axis=1)
    in_turn = np.abs(np.cumsum(x, axis=1)[:, -1] - own)
    found = np.array(runs(lambda a: a.sum(axis=1), [x.astype(np.float64)], UNIT, 10)) - own
    ratio = np.sqrt(np.mean(found**2)) / np.sqrt(np.mean(in_turn**2))
    assert 1.0 <= ratio <= 2.0


@pytest.mark.parametrize(
    "function",
    [lambda a, b: a @ b, lambda a, b: np.einsum("ij,jk->ik", a, b), np.dot, lambda a, b: np.tensordot(a, b, 1)],
)
def test_products_of_matrices_are_off(function: Any) -> None:
    a, b = X, X.T
    off = np.array([np.asarray(each) - a @ b for each in runs(function, (a, b), UNIT, 10)])
    in_float32 = np.float32(a) @ np.float32(b) - np.float32(a).astype(np.float64) @ np.float32(b).astype(np.float64)
    assert np.sqrt(np.mean(off**2)) > 0.3 * np.sqrt(np.mean(in_float32**2))


@pytest.mark.parametrize("function", [np.linalg.inv, np.fft.fft, lambda x: np.linalg.svd(x).S])
def test_functions_that_leave_the_class_are_off_in_what_they_take_and_give(function: Any) -> None:
    x = X[:40, :40]
    found = np.array([np.asarray(each) for each in runs(function, [x], UNIT, 5)])
    assert np.all(np.std(found, axis=0) > 0)


def test_what_is_filled_and_written_to_stays_off() -> None:
    def filled(x: Any) -> Any:
        y = np.zeros_like(x)
        y[0] = x[0] * 3.0
        y[1:] += x[1:]
        return np.where(y > 0, y, np.stack([y, y])[0])

    (found,) = runs(filled, [X], UNIT, 1)
    assert isinstance(found, Perturbed)
    assert np.asarray(found)[0].tobytes() != filled(X)[0].tobytes()


def test_runs_are_the_same_again_and_differ_from_each_other() -> None:
    first, second = runs(np.exp, [X], UNIT, 2)
    again, _ = runs(np.exp, [X], UNIT, 2)
    assert np.asarray(first).tobytes() == np.asarray(again).tobytes() != np.asarray(second).tobytes()


def test_without_noise_the_bits_are_those_of_the_function() -> None:
    quiet = Perturbed.of(X, Noise(np.random.default_rng(0), 0.0))
    assert np.asarray(np.tanh(quiet) @ quiet.T).tobytes() == (np.tanh(X) @ X.T).tobytes()


def test_a_loop_that_waits_for_equal_numbers_is_ended() -> None:
    def never(x: Any) -> Any:
        while np.all(x * 3.0 != x * 3.0):
            pass
        return x

    with pytest.raises(EndlessError, match="did not end within 500 operations; legal: a loop that does"):
        runs(never, [X], UNIT, 1, most=500)


def test_equal_numbers_are_rounded_alike() -> None:
    numbers = np.array([0.3, -0.3, 0.7, 0.3, 0.0])
    noise = Noise(np.random.Generator(np.random.Philox(0)), 2.0**-24)
    errors = noise.of(numbers)
    assert errors[0] == errors[3] == -errors[1] != 0.0
    assert errors[2] / 0.7 != errors[0] / 0.3
    assert errors[4] == 0.0
    same = noise.of(np.full(5, 2.0), of=numbers)
    assert same[0] == same[1] == same[3] != same[2]
