"""Maps of saliency: equations in exact fractions, the golden of four programs, other programs' numbers, properties, verdicts."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.errors import ArgumentError
from refgrad.gradients import (
    GradCAM,
    GradCAMPlusPlus,
    MinMaxMap,
    SmoothGrad,
    SmoothGradCAMPlusPlus,
    SmoothGradInputs,
)
from refgrad.oracle.inputs.transforms import generate

#: one channel, 2x2: the denominators are [[6, -2], [1, 0]]
GOLDEN = np.array([[[1.0, 2.0], [0.0, 1.0]]]), np.array([[[1.0, -1.0], [0.5, 0.0]]])
SHAPES = [(1, 1, 1), (2, 2, 3), (3, 4, 2)]


def layer(shape: tuple[int, ...], samples: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Numbers of few digits, among them zeros and denominators of zero."""
    random = np.random.default_rng([*shape, samples])
    a, g = random.integers(-8, 9, shape) / 4, random.integers(-8, 9, (samples, *shape) if samples else shape) / 4
    return a, g


def fractions(array: np.ndarray) -> np.ndarray:
    """The same numbers as exact fractions."""
    return np.vectorize(Fraction, otypes=[object])(array)


def relu(x: Any) -> Any:
    return max(x, Fraction(0))


def weighted(weights: list[Any], a: np.ndarray, positive: bool = True) -> np.ndarray:
    """Channels added up by their weights."""
    total = sum(w * each for w, each in zip(weights, a, strict=True))
    return np.vectorize(relu if positive else lambda x: x, otypes=[object])(total)


def plus_plus(
    rule: Any, a: np.ndarray, powers: tuple[np.ndarray, ...], numerator: np.ndarray, reached: np.ndarray
) -> Any:
    """The weights of Grad-CAM++ and of its smoothed form, channel by channel, place by place."""
    weights = []
    for c in range(len(a)):
        places, shares = list(product(*map(range, a.shape[1:]))), {}
        for i in places:
            second, third = powers[0][c][i], powers[1][c][i]
            if rule.denominator == "sum_activations":
                below = 2 * second + third * sum(a[c][j] for j in places)
            else:
                below = 2 * second + sum(a[c][j] * powers[1][c][j] for j in places)
            shares[i] = numerator[c][i] / (below + Fraction(rule.eps)) if below else Fraction(0)
            if getattr(rule, "shares", "") == "undivided":
                shares[i] = numerator[c][i]
        if getattr(rule, "shares", "") == "normalized":
            total = sum(shares[i] for i in places if reached[c][i] > 0)
            shares = {i: share / (total or 1) for i, share in shares.items()}
        weights.append(sum(shares[i] * relu(reached[c][i]) for i in places))
    return weights


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("positive", [True, False])
def test_grad_cam_is_its_equation(shape: tuple[int, ...], positive: bool) -> None:
    a, g = layer(shape)
    means = [sum(each.flat) / each.size for each in fractions(g)]
    wanted = weighted(means, fractions(a), positive)
    np.testing.assert_allclose(GradCAM(relu=positive)(a, g), wanted.astype(float), rtol=1e-14, atol=1e-15)


RULES = [GradCAMPlusPlus(), *(v for _, v in GradCAMPlusPlus().variants()), GradCAMPlusPlus(eps=0.125)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_grad_cam_plus_plus_is_its_equations(rule: GradCAMPlusPlus, shape: tuple[int, ...]) -> None:
    a, g = layer(shape)
    exact_a, exact_g = fractions(a), fractions(g)
    wanted = weighted(plus_plus(rule, exact_a, (exact_g**2, exact_g**3), exact_g**2, exact_g), exact_a)
    np.testing.assert_allclose(rule(a, g), wanted.astype(float), rtol=1e-12, atol=1e-13)


SMOOTH = [
    SmoothGradCAMPlusPlus(),
    *(v for _, v in SmoothGradCAMPlusPlus().variants()),
    SmoothGradCAMPlusPlus(eps=0.125),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("samples", [1, 4])
@pytest.mark.parametrize("rule", SMOOTH, ids=str)
def test_smooth_grad_cam_plus_plus_is_its_equations(rule: Any, samples: int, shape: tuple[int, ...]) -> None:
    a, g = layer(shape, samples)
    exact_a, exact_g = fractions(a), fractions(g)
    mean = [sum(exact_g**k) / samples for k in (1, 2, 3)]
    numerator = mean[0] if rule.numerator == "first" else mean[1]
    reached = mean[0] if rule.gradient == "mean" else exact_g[-1]
    wanted = weighted(plus_plus(rule, exact_a, (mean[1], mean[2]), numerator, reached), exact_a)
    np.testing.assert_allclose(rule(a, g), wanted.astype(float), rtol=1e-12, atol=1e-13)


def test_the_golden_has_three_answers() -> None:
    """The weight: of the publication; of the sum of products, which yiskw713 has; of torchcam 0.5.0, which loses the division."""
    a, g = GOLDEN
    for rule, weight in (
        (GradCAMPlusPlus(), 7 / 24),
        (GradCAMPlusPlus(denominator="sum_products"), 0.75),
        (GradCAMPlusPlus(shares="undivided"), 1.125),
        (GradCAMPlusPlus(shares="normalized"), 0.7),
    ):
        found = rule(a, g)
        assert found[0, 0] == pytest.approx(weight, rel=1e-15), rule
        np.testing.assert_allclose(found, weight * a[0], rtol=1e-15)


def test_each_package_has_its_own_variant() -> None:
    """Maps of torchcam 0.5.0, grad-cam 1.5.7 and captum 0.9.0 of a layer that is summed up with the gradients as weights."""
    a, g = np.array(PEERS["activations"]), np.array(PEERS["gradients"])
    for name, rule in (
        ("torchcam", GradCAMPlusPlus(shares="undivided", eps=1e-8)),
        ("grad-cam", GradCAMPlusPlus(eps=1e-6)),
    ):
        np.testing.assert_allclose(rule(a, g), PEERS[name], rtol=1e-9, err_msg=name)
    np.testing.assert_allclose(GradCAM(relu=False)(a, g), PEERS["captum Grad-CAM"], rtol=1e-12)
    np.testing.assert_allclose(GradCAM()(a, g), PEERS["torchcam Grad-CAM"], rtol=1e-12)


PEERS: dict[str, Any] = {
    "activations": [[[1.5, 0.25, 2.0], [0.0, 1.0, 0.5]], [[0.75, 1.25, 0.0], [2.25, 0.5, 1.0]]],
    "gradients": [[[1.0, -0.5, 0.25], [0.75, 0.0, -1.25]], [[-0.25, 0.5, 1.5], [0.125, -2.0, 0.375]]],
    "torchcam": [[4.822265625, 4.802734375, 2.875], [7.998046875, 3.21484375, 4.2734375]],
    "torchcam Grad-CAM": [[0.09375, 0.06249999999999999, 0.08333333333333333], [0.09375, 0.0625, 0.0625]],
    "grad-cam": [
        [0.7945335174055308, 0.5598568024723664, 0.6794362013660902],
        [0.8548690991428891, 0.5296890116036871, 0.5498008721828066],
    ],
    "captum Grad-CAM": [[0.09375, 0.06249999999999999, 0.08333333333333333], [0.09375, 0.0625, 0.0625]],
}


def test_an_eps_moves_weights_of_small_gradients() -> None:
    """grad-cam's 1e-6 beside 2 g^2, for g of a thousandth: a quarter of the weight is gone at least."""
    random = np.random.default_rng(1)
    a, g = random.random((3, 4, 4)), random.uniform(5e-4, 1e-3, (3, 4, 4))
    kept = GradCAMPlusPlus(eps=1e-6)(a, g) / GradCAMPlusPlus()(a, g)
    assert np.all((kept > 0.5) & (kept < 0.76))


def test_maps_have_their_properties() -> None:
    a, g = layer((3, 4, 2))
    a = np.abs(a)
    order = [2, 0, 1]
    for rule in (GradCAM(), GradCAMPlusPlus(), GradCAMPlusPlus(shares="normalized")):
        usual = rule(a, g)
        assert np.all(usual >= 0)
        np.testing.assert_allclose(rule(a[order], g[order]), usual, rtol=1e-13, atol=1e-15)
        np.testing.assert_allclose(rule(a[:, ::-1], g[:, ::-1]), usual[::-1], rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(GradCAM()(a, 4 * g), 4 * GradCAM()(a, g))
    # a/c and c g leave the shares alone: the weights are c times, the map the same
    np.testing.assert_array_equal(GradCAMPlusPlus()(a / 4, 4 * g), GradCAMPlusPlus()(a, g))
    one = GradCAMPlusPlus()(a, g)
    np.testing.assert_allclose(SmoothGradCAMPlusPlus(numerator="second")(a, np.stack([g, g])), one, rtol=1e-13)


@pytest.mark.parametrize("samples", [1, 2, 7])
def test_smoothed_gradients_are_their_moments(samples: int) -> None:
    g = np.random.default_rng(samples).integers(-64, 64, (samples, 5)) / 16
    exact = fractions(g)
    mean = sum(exact) / samples
    wanted = {
        "mean": mean,
        "square": sum(exact**2) / samples,
        "variance": sum((exact - mean) ** 2) / samples,
    }
    for statistic, value in wanted.items():
        found = SmoothGrad(statistic=statistic)(g)
        np.testing.assert_allclose(found, value.astype(float), rtol=1e-14, atol=1e-15)
        np.testing.assert_allclose(SmoothGrad(statistic=statistic)(g[::-1]), found, rtol=1e-14, atol=1e-15)


def test_noise_has_its_size() -> None:
    x, noise = np.array([-1.0, 0.0, 3.0]), np.array([[1.0, 0.0, -2.0]])
    np.testing.assert_array_equal(SmoothGradInputs(level=0.25)(x, noise), x + noise)
    np.testing.assert_array_equal(SmoothGradInputs(level=0.25, size="absolute")(x, noise), x + noise / 4)
    np.testing.assert_array_equal(SmoothGradInputs(level=0.25, size="over_range")(x, noise), x + noise / 16)


def test_maps_go_from_zero_to_one() -> None:
    maps = np.array([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]])
    np.testing.assert_array_equal(MinMaxMap()(maps), [[0, 1, 0.5], [0, 0, 0]])
    assert np.isnan(MinMaxMap(constant="undefined")(maps)[1]).all()
    np.testing.assert_array_equal(MinMaxMap(eps=2.0)(maps), [[0, 0.5, 0.25], [0, 0, 0]])
    np.testing.assert_array_equal(MinMaxMap()(8 * maps + 16), MinMaxMap()(maps))


def test_layers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"gradients\.shape is \(2, 2, 2\); legal: \(1, 2, 2\)"):
        GradCAM()(np.ones((1, 2, 2)), np.ones((2, 2, 2)))


def cam(activations: Any, gradients: Any, relu: bool, wrong: str = "") -> Any:
    weights = gradients.sum((1, 2)) if wrong == "sum" else gradients.mean((1, 2))
    found = np.einsum("c,chw->hw", np.maximum(weights, 0) if wrong == "relu of weights" else weights, activations)
    return found if wrong == "no relu" else np.maximum(found, 0)


def cam_plus_plus(activations: Any, gradients: Any, eps: float, wrong: str = "") -> Any:
    square, sums = gradients**2, activations.sum((1, 2), keepdims=True)
    sums = (
        (activations * gradients**3).sum((1, 2), keepdims=True) if wrong == "sum of products" else sums * gradients**3
    )
    below = np.float32(1 if wrong == "no two" else 2) * square + sums + np.float32(eps)
    below = below + np.float32(1e-6) if wrong == "eps" else below
    with np.errstate(all="ignore"):
        shares = np.where(below != 0, square if wrong == "undivided" else square / below, np.float32(0))
        weights = (shares * np.maximum(gradients, 0)).sum((1, 2))
    return np.maximum((weights[:, None, None] * activations).sum(0), 0)


def to_range(maps: Any, wrong: str = "") -> Any:
    low, high = maps.min(1, keepdims=True), maps.max(1, keepdims=True)
    if wrong == "all maps":
        low, high = maps.min(), maps.max()
    spread = (high if wrong == "largest" else high - low) + np.float32(1e-4 if wrong == "eps" else 0)
    return np.where(spread == 0, np.float32(0), (maps - low) / np.where(spread == 0, np.float32(1), spread))


def variance(gradients: Any, wrong: str = "") -> Any:
    if wrong == "squares":
        return (gradients**2).mean(0) - gradients.mean(0) ** 2
    return gradients.var(0, ddof=1 if wrong == "ddof" else 0)


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("rule", "program", "wrong"),
    [
        (GradCAM(), cam, ("sum", "relu of weights", "no relu")),
        (GradCAMPlusPlus(), cam_plus_plus, ("sum of products", "no two", "eps", "undivided")),
        (MinMaxMap(), to_range, ("all maps", "largest", "eps")),
        (SmoothGrad(statistic="variance"), variance, ("squares", "ddof")),
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
