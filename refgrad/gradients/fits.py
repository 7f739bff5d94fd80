"""Slopes and fits of astronomy, robotics and hydrology: weighted lines, pattern speeds, Hertz contact, model efficiency."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np

from refgrad.arithmetic.function_arguments import POSITIVE, REAL, Numbers, gated
from refgrad.errors import bad_argument
from refgrad.optimizers.transform import Transform, check_axes, check_count, check_same
from refgrad.rule import Citation, NonNegative, Positive, Range


def line(x: Any, y: Any, weights: Any) -> tuple[Any, Any, Any]:
    """The straight line of weighted least squares.

    Args:
        x, y: points [point].
        weights: what each point counts.

    Returns:
        Slope, intercept, and the slope's standard error, if weights are inverse variances.
    """
    total = np.sum(weights)
    middle, height = np.sum(weights * x) / total, np.sum(weights * y) / total
    left = x - middle
    spread = np.sum(weights * left * left)
    slope = np.sum(weights * left * (y - height)) / spread
    return slope, height - slope * middle, 1.0 / np.sqrt(spread)


def check_points(*arrays: np.ndarray, names: tuple[str, ...], least: int) -> None:
    """Check arrays of one number a point.

    Args:
        arrays: the arrays.
        names: what errors call them.
        least: how many points there must be.

    Raises:
        ArgumentError: they do not fit.
    """
    check_axes(arrays[0], names[0], 1, "one number a point")
    check_count(arrays[0], names[0], least, "points")
    for array, name in zip(arrays[1:], names[1:], strict=True):
        check_same(array, name, arrays[0].shape, f"the shape of {names[0]}")


class WeightedLine(Transform):
    """A gradient as the slope of a weighted straight line: of metallicity along a radius, of logarithms for a power law.

    Weights W = 1/(sigma^2 + scatter^2); slope = sum W (x - X)(y - Y)/sum W (x - X)^2 with weighted means X and Y. Source: the
    usual least squares, as in Press et al. 2007, Numerical Recipes, section 15.2.

    ``x``, ``y`` and the standard errors ``sigma`` of y [point]. Gives slope, intercept and the slope's standard error.
    """

    scatter: NonNegative = 0.0

    citation = Citation(
        "Press, Teukolsky, Vetterling & Flannery 2007",
        "Numerical Recipes",
        "3rd edition, section 15.2",
        read="study",
        source="the usual equations, restated",
    )
    shapes: ClassVar[Mapping[str, str]] = {"x": "point", "y": "point", "sigma": "point+"}
    lengths: ClassVar[Mapping[str, int]] = {"point": 6}
    unspecified = "the intrinsic scatter: handed in; `intrinsic_scatter` finds one"

    def check(self, *arrays: np.ndarray) -> None:
        check_points(*arrays, names=("x", "y", "sigma"), least=2)

    def apply(self, x: Any, y: Any, sigma: Any) -> Any:
        slope, intercept, error = line(x, y, 1.0 / (sigma * sigma + self.scatter**2))
        return {"slope": slope, "intercept": intercept, "error": error}


@gated(x=Numbers(axes=1, within=REAL), y=Numbers(axes=1, within=REAL), sigma=Numbers(axes=1, within=POSITIVE))
def intrinsic_scatter(x: np.ndarray, y: np.ndarray, sigma: np.ndarray) -> float:
    """The scatter of points about their line that is left beside their standard errors.

    It solves sum (y - line)^2/(sigma^2 + scatter^2) = points - 2, the line being that of `WeightedLine` with the same scatter.

    Args:
        x, y: points [point], float64, three at least and not all at one x.
        sigma: standard errors of y [point], positive.

    Returns:
        The scatter, in units of y; 0 if the standard errors alone explain it.

    Raises:
        ArgumentError: too few points, shapes that do not fit, numbers not finite, a standard error that is not positive.

    >>> x = np.arange(4.0)
    >>> round(intrinsic_scatter(x, np.array([0.0, 1.5, 1.5, 3.0]), np.full(4, 1e-3)), 6)
    0.474341
    """
    from scipy.optimize import brentq

    check_points(x, y, sigma, names=("x", "y", "sigma"), least=3)

    def excess(scatter: float) -> float:
        """Of the sign of the sum less the freedom, and finite where the sum is not: between -1/2 and 1/2."""
        deviations = np.hypot(sigma, scatter)
        slope, intercept, _ = line(x, y, (np.min(deviations) / deviations) ** 2)
        total, freedom = np.sum(((y - intercept - slope * x) / deviations) ** 2), len(x) - 2
        return float(0.5 - freedom / (total + freedom))

    with np.errstate(all="ignore"):
        alone = excess(0.0)
        if not np.isfinite(alone):  # the weights of all points but one vanish, or sums of squares overflow
            raise bad_argument("x, y, sigma", (x, y, sigma), "numbers whose squares, and their ratios, are float64")
        if alone <= 0.0:
            return 0.0
        # of a horizontal line the sum is no more than points (range of y)^2/scatter^2, whatever the standard errors
        high = float(np.max(y) - np.min(y)) * float(np.sqrt(len(x) / (len(x) - 2)))
        while excess(high) > 0.0:
            high *= 2.0
        # from the largest to the least float64 there are two thousand halvings, and the scatter may be far below y's
        exact = {"xtol": np.finfo(float).tiny, "rtol": 4 * np.finfo(float).eps, "maxiter": 10_000}
        return float(brentq(excess, 0.0, high, **exact))


class TremaineWeinberg(Transform):
    """A bar's pattern speed, times the sine of the inclination: the slope of mean velocities on mean positions over slits.

    <V> = sum F v/sum F and <X> = sum F x/sum F of each slit; the slope of an unweighted straight line. Source: Tremaine &
    Weinberg 1984, ApJ 282, L5.

    ``flux``, ``velocity`` and ``position`` [slit, pixel], the last along the line of nodes. Gives the slope, <V> and <X>.
    """

    citation = Citation(
        "Tremaine & Weinberg 1984",
        "A Kinematic Method for Measuring the Pattern Speed of Barred Galaxies",
        "ApJ 282, L5",
        read="study",
        source="a restatement of the method",
    )
    shapes: ClassVar[Mapping[str, str]] = {
        "flux": "slit pixel+",
        "velocity": "slit pixel",
        "position": "slit pixel",
    }
    lengths: ClassVar[Mapping[str, int]] = {"slit": 4, "pixel": 5}
    unspecified = "slits whose mean positions are all the same: no number; weights of slits: all the same"

    def check(self, *arrays: np.ndarray) -> None:
        flux, velocity, position = arrays
        check_axes(flux, "flux", 2, "[slit, pixel]")
        check_count(flux, "flux", 2, "slits")
        check_same(velocity, "velocity", flux.shape, "the shape of flux")
        check_same(position, "position", flux.shape, "the shape of flux")

    def apply(self, flux: Any, velocity: Any, position: Any) -> Any:
        light = np.sum(flux, axis=1)
        speeds, places = np.sum(flux * velocity, axis=1) / light, np.sum(flux * position, axis=1) / light
        slope, _, _ = line(places, speeds, np.ones_like(places))
        return {"slope": slope, "velocities": speeds, "positions": places}


class HertzContact(Transform):
    """Young's modulus by Hertz contact of a sphere: F = (4/3) E* sqrt(R) d^1.5, E* by least squares in d^1.5.

    1/E* = (1 - poisson^2)/E + ``indenter_compliance``, the latter (1 - nu^2)/E of the indenter and 0 of a rigid one. Source:
    Hertz 1882.

    ``force`` and ``depth`` [point], in units that fit those of ``radius``. Gives E* and E.
    """

    radius: Positive = 1.0
    poisson: Annotated[float, Range(-1.0, 0.5, open_low=False, open_high=False)] = 0.5
    indenter_compliance: NonNegative = 0.0

    citation = Citation(
        "Hertz 1882",
        "Über die Berührung fester elastischer Körper",
        "Journal für die reine und angewandte Mathematik 92",
        read="study",
        source="the usual equations, restated",
    )
    shapes: ClassVar[Mapping[str, str]] = {"force": "point", "depth": "point+"}
    lengths: ClassVar[Mapping[str, int]] = {"point": 5}
    unspecified = "the point of first contact: depth is counted from it; a compliance above 1/E*: a negative modulus"

    def check(self, *arrays: np.ndarray) -> None:
        check_points(*arrays, names=("force", "depth"), least=1)

    def apply(self, force: Any, depth: Any) -> Any:
        unit = 4.0 / 3.0 * self.radius**0.5 * depth * np.sqrt(depth)
        reduced = np.sum(unit * force) / np.sum(unit * unit)
        modulus = (1.0 - self.poisson**2) / (1.0 / reduced - self.indenter_compliance)
        return {"reduced": reduced, "modulus": modulus}


class NashSutcliffe(Transform):
    """The Nash-Sutcliffe efficiency: 1 - sum (y - prediction)^2/sum (y - mean y)^2; 1 is perfect, 0 the mean's own.

    Source: Nash & Sutcliffe 1970, Journal of Hydrology 10.

    ``observed`` and ``predicted`` [point]. Gives one number.
    """

    citation = Citation(
        "Nash & Sutcliffe 1970",
        "River Flow Forecasting through Conceptual Models, Part I",
        "Journal of Hydrology 10",
        read="study",
        source="the usual equation, restated",
    )
    shapes: ClassVar[Mapping[str, str]] = {"observed": "point", "predicted": "point"}
    lengths: ClassVar[Mapping[str, int]] = {"point": 6}
    unspecified = "observations that are all the same: no number, or minus infinity"

    def check(self, *arrays: np.ndarray) -> None:
        check_points(*arrays, names=("observed", "predicted"), least=1)

    def apply(self, observed: Any, predicted: Any) -> Any:
        missed, varied = observed - predicted, observed - np.mean(observed)
        return 1.0 - np.sum(missed * missed) / np.sum(varied * varied)
