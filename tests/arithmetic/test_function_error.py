"""Functions of libraries: four units in the last place are allowed besides what the argument may be off by."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from refgrad.arithmetic import function_error
from refgrad.arithmetic.running_error import Bounded
from refgrad.oracle.acceptance.comparing import model_for
from refgrad.oracle.acceptance.policy import Policy

MODEL = model_for(Policy(), np.dtype(np.float32))
X = np.asarray([-20.0, -1.5, -0.3, 0.7, 3.0])


@pytest.mark.parametrize("name", ["exp", "sin", "cos", "tanh", "log"])
def test_a_library_may_be_off_by_four_units(name: str) -> None:
    x = np.abs(X) if name == "log" else X
    found = getattr(function_error, name)(Bounded(x), MODEL)
    units = np.spacing(np.abs(found.value).astype(np.float32)).astype(np.float64)
    assert (found.bound() >= 4 * units).all()
    assert (found.bound() <= 32 * units).all()


MORE = {
    "exp2": (lambda x: mpmath.mpf(2) ** x, X),
    "log2": (lambda x: mpmath.log(x, 2), np.abs(X)),
    "arctan": (mpmath.atan, X),
    "sinh": (mpmath.sinh, X[1:]),
    "cosh": (mpmath.cosh, X[1:]),
}


@pytest.mark.parametrize("name", MORE)
def test_a_bound_holds_what_the_function_makes_of_its_argument(name: str) -> None:
    """The true function of every number that the argument may be, and four units beside it."""
    truly, points = MORE[name]
    for error in (0.0, 1e-6, 0.01, 0.25):
        found = getattr(function_error, name)(Bounded(points, np.full(points.shape, error)), MODEL)
        for part in np.linspace(-1.0, 1.0, 9):
            for x, value, bound in zip(points + part * error, found.value, found.bound(), strict=True):
                true = float(truly(mpmath.mpf(float(x))))
                unit = float(np.spacing(np.float32(abs(true))))
                assert abs(true - value) + 4 * unit <= bound
        assert (found.bound() <= 64 * np.spacing(np.float32(np.abs(found.value))) + 3 * error * np.exp2(3.5)).all()


@pytest.mark.parametrize("error", [0.0, 1e-6, 0.1])
def test_the_angle_of_a_point_is_in_the_set_wherever_the_point_may_be(error: float) -> None:
    y, x = (grid.ravel() for grid in np.meshgrid([-2.0, -0.05, 0.0, 1e-3, 0.7], [-3.0, -0.05, 0.0, 0.05, 2.0]))
    with np.errstate(all="ignore"):
        found = function_error.arctan2(Bounded(y, np.full(y.shape, error)), Bounded(x, np.full(x.shape, error)), MODEL)
    for to in np.linspace(-1.0, 1.0, 5):
        for side in np.linspace(-1.0, 1.0, 5):
            got = np.arctan2(y + to * error, x + side * error)
            assert (np.abs(got - found.value) <= found.bound()).all()
    sure = np.hypot(y, x) > 0.5
    sure &= (np.abs(y) > error) | (x > error)
    assert (found.bound()[sure] <= 4 * error + 1e-5).all()


def test_what_every_library_gives_is_exact() -> None:
    for name, x, value in (("exp2", 0.0, 1.0), ("log2", 1.0, 0.0), ("log2", 0.0, -np.inf), ("arctan", 0.0, 0.0)):
        with np.errstate(all="ignore"):
            found = getattr(function_error, name)(Bounded(np.asarray([x])), MODEL)
        assert found.value[0] == value
        assert found.bound()[0] == 0.0
