"""Slopes and fits: exact fractions, NumPy's polyfit, properties, verdicts."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.gradients import HertzContact, NashSutcliffe, TremaineWeinberg, WeightedLine, fits, intrinsic_scatter
from refgrad.oracle.inputs.transforms import generate


def points(count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(count)
    return random.standard_normal(count), random.standard_normal(count), random.uniform(0.25, 2, count)


def exact(*arrays: np.ndarray) -> list[list[Fraction]]:
    return [[Fraction(float(v)) for v in a.ravel()] for a in arrays]


def slope_of(x: list[Fraction], y: list[Fraction], w: list[Fraction]) -> tuple[Fraction, Fraction, Fraction]:
    """By the normal equations, and not by centred sums."""
    s, sx, sy = sum(w), sum(map(Fraction.__mul__, w, x)), sum(map(Fraction.__mul__, w, y))
    sxx = sum(a * b * b for a, b in zip(w, x, strict=True))
    sxy = sum(a * b * c for a, b, c in zip(w, x, y, strict=True))
    determinant = s * sxx - sx * sx
    return (s * sxy - sx * sy) / determinant, (sxx * sy - sx * sxy) / determinant, s / determinant


@pytest.mark.parametrize("count", [2, 3, 10])
@pytest.mark.parametrize("scatter", [0.0, 0.5])
def test_a_line_is_its_normal_equations(count: int, scatter: float) -> None:
    x, y, sigma = points(count)
    weights = [1 / (s * s + Fraction(scatter) ** 2) for s in exact(sigma)[0]]
    slope, intercept, variance = slope_of(*exact(x, y), weights)
    found = WeightedLine(scatter=scatter)(x, y, sigma)
    assert found["slope"] == pytest.approx(float(slope), rel=1e-12)
    assert found["intercept"] == pytest.approx(float(intercept), rel=1e-12, abs=1e-12)
    assert found["error"] ** 2 == pytest.approx(float(variance), rel=1e-12)


def test_a_line_is_numpys() -> None:
    x, y, sigma = points(9)
    fit, covariance = np.polyfit(x, y, 1, w=1 / sigma, cov="unscaled")
    found = WeightedLine()(x, y, sigma)
    np.testing.assert_allclose([found["slope"], found["intercept"]], fit, rtol=1e-10)
    assert found["error"] == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_the_scatter_solves_its_equation(seed: int) -> None:
    random = np.random.default_rng(seed)
    x, sigma = random.uniform(0, 10, 40), random.uniform(0.1, 0.3, 40)
    y = 2 - 0.05 * x + random.standard_normal(40) * np.hypot(sigma, 0.5)
    scatter = intrinsic_scatter(x, y, sigma)
    found = WeightedLine(scatter=scatter)(x, y, sigma)
    left = y - found["intercept"] - found["slope"] * x
    assert np.sum(left**2 / (sigma**2 + scatter**2)) == pytest.approx(38, rel=1e-10)
    assert 0.3 < scatter < 0.8
    assert intrinsic_scatter(x, 1 + x, sigma) == 0
    assert intrinsic_scatter(4 * x, y, sigma) == pytest.approx(scatter, rel=1e-10)


def test_a_scatter_takes_positive_errors() -> None:
    with pytest.raises(ArgumentError, match=r"sigma is 0\.0; legal: numbers in \(0, inf\)"):
        intrinsic_scatter(np.arange(3.0), np.arange(3.0), np.array([1.0, 0.0, 1.0]))


@pytest.mark.parametrize(("slits", "pixels"), [(2, 1), (3, 4), (7, 5)])
def test_a_pattern_speed_is_its_equations(slits: int, pixels: int) -> None:
    random = np.random.default_rng(slits)
    flux = random.uniform(0.5, 2, (slits, pixels))
    velocity, position = random.standard_normal((2, slits, pixels))
    sums = []
    for f, v, x in zip(flux, velocity, position, strict=True):
        light, speeds, places = exact(f, v, x)
        sums.append([sum(map(Fraction.__mul__, light, each)) / sum(light) for each in (places, speeds)])
    places, speeds = zip(*sums, strict=True)
    slope, _, _ = slope_of(list(places), list(speeds), [Fraction(1)] * slits)
    found = TremaineWeinberg()(flux, velocity, position)
    assert found["slope"] == pytest.approx(float(slope), rel=1e-11)
    np.testing.assert_allclose(found["positions"], np.array(places, float), rtol=1e-12, atol=1e-14)
    moved = TremaineWeinberg()(4 * flux, velocity + 2, position - 1)
    assert moved["slope"] == pytest.approx(found["slope"], rel=1e-11)
    turning = TremaineWeinberg()(flux, 3 * position, position)
    assert turning["slope"] == pytest.approx(3, rel=1e-12)


def test_hertz_contact_finds_the_modulus_again() -> None:
    depth = np.array([0.25, 1.0, 2.25])
    inverse = (1 - 0.3**2) / 5.0 + 0.1
    force = 4 / 3 / inverse * np.sqrt(2.0) * depth**1.5
    found = HertzContact(radius=2.0, poisson=0.3, indenter_compliance=0.1)(force, depth)
    assert found["reduced"] == pytest.approx(1 / inverse, rel=1e-14)
    assert found["modulus"] == pytest.approx(5, rel=1e-13)
    noisy = force + np.array([0.5, -0.25, 0.125])
    basis = 4 / 3 * np.sqrt(2.0) * depth**1.5
    fitted = HertzContact(radius=2.0)(noisy, depth)["reduced"]
    assert np.dot(basis, noisy - fitted * basis) == pytest.approx(0, abs=1e-12)  # the residual is orthogonal


@pytest.mark.parametrize("count", [2, 6])
def test_an_efficiency_is_its_equation(count: int) -> None:
    y, predicted, _ = points(count)
    (observed, other) = exact(y, predicted)
    mean = sum(observed) / count
    missed = sum((a - b) ** 2 for a, b in zip(observed, other, strict=True))
    wanted = 1 - missed / sum((a - mean) ** 2 for a in observed)
    assert NashSutcliffe()(y, predicted) == pytest.approx(float(wanted), rel=1e-12)
    assert NashSutcliffe()(y, y) == 1
    assert NashSutcliffe()(y, np.full(count, y.mean())) == pytest.approx(0, abs=1e-14)


def line(x: Any, y: Any, sigma: Any, wrong: str = "") -> Any:
    w = np.float32(1) / (sigma if wrong == "one over sigma" else sigma**2)
    middle, height = np.average(x, weights=w), np.average(y, weights=w)
    middle, height = (x.mean(), y.mean()) if wrong == "plain means" else (middle, height)
    spread = np.sum(w * (x - middle) ** 2)
    slope = np.sum(w * (x - middle) * (y - height)) / spread
    error = np.float32(1) / spread if wrong == "variance" else np.float32(1) / np.sqrt(spread)
    return {"slope": slope, "intercept": height - slope * middle, "error": error}


def pattern_speed(flux: Any, velocity: Any, position: Any, wrong: str = "") -> Any:
    light = np.float32(flux.shape[1]) if wrong == "not by light" else flux.sum(1)
    speeds, places = (flux * velocity).sum(1) / light, (flux * position).sum(1) / light
    left = places if wrong == "through the origin" else places - places.mean()
    return {
        "slope": (left * (speeds - speeds.mean())).sum() / (left * left).sum(),
        "velocities": speeds,
        "positions": places,
    }


def efficiency(observed: Any, predicted: Any, wrong: str = "") -> Any:
    left = predicted if wrong == "the prediction's mean" else observed
    varied = np.sum((observed - left.mean()) ** 2)
    return np.float32(1) - np.sum((observed - predicted) ** 2) / varied


def modulus(force: Any, depth: Any, wrong: str = "") -> Any:
    basis = np.float32(4 / 3) * depth ** np.float32(1.5)
    found = np.mean(force / basis) if wrong == "mean of quotients" else (basis * force).sum() / (basis * basis).sum()
    return {"reduced": found, "modulus": (found if wrong == "no Poisson" else np.float32(0.75) * found)}


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("rule", "program", "wrong"),
    [
        (WeightedLine(), line, ("one over sigma", "plain means", "variance")),
        (TremaineWeinberg(), pattern_speed, ("not by light", "through the origin")),
        (NashSutcliffe(), efficiency, ("the prediction's mean",)),
        (HertzContact(), modulus, ("mean of quotients", "no Poisson")),
    ],
    ids=lambda v: getattr(v, "__name__", None) or str(v),
)
def test_programs_are_told_apart(rule: Any, program: Any, wrong: tuple[str, ...]) -> None:
    verdict = refgrad.verify(program, rule, explain=False)
    assert verdict.conforms, str(verdict)
    for fault in wrong:
        wrong_program = partial(program, wrong=fault)
        ordinary = generate(rule, 12, "float32", 0)
        verdict = refgrad.verify(wrong_program, rule, inputs=ordinary, explain=False)
        assert not verdict.conforms, fault


@pytest.mark.parametrize("scale", [1e-250, 1e-20, 1.0, 1e30, 1e150])
def test_scatter_is_found_at_every_scale(scale: float) -> None:
    x = np.arange(7.0)
    y = np.array([0.0, 1.5, 1.5, 3.5, 4.5, 4.0, 6.5])
    usual = intrinsic_scatter(x, y, np.full(7, 0.01))
    assert intrinsic_scatter(x, y * scale, np.full(7, 0.01) * scale) / scale == pytest.approx(usual, rel=1e-9)


def test_scatter_beside_standard_errors_far_larger_than_it() -> None:
    x, y, sigma = np.arange(6.0), np.array([0.0, 1.5, 1.5, 3.5, 0.0, 9.0]), np.full(6, 0.01)
    sigma[4:] = 1e27, 1e22
    few = slice(0, 4)
    found = intrinsic_scatter(x, y, sigma)
    slope, intercept, _ = fits.line(x[few], y[few], np.ones(4))
    assert found**2 + 1e-4 == pytest.approx(np.sum((y[few] - intercept - slope * x[few]) ** 2) / 4)


def test_numbers_that_are_not_finite_have_no_scatter() -> None:
    x, y, sigma = np.arange(4.0), np.array([0.0, 1.5, np.inf, 3.0]), np.ones(4)
    with pytest.raises(ArgumentError, match="y is"):
        intrinsic_scatter(x, y, sigma)
