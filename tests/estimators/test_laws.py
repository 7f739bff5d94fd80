"""What must hold of estimators whatever the numbers: laws, and named behaviours that differ from their neighbours."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad import estimators as e
from refgrad.errors import ArgumentError
from refgrad.estimators import indicators, schedules
from refgrad.estimators.base import Estimator
from refgrad.oracle.inputs.estimators import generate
from refgrad.rule import rules
from tests.depth import examples

ALL = {name: cls() for name, cls in rules(Estimator).items()}
ELEMENTWISE = [
    r
    for r in ALL.values()
    if isinstance(r, Estimator)
    and not r.parameters
    and type(r).__name__ not in ("XNORWeights", "LibraPB", "DoReFaWeights", "ReCU", "BiPerActivation")
]
LINEAR = [r for r in ELEMENTWISE if type(r).__name__ != "EWGS"]
EVEN = (
    "ClippedSTE",
    "ApproxSign",
    "SwishSign",
    "EDE",
    "RBNN",
    "FDA",
    "BiPer",
    "ReSTE",
    "FastSigmoid",
    "SoftSign",
    "ArcTan",
    "Triangular",
    "PiecewiseExponential",
    "GaussianSpike",
    "Rectangular",
)

floats = st.lists(st.floats(width=32, allow_nan=False), min_size=1, max_size=20)


def quad(function: Any, low: float, high: float, **options: int) -> tuple[float, float]:
    """SciPy's integral, which takes longer to load than most tests of this file take."""
    from scipy import integrate

    return integrate.quad(function, low, high, **options)


def gradient(rule: Any, x: np.ndarray, g: np.ndarray | None = None) -> np.ndarray:
    cotangent = np.ones_like(x) if g is None else g
    return rule.differentiate(cotangent, x, backend="numpy")["x_grad"]


@pytest.mark.parametrize("rule", LINEAR, ids=str)
@given(values=floats, exponent=st.integers(-8, 8))
@examples(15)
def test_linear_in_the_cotangent(rule: Any, values: list[float], exponent: int) -> None:
    """By powers of two, which round nothing, and by the sign."""
    x = np.asarray(values, np.float32)
    one = gradient(rule, x)
    scaled = gradient(rule, x, np.full_like(x, -(2.0**exponent)))
    normal = np.abs(one) * 2.0**exponent >= np.finfo(np.float32).tiny
    np.testing.assert_array_equal(scaled[normal], (one * np.float32(-(2.0**exponent)))[normal])


@pytest.mark.parametrize("name", EVEN)
@given(values=floats)
@examples(15)
def test_even_factors(name: str, values: list[float]) -> None:
    x = np.asarray(values, np.float32)
    np.testing.assert_array_equal(gradient(ALL[name], x), gradient(ALL[name], -x))


@pytest.mark.parametrize("rule", [r for r in ELEMENTWISE if isinstance(r, e.policies.Binarizer)], ids=str)
@given(values=floats)
@examples(15)
def test_binarizers_give_plus_and_minus_one(rule: Any, values: list[float]) -> None:
    x = np.asarray(values, np.float32)
    y = rule.evaluate(x, backend="numpy")
    finite = np.abs(x) < 1e37 if isinstance(rule, e.BiPer) else np.ones(x.shape, bool)
    assert set(np.unique(y[finite])) <= {-1.0, 1.0}


@pytest.mark.parametrize("rule", [e.RoundingSTE(), e.DoReFaActivation(bits=3), e.WAGE(), e.LSQ(), e.TQT()], ids=str)
@given(values=floats)
@examples(20)
def test_quantizers_are_monotone_and_idempotent(rule: Any, values: list[float]) -> None:
    x = np.sort(np.asarray(values, np.float32))
    parameters = dict.fromkeys(rule.parameters, 0.25)
    y = rule.evaluate(x, backend="numpy", **parameters)
    assert (np.diff(y) >= 0).all()
    np.testing.assert_array_equal(rule.evaluate(y, backend="numpy", **parameters), y)


#: rule -> the integral of its factor over all x: the jump of what it stands for
AREAS = [
    (e.ClippedSTE(), 2.0),
    (e.ApproxSign(), 2.0),
    (e.SwishSign(), 2.0),
    (e.EDE(t=2.0, k=1.0), 2.0),
    (e.RBNN(t=2.0, k=3.0), 6.0),
    (e.ReSTE(), 2 * 1.5 ** (1 / 3)),
    (e.SoftSign(), 1.0),
    (e.ArcTan(), 1.0),
    (e.SigmoidSpike(), 1.0),
    (e.Triangular(gamma=2.0, width=0.5), 1.0),
    (e.PiecewiseExponential(), 1.0),
    (e.GaussianSpike(), 1.0),
    (e.Rectangular(width=0.5), 1.0),
    (e.MultiGaussian(), 0.5 * 0.85),
    (e.FastSigmoid(), 2 / 25),
]


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize(("rule", "area"), AREAS, ids=lambda v: str(v))
def test_areas(rule: Any, area: float) -> None:
    """Within the error that the quadrature reports itself."""
    factor = lambda x: float(gradient(rule, np.asarray([x]))[0])  # noqa: E731
    cuts = [-1e4, -50.0, -2.0, -1.5, -1.0, -0.7071067811865476, -0.5, -0.25, -0.1, 0.0]
    cuts += [-c for c in cuts[-2::-1]]
    pieces = [quad(factor, a, b, limit=200) for a, b in itertools.pairwise(cuts)]
    total, error = sum(p[0] for p in pieces), sum(p[1] for p in pieces)
    tail = abs(factor(1e4)) * 2e4  # of the heaviest tail, which falls with the square of x
    assert abs(total - area) <= error + 2 * tail + len(pieces) * np.finfo(np.float64).eps * area


def test_biper_is_periodic_in_its_decisions() -> None:
    rule = e.BiPer(frequency=20.0)
    x = np.linspace(-1, 1, 4001)[1::2]
    half = math.pi / 20.0
    away = np.abs(np.sin(20.0 * x)) > 1e-9
    np.testing.assert_array_equal(rule.evaluate(x + half)[away], -rule.evaluate(x)[away])


#: the signs of DoReFa's weights are looked at where there are signs
NAMED = [
    (rule, text, variant)
    for name, rule in ALL.items()
    for text, variant in rule.variants()
    if (name, text.partition("=")[0]) not in (("DoReFaWeights", "sign_at_zero"), ("ContinuousSparsification", "reset"))
]
NAMED += [(r, t, v) for r in [e.DoReFaWeights(bits=1)] for t, v in r.variants() if t.startswith("sign_at_zero")]
#: rules in which a NaN reaches the scale of its row or tensor, and with it every sign
SCALED = (e.XNORWeights, e.LibraPB, e.DoReFaWeights, e.ReCU, e.BiPerActivation)


@pytest.mark.parametrize(("rule", "text", "variant"), NAMED, ids=lambda v: str(v))
def test_named_behaviours_differ_from_their_neighbours(rule: Any, text: str, variant: Any) -> None:
    """On some aimed input, or on NaN, some output has other bits; else the name would mean nothing."""
    if variant.takes() != rule.takes() or text.startswith("scalars"):
        pytest.skip("takes other arrays, or differs in roundings alone")
    if isinstance(rule, SCALED) and "nan" in text:
        pytest.skip("a NaN reaches the scale, and every sign with it")
    (case,) = generate(rule, 1, np.dtype(np.float32), 3).arrays
    case = {n: a for n, a in case.items() if n not in rule.chosen}
    if isinstance(rule, e.TQT):
        case["log2_t"] = np.ones_like(case["log2_t"])  # a scale that the inputs are at ties of
    case["x"] = case["x"].copy()
    case["x"][0] = np.linspace(-1, 1, case["x"].shape[1] + 1)[1:]
    case["x"][0, -1] = 0.0  # a row whose mean is zero, and with it an element
    if "nan" in text:
        case["x"][0, :2] = np.nan
    one, other = rule.both(backend="numpy", **case), variant.both(backend="numpy", **case)
    assert any(not np.array_equal(one[n], other[n], equal_nan=True) for n in one)


def test_quantization_error_of_laplace_weights() -> None:
    """The closed form against the integral, within the error that the quadrature reports."""
    for frequency, b in [(2.0, 0.05), (20.0, 0.05), (20.0, 0.25)]:
        period = math.pi / frequency
        density = lambda w, b=b: math.exp(-w / b) / b  # noqa: E731

        def mean(f: Any, period: float = period, density: Any = density, b: float = b) -> tuple[float, float]:
            pieces = [
                quad(lambda w: f(w) * density(w), i * period, (i + 1) * period) for i in range(int(40 * b / period) + 1)
            ]
            return sum(p[0] for p in pieces), sum(p[1] for p in pieces)

        magnitude, error = mean(lambda w, frequency=frequency: abs(math.sin(frequency * w)))
        square, more = mean(lambda w, frequency=frequency: math.sin(frequency * w) ** 2)
        found = indicators.laplace_quantization_error(frequency, b)
        slack = 2 * (error + more) + 3 * math.exp(-40) + 2.0**-45
        assert abs(found.absolute - (1 - magnitude)) <= slack
        assert abs(found.scaled - (square - magnitude**2)) <= slack


def test_the_largest_quantization_error_is_the_published_one() -> None:
    """0.102835, where frequency times b is 0.954882: as far as these are printed, by a derivative in thirty digits."""
    with mpmath.workdps(30):
        mean = lambda u: u / (1 + u * u) * mpmath.coth(mpmath.pi / (2 * u))  # noqa: E731
        error = lambda u: 2 * u * u / (1 + 4 * u * u) - mean(u) ** 2  # noqa: E731
        place = mpmath.findroot(lambda u: mpmath.diff(error, u), 1)
    assert f"{float(place):.6f}" == "0.954882"
    assert f"{indicators.laplace_quantization_error(float(place), 1.0).scaled:.6f}" == "0.102835"
    around = [indicators.laplace_quantization_error(float(place) * f, 1.0).scaled for f in (0.25, 0.75, 1.5, 4.0)]
    assert max(around) < 0.1028


@pytest.mark.slow
def test_quantization_error_measured_nears_its_closed_form() -> None:
    w = np.random.default_rng(0).laplace(0, 0.05, 400_000)
    measured, closed = indicators.quantization_error(w, 20.0), indicators.laplace_quantization_error(20.0, 0.05)
    # a mean of n numbers between 0 and 1 is within 5/(2 sqrt n) of its expectation but for one time in a million
    for one, other in zip(measured[:2], closed[:2], strict=True):
        assert abs(one - other) <= 2 * 2.5 / math.sqrt(w.size)


def test_reste_error_does_not_grow_with_o_and_vanishes_at_one() -> None:
    z = np.concatenate([np.linspace(-3, 3, 301), [0.0, 1.0, -1.0]])
    errors = [indicators.estimating_error(z, o) for o in (1.0, 1.5, 2.0, 3.0, 10.0)]
    assert errors == sorted(errors, reverse=True)
    assert indicators.estimating_error(np.asarray([1.0, -1.0, 0.0]), 3.0) == 0.0
    assert indicators.gradient_stability([1.0, -3.0]) == 2.0


def test_schedules() -> None:
    """Values of the papers' formulas at epochs where they are numbers that one can write down."""
    assert schedules.ede(200, 400) == (1.0, 1.0)
    assert schedules.ede(0, 400)[0] * schedules.ede(0, 400)[1] == pytest.approx(1.0, rel=2.0**-52)
    ts = [schedules.rbnn(epoch, 100)[0] for epoch in range(100)]
    assert ts == sorted(ts)
    assert ts[-1] < 10.0
    assert schedules.reste(0, 1000) == 1.0
    assert 2.99 < schedules.reste(999, 1000) < 3.0
    with pytest.raises(
        ArgumentError, match=r"epoch is 1000\.0; legal: a number from 0, below epochs, which is 1000\.0"
    ):
        schedules.reste(1000, 1000)
