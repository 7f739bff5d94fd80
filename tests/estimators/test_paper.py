"""Each elementwise estimator restated in fifty digits, from its paper's formulas: the truth must be acceptable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

import refgrad
from refgrad import Cases
from refgrad.estimators.base import Estimator
from refgrad.oracle.inputs.estimators import generate
from refgrad.rule import find, rules

Number = Any
#: from (x, rule's numbers) to the forward value, and to the factor of the cotangent
Restated = tuple[Callable[[Number, Any], Number], Callable[[Number, Any], Number]]


def sign(x: Number, r: Any) -> Number:
    return mpf(1) if x >= 0 else mpf(-1)


def step(x: Number, r: Any) -> Number:
    return mpf(1) if x >= 0 else mpf(0)


def clip(x: Number, low: Number, high: Number) -> Number:
    return min(max(x, low), high)


def reste(x: Number, r: Any) -> Number:
    if abs(x) <= mpf(r.m):
        return mpf(r.m) ** (1 / mpf(r.o)) / mpf(r.m)
    return abs(x) ** ((1 - mpf(r.o)) / mpf(r.o)) / mpf(r.o) if abs(x) <= mpf(r.t) else mpf(0)


def drawn(x: Number, r: Any) -> Number:
    """The nearest of -1 and +1, approached by the strength and no further."""
    q = mpf(1) if x >= 0 else mpf(-1)
    return q if abs(x - q) <= mpf(r.strength) else x - mpf(r.strength) if x > q else x + mpf(r.strength)


def normal(x: Number, mean: Number, deviation: Number) -> Number:
    return mpmath.npdf(x, mean, deviation)


def multi_gaussian(x: Number, r: Any) -> Number:
    s, h, wide = mpf(r.s), mpf(r.h), mpf(r.wide) * mpf(r.s)
    return mpf(r.gamma) * ((1 + h) * normal(x, 0, s) - h * normal(x, s, wide) - h * normal(x, -s, wide))


def square_wave(x: Number, r: Any) -> Number:
    total = lambda z: sum(mpmath.sin((2 * i + 1) * mpf(r.frequency) * z) / (2 * i + 1) for i in range(r.terms + 1))  # noqa: E731
    return 4 / mpmath.pi * mpmath.diff(total, x)


def fake_quantized(x: Number, r: Any) -> Number:
    q = mpmath.nint(x / mpf(r.scale)) + mpf(r.zero_point)
    return (clip(q, mpf(r.low), mpf(r.high)) - mpf(r.zero_point)) * mpf(r.scale)


def not_saturated(x: Number, r: Any) -> Number:
    q = mpmath.nint(x / mpf(r.scale)) + mpf(r.zero_point)
    return mpf(1) if mpf(r.low) <= q <= mpf(r.high) else mpf(0)


def inside(condition: bool) -> Number:
    return mpf(1) if condition else mpf(0)


RESTATED: dict[str, Restated] = {
    "IdentitySTE": (sign, lambda x, r: mpf(1)),
    "ClippedSTE": (sign, lambda x, r: inside(abs(x) <= mpf(r.clip))),
    # the derivative of the piecewise quadratic, branch by branch
    "ApproxSign": (sign, lambda x, r: 2 + 2 * x if -1 <= x < 0 else 2 - 2 * x if 0 <= x < 1 else mpf(0)),
    # the derivative of 2 sigma(bx) (1 + bx (1 - sigma(bx))) - 1
    "SwishSign": (
        sign,
        lambda x, r: mpmath.diff(
            lambda z: (
                2 / (1 + mpmath.exp(-r.beta * z)) * (1 + r.beta * z * (1 - 1 / (1 + mpmath.exp(-r.beta * z)))) - 1
            ),
            x,
        ),
    ),
    "EDE": (sign, lambda x, r: mpf(r.k) * mpf(r.t) * mpmath.sech(mpf(r.t) * x) ** 2),
    "RBNN": (sign, lambda x, r: mpf(r.k) * max(mpf(0), mpmath.sqrt(2) * mpf(r.t) - mpf(r.t) ** 2 * abs(x))),
    "FDA": (sign, square_wave),
    "BiPer": (
        lambda x, r: sign(mpmath.sin(mpf(r.frequency) * x), r),
        lambda x, r: mpf(r.frequency) * mpmath.cos(mpf(r.frequency) * x),
    ),
    "ReSTE": (sign, reste),
    "ProxConnect": (drawn, lambda x, r: mpf(1)),
    "ProxQuant": (drawn, lambda x, r: inside(abs(abs(x) - 1) > mpf(r.strength))),
    "Powerpropagation": (
        lambda x, r: mpmath.sign(x) * abs(x) ** mpf(r.alpha),
        lambda x, r: mpf(r.alpha) * abs(x) ** (mpf(r.alpha) - 1),
    ),
    "FastSigmoid": (step, lambda x, r: mpf(r.height) / (1 + mpf(r.k) * abs(x)) ** 2),
    "SoftSign": (step, lambda x, r: 1 / (2 * mpf(r.alpha) * (1 / mpf(r.alpha) + abs(x)) ** 2)),
    "ArcTan": (step, lambda x, r: mpmath.diff(lambda z: mpmath.atan(mpmath.pi / 2 * mpf(r.alpha) * z) / mpmath.pi, x)),
    "SigmoidSpike": (step, lambda x, r: mpf(r.alpha) / (2 + 2 * mpmath.cosh(mpf(r.alpha) * x))),
    "Triangular": (step, lambda x, r: mpf(r.gamma) * max(mpf(0), 1 - abs(x) / mpf(r.width))),
    "PiecewiseExponential": (step, lambda x, r: mpf(r.alpha) / 2 * mpmath.exp(-mpf(r.alpha) * abs(x))),
    "GaussianSpike": (step, lambda x, r: mpmath.diff(lambda z: mpmath.erf(mpf(r.alpha) * z) / 2, x)),
    "Rectangular": (step, lambda x, r: inside(abs(x) < mpf(r.width) / 2) / mpf(r.width)),
    "MultiGaussian": (step, multi_gaussian),
    "RoundingSTE": (fake_quantized, not_saturated),
    "DoReFaActivation": (
        lambda x, r: mpmath.nint(clip(x, mpf(0), mpf(1)) * (2**r.bits - 1)) / (2**r.bits - 1),
        lambda x, r: inside(0 <= x <= 1),
    ),
    "WAGE": (
        lambda x, r: (
            mpmath.nint(clip(x, -1 + mpf(2) ** (1 - r.bits), 1 - mpf(2) ** (1 - r.bits)) * 2 ** (r.bits - 1))
            / 2 ** (r.bits - 1)
        ),
        lambda x, r: inside(abs(x) <= 1 - mpf(2) ** (1 - r.bits)),
    ),
}

#: rules whose gradient is not a factor times the cotangent, or that take parameters: restated in test_paper_tensors.py
OTHERS = {
    "EWGS",
    "StochasticBinarization",
    "RSign",
    "RPReLU",
    "LSQ",
    "LSQPlus",
    "PACT",
    "TQT",
    "XNORWeights",
    "LibraPB",
    "DoReFaWeights",
    "GumbelSoftmax",
    "ReinMax",
    "RotationTrick",
    "BiPerActivation",
    "ContinuousSparsification",
    "DSQ",
    "HardConcrete",
    "MDGFGradient",
    "MovementGradient",
    "RBNNRotation",
    "ReCU",
    "SRSTEGradient",
    "STR",
    "StraightThroughGumbel",
    "TopKAST",
    "VectorQuantization",
    "XNORPlusPlus",
    "XNORPlusPlusChannel",
    "XNORPlusPlusDense",
}


def nearest(value: Number, dtype: np.dtype) -> np.floating:
    """A number of many digits as a float: by way of float64, which costs less than a unit in the last place."""
    return dtype.type(float(value))


def restated(rule: Estimator) -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    """The restated rule as a pair of functions, evaluated element by element."""
    forward, factor = RESTATED[type(rule).__name__]

    def value(x: np.ndarray) -> np.ndarray:
        return np.asarray([nearest(forward(mpf(float(v)), rule), x.dtype) for v in x.ravel()]).reshape(x.shape)

    def gradient(g: np.ndarray, x: np.ndarray) -> np.ndarray:
        pairs = zip(g.ravel(), x.ravel(), strict=True)
        found = [nearest(mpf(float(c)) * factor(mpf(float(v)), rule), x.dtype) for c, v in pairs]
        return np.asarray(found).reshape(x.shape)

    return value, gradient


def some(cases: Cases, count: int) -> Cases:
    """The first elements of each case."""
    return Cases([{n: a[:2, :count].copy() for n, a in case.items()} for case in cases.arrays], cases.names)


def test_every_rule_is_restated() -> None:
    assert set(RESTATED) | OTHERS == set(rules(Estimator))
    assert not set(RESTATED) & OTHERS


@pytest.mark.parametrize("name", RESTATED)
def test_the_papers_formulas_in_fifty_digits_conform(name: str) -> None:
    rule = find(name)()
    assert isinstance(rule, Estimator)
    cases = some(generate(rule, 3, np.dtype(np.float32), 5), 40)
    with mpmath.workdps(50):
        verdict = refgrad.verify(restated(rule), rule, inputs=cases, shrink=False, time_limit=float("inf"))
    assert verdict.conforms, str(verdict)
    assert verdict.total.inside > verdict.total.undecided
