"""The sums, the maximum and the exponential whose bits refgrad fixes."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pytest

from refgrad import ArgumentError
from refgrad.arithmetic import dtypes
from refgrad.arithmetic.operations.functions import exp
from refgrad.arithmetic.primitives import length, tree_max, tree_sum

#: the terms of a block, as docs/bits.md says
BLOCK = 1024
LENGTHS = [1, 2, 3, 7, 8, 1000, 1023, 1024, 1025, 2048, 2049, 5000, 9 * 1024 + 5]


def folded(terms: list) -> object:
    """The rule of one fold: term i takes term i + h, h being the largest power of two below the number of terms."""
    if len(terms) == 1:
        return terms[0]
    h = next(2**k for k in range(len(terms).bit_length(), -1, -1) if 2**k < len(terms))
    return folded([terms[i] + terms[i + h] if i + h < len(terms) else terms[i] for i in range(h)])


def tree(terms: list) -> object:
    """Blocks first, then the blocks' sums."""
    return folded([folded(terms[i : i + BLOCK]) for i in range(0, len(terms), BLOCK)])


def mixed(n: int, dtype: type, seed: int = 0) -> np.ndarray:
    random = np.random.Generator(np.random.Philox(seed))
    return (random.standard_normal(n) * np.exp2(random.integers(-30, 30, n))).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", LENGTHS)
def test_the_sum_has_the_bits_of_its_tree(n: int, dtype: type) -> None:
    x = mixed(n, dtype)
    assert tree_sum(x).tobytes() == np.asarray(tree(list(x)), dtype).tobytes()
    rows = np.stack([x, mixed(n, dtype, 1)])
    wanted = np.asarray([tree(list(row)) for row in rows], dtype)
    assert tree_sum(rows, "row").ravel().tobytes() == wanted.tobytes()


@pytest.mark.parametrize("n", LENGTHS)
def test_the_sum_is_as_near_as_a_balanced_tree_can_promise(n: int) -> None:
    x = mixed(n, np.float32)
    terms = [Fraction(float(v)) for v in x]
    depth = (n - 1).bit_length() + 1
    u = Fraction(dtypes.format_of(np.float32).unit_roundoff)
    error = abs(Fraction(float(tree_sum(x)[0])) - sum(terms))
    assert error <= depth * u * sum(abs(t) for t in terms)  # Jeannerod & Rump 2013: no terms of higher order


@pytest.mark.parametrize("n", LENGTHS)
def test_the_maximum(n: int) -> None:
    x = mixed(n, np.float32)
    assert tree_max(x) == max(x)
    x[n // 2] = np.nan
    assert np.isnan(tree_max(x)).all()


@pytest.mark.parametrize(("shape", "tensor", "row"), [((2, 3, 4), (1, 1, 1), (2, 1, 1)), ((5,), (1,), (5,))])
def test_reductions_broadcast_against_their_argument(shape: tuple, tensor: tuple, row: tuple) -> None:
    x = np.ones(shape, np.float32)
    assert tree_sum(x).shape == tree_max(x).shape == tensor
    assert tree_sum(x, "row").shape == tree_max(x, "row").shape == row
    assert length(x) == x.size
    assert length(x, "row") == x.size // shape[0]


def test_of_nothing() -> None:
    empty = np.empty((0,), np.float32)
    assert tree_sum(empty) == 0.0
    assert tree_max(empty) == -np.inf
    assert tree_sum(np.empty((2, 0)), "row").tolist() == [[0.0], [0.0]]


def test_what_a_reduction_may_run_over() -> None:
    with pytest.raises(ArgumentError, match="over is 'rows'; legal: 'tensor', 'row' or 'column'"):
        tree_sum(np.ones(3), "rows")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="legal: at least 1"):
        tree_sum(np.asarray(1.0), "row")


def exponents(low: float, high: float, n: int = 3000) -> np.ndarray:
    """Arguments over the whole range, near zero, and beside multiples of ln 2, where the reduction changes."""
    random = np.random.Generator(np.random.Philox(3))
    near = np.exp2(random.uniform(-60, 0, n)) * random.choice([-1, 1], n)
    steps = (
        np.rint(random.uniform(low, high, n) / np.log(2) * 2) / 2 * np.log(2) * (1 + random.uniform(-4, 4, n) * 2**-50)
    )
    return np.concatenate([random.uniform(low, high, n), near, np.clip(steps, low, high)])


def off(value: float, x: float, dtype: type) -> float:
    """The distance of a result from e**x in units in the last place of e**x."""
    with mpmath.workdps(50):
        truth = mpmath.exp(mpmath.mpf(x))
        unit = mpmath.mpf(float(dtypes.ulp(np.asarray(float(truth)), dtype)))
        return float(abs(mpmath.mpf(value) - truth) / unit)


@pytest.mark.slow
def test_exp_in_float64_is_within_the_bound_that_it_states() -> None:
    """1.25 units: at r = -ln(2)/2, where e**r is 0.71, the last sum rounds by 0.5, the product in it by 0.25, what it

    multiplies by 0.26, the reduced argument by 0.18, and the polynomial is cut by 0.05.
    """
    x = exponents(-744.0, 709.7)
    assert max(off(float(y), float(a), np.float64) for a, y in zip(x, exp(x), strict=True)) <= 1.25


@pytest.mark.slow
def test_exp_in_float32_is_correctly_rounded() -> None:
    x = exponents(-103.0, 88.7).astype(np.float32)
    y = exp(x)
    assert y.dtype == np.float32
    assert max(off(float(v), float(a), np.float32) for a, v in zip(x, y, strict=True)) <= 0.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_exp_of_special_values(dtype: type) -> None:
    x = np.asarray([0.0, -0.0, np.inf, -np.inf, np.nan, 1e30, -1e30], dtype)
    assert repr(exp(x).tolist()) == repr([1.0, 1.0, np.inf, 0.0, np.nan, np.inf, 0.0])
