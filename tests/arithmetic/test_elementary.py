"""Elementary functions against mpmath: correctly rounded where that is promised, within their bounds elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from refgrad.arithmetic.operations import functions
from refgrad.optimizers import Optimizer
from refgrad.rule import NonNegative

DTYPES = [np.float32, np.float64]
PRECISION = 1300


def spread(random: np.random.Generator, dtype: type, count: int) -> np.ndarray:
    """Numbers of every magnitude of the dtype, and of ordinary size."""
    info = np.finfo(dtype)
    exponents = random.integers(info.minexp - info.nmant, info.maxexp, count)
    wild = np.ldexp(random.uniform(1, 2, count), exponents) * random.choice([-1.0, 1.0], count)
    return np.concatenate([wild, random.uniform(-60, 60, count)]).astype(dtype)


def near_quarter_turns(random: np.random.Generator, dtype: type, count: int) -> np.ndarray:
    """The floats nearest to multiples of pi/2, and their neighbours: up to large multiples."""
    with mpmath.workprec(PRECISION):
        largest = 96 if dtype is np.float32 else 900
        multiples = [int(random.integers(1, 2**30)) << int(e) for e in random.integers(0, largest, count)]
        multiples += [int(k) for k in random.integers(1, 2**20, count)]
        values = np.asarray([float(k * mpmath.pi / 2) for k in multiples])
    middle = values.astype(dtype)
    return np.concatenate([middle, np.nextafter(middle, dtype(0)), np.nextafter(middle, dtype(np.inf))])


def distance(value: Any, truth: mpmath.mpf, dtype: type) -> float:
    """How far a float is from the truth, in units in the last place of the truth."""
    unit = np.spacing(np.abs(dtype(float(truth))))
    return float(abs(mpmath.mpf(float(value)) - truth) / mpmath.mpf(float(unit)))


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("function", "truth"), [(functions.sin, mpmath.sin), (functions.cos, mpmath.cos)])
def test_sine_and_cosine_are_the_nearest_float(function: Callable, truth: Callable, dtype: type) -> None:
    random = np.random.default_rng(7)
    x = np.concatenate([spread(random, dtype, 400), near_quarter_turns(random, dtype, 150)])
    x = np.append(x, dtype(6381956970095103.0 * 2.0**797) if dtype is np.float64 else dtype(16367173.0 * 2.0**72))
    # what is promised: right unless within so many units of a midpoint
    slack = 2.0**-25 if dtype is np.float32 else 2.0**-30
    with mpmath.workprec(PRECISION):
        for value, result in zip(x, function(x), strict=True):
            assert distance(result, truth(mpmath.mpf(float(value))), dtype) <= 0.5 + slack, repr(value)


#: function, its truth, its domain, and the units in the last place of float64 that it is promised to be within
BOUNDED = [
    ("exp", mpmath.exp, (-700.0, 700.0), 1.0 + 2.0**-4),
    ("tanh", mpmath.tanh, (-30.0, 30.0), 3.0),
    ("erf", mpmath.erf, (-30.0, 30.0), 3.0),
    ("arctan", mpmath.atan, (-1e300, 1e300), 3.0),
    ("sinh", mpmath.sinh, (-710.0, 710.0), 5.0),
    ("cosh", mpmath.cosh, (-710.0, 710.0), 5.0),
    ("log", mpmath.log, (1e-300, 1e300), 2.0),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("name", "truth", "domain", "units"), BOUNDED)
def test_the_others_keep_their_bounds(
    name: str, truth: Callable, domain: tuple[float, float], units: float, dtype: type
) -> None:
    random = np.random.default_rng(8)
    x = np.concatenate([spread(random, dtype, 500), random.uniform(0.5, 2, 300).astype(dtype)])
    x = x[(x > max(domain[0], float(np.finfo(dtype).min))) & (x < min(domain[1], float(np.finfo(dtype).max)))]
    x = x[np.abs(x) < 80] if name in ("exp", "sinh", "cosh") and dtype is np.float32 else x
    allowed = units if dtype is np.float64 else 0.5 + units * 2.0**-28
    with mpmath.workprec(200):
        for value, result in zip(x, getattr(functions, name)(x), strict=True):
            assert distance(result, truth(mpmath.mpf(float(value))), dtype) <= allowed, repr(value)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [-2.0 / 3.0, 0.37, 1.0, -0.0])
def test_powers(exponent: float, dtype: type) -> None:
    random = np.random.default_rng(9)
    x = random.uniform(1e-6, 3, 400).astype(dtype)
    with mpmath.workprec(200):
        meant = mpmath.mpf(float(dtype(exponent)))
        for value, result in zip(x, functions.power(x, exponent), strict=True):
            base = mpmath.mpf(float(value))
            units = 3 + 2 * abs(meant * mpmath.log(base))
            allowed = units if dtype is np.float64 else mpmath.mpf(0.5) + units * 2.0**-28
            assert distance(result, base**meant, dtype) <= allowed, repr(value)


SPECIAL = {
    "sin": [0.0, -0.0, np.nan, np.nan, np.nan],
    "cos": [1.0, 1.0, np.nan, np.nan, np.nan],
    "tanh": [0.0, -0.0, 1.0, -1.0, np.nan],
    "erf": [0.0, -0.0, 1.0, -1.0, np.nan],
    "arctan": [0.0, -0.0, np.pi / 2, -np.pi / 2, np.nan],
    "sinh": [0.0, -0.0, np.inf, -np.inf, np.nan],
    "cosh": [1.0, 1.0, np.inf, np.inf, np.nan],
    "exp": [1.0, 1.0, np.inf, 0.0, np.nan],
    "log": [-np.inf, -np.inf, np.inf, np.nan, np.nan],
    "power_of_two": [1.0, 1.0, np.inf, 0.0, np.nan],
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", SPECIAL)
def test_special_values(name: str, dtype: type) -> None:
    x = np.asarray([0.0, -0.0, np.inf, -np.inf, np.nan], dtype)
    result, wanted = getattr(functions, name)(x), np.asarray(SPECIAL[name], dtype)
    np.testing.assert_array_equal(result, wanted)
    finite = ~np.isnan(wanted)
    assert (np.signbit(result) == np.signbit(wanted))[finite].all()


def test_shapes_and_dtypes_are_kept() -> None:
    for shape in [(), (0,), (2, 3)]:
        for dtype in DTYPES:
            result = functions.sin(np.ones(shape, dtype))
            assert (result.shape, result.dtype) == (shape, np.dtype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_powers_of_two_are_exact(dtype: type) -> None:
    k = np.arange(np.finfo(dtype).minexp - np.finfo(dtype).nmant, np.finfo(dtype).maxexp).astype(dtype)
    np.testing.assert_array_equal(functions.power_of_two(k), np.ldexp(dtype(1), k.astype(int)))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_hypotenuse_neither_overflows_nor_is_lost(dtype: type) -> None:
    random = np.random.default_rng(11)
    a, b = spread(random, dtype, 300), random.permutation(spread(random, dtype, 300))
    a[:4], b[:4] = [3.0, 0.0, -0.0, np.finfo(dtype).tiny], [-4.0, -0.0, 5.0, 0.0]
    found, largest = functions.hypot(a, b), mpmath.mpf(float(np.finfo(dtype).max))
    assert found[:3].tolist() == [5.0, 0.0, 5.0]
    with mpmath.workprec(PRECISION):
        for x, y, value in zip(a, b, found, strict=True):
            truth = mpmath.hypot(mpmath.mpf(float(x)), mpmath.mpf(float(y)))
            if truth < largest:
                assert distance(value, truth, dtype) <= (2.0 if dtype is np.float64 else 0.5 + 2.0**-25)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_angle_of_a_point(dtype: type) -> None:
    random = np.random.default_rng(12)
    y, x = spread(random, dtype, 300), random.permutation(spread(random, dtype, 300))
    found = functions.arctan2(y, x)
    with mpmath.workprec(PRECISION):
        for a, b, value in zip(y, x, found, strict=True):
            truth = mpmath.atan2(mpmath.mpf(float(a)), mpmath.mpf(float(b)))
            if abs(truth) > float(np.finfo(dtype).tiny):
                assert distance(value, truth, dtype) <= (4.0 if dtype is np.float64 else 0.5 + 2.0**-25), (a, b)
    special = np.asarray([0.0, -0.0, 1.0, -1.0, np.inf, -np.inf, np.nan], dtype)
    y, x = (grid.ravel() for grid in np.meshgrid(special, special))
    found, wanted = functions.arctan2(y, x), np.arctan2(y.astype(np.float64), x.astype(np.float64)).astype(dtype)
    np.testing.assert_array_equal(found, wanted)
    assert (np.signbit(found) == np.signbit(wanted))[~np.isnan(wanted)].all()


def test_a_hypotenuse_of_what_is_no_number() -> None:
    a, b = np.asarray([np.inf, -np.inf, np.nan, np.nan, 1.0]), np.asarray([1.0, np.inf, 1.0, 0.0, -np.inf])
    np.testing.assert_array_equal(functions.hypot(a, b), [np.inf, np.inf, np.nan, np.nan, np.inf])


def test_rules_of_ones_own_may_use_a_hypotenuse() -> None:
    class Complex(Optimizer):
        """A step along a gradient that is one of two parts."""

        lr: NonNegative = 0.5

        def update(self, p: Any, g: Any, t: Any) -> tuple[Any, ...]:
            return (p - self.lr * g / functions.hypot(g, 1.0),)

    p = np.linspace(-3, 3, 50, dtype=np.float32)
    steps = [Complex().step(p, 4 * p, {"t": 0}, backend=backend)[0] for backend in ("numpy", "numba")]
    assert steps[0].tobytes() == steps[1].tobytes()
