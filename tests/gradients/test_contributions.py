"""NormGrad, ranked masks, DiffROAR and RADIANCE's loss: equations, torch, properties, verdicts."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import refgrad
from refgrad.errors import ArgumentError
from refgrad.gradients import DiffROAR, MapGradientLoss, MetaNormGradStep, NormGrad, RankedMask, SaliencyProduct
from refgrad.oracle.inputs.transforms import generate

mp.dps = 60
LAYERS = ("conv1x1", "conv3x3", "depthwise3x3", "scaling", "bias")
SHAPES = [(1, 1, 1), (2, 3, 2), (3, 4, 4)]


def layer(shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(shape)
    return random.integers(-16, 17, shape) / 8, random.integers(-16, 17, shape) / 8


def added(name: str, x: np.ndarray, g: np.ndarray, row: int, column: int) -> list[Fraction]:
    """What one place adds to the gradient of a virtual layer's weights, number by number."""
    channels, height, width = x.shape

    def at(c: int, dy: int = 0, dx: int = 0) -> Fraction:
        y, z = row + dy, column + dx
        return Fraction(x[c, y, z]) if 0 <= y < height and 0 <= z < width else Fraction(0)

    u = [Fraction(g[c, row, column]) for c in range(channels)]
    around = list(product((-1, 0, 1), repeat=2))
    return {
        "bias": u,
        "scaling": [at(c) * u[c] for c in range(channels)],
        "conv1x1": [at(c) * b for c in range(channels) for b in u],
        "conv3x3": [at(c, *d) * b for c in range(channels) for d in around for b in u],
        "depthwise3x3": [at(c, *d) * u[c] for c in range(channels) for d in around],
    }[name]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", ["conv1x1", "scaling", "bias"])
def test_a_step_of_a_virtual_layer_is_autograds(name: str, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    x, upstream = (torch.tensor(a) for a in layer(shape))
    start = {"conv1x1": torch.eye(shape[0]), "scaling": torch.ones(shape[0]), "bias": torch.zeros(shape[0])}[name]
    weights = start.double().requires_grad_()

    def given(w: Any) -> Any:
        if name == "conv1x1":
            return torch.einsum("oi,ihw->ohw", w, x)
        return x * w[:, None, None] if name == "scaling" else x + w[:, None, None]

    (slope,) = torch.autograd.grad((given(weights) * upstream).sum(), weights)
    wanted = given(weights - 0.25 * slope).detach().numpy()
    found = MetaNormGradStep(layer=name, lr=0.25)(x.numpy(), upstream.numpy())
    np.testing.assert_allclose(found, wanted, rtol=1e-13, atol=1e-13)
    np.testing.assert_array_equal(MetaNormGradStep(layer=name, lr=0.0)(x.numpy(), upstream.numpy()), x.numpy())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("aggregation", ["norm", "positive_norm", "sum", "largest"])
def test_norm_grad_is_its_equations(aggregation: str, name: str, shape: tuple[int, ...]) -> None:
    x, g = layer(shape)
    found = NormGrad(layer=name, aggregation=aggregation)(x, g)
    for row, column in product(range(shape[1]), range(shape[2])):
        numbers = added(name, x, g, row, column)
        kept = numbers if aggregation == "norm" else [max(n, Fraction(0)) for n in numbers]
        wanted = {
            "sum": sum(numbers),
            "largest": max(numbers),
        }.get(aggregation, mp.sqrt(mp.mpf(sum(n * n for n in kept).numerator) / sum(n * n for n in kept).denominator))
        assert found[row, column] == pytest.approx(float(wanted), rel=1e-13, abs=1e-13)


@pytest.mark.parametrize("name", ["conv1x1", "conv3x3", "depthwise3x3", "scaling", "bias"])
def test_what_places_add_is_autograds(name: str) -> None:
    """All places together are the gradient of an identity layer's weights."""
    torch = pytest.importorskip("torch")
    x, g = (torch.tensor(a)[None] for a in layer((3, 4, 5)))
    functional = torch.nn.functional
    sizes = {
        "conv1x1": (3, 3, 1, 1),
        "conv3x3": (3, 3, 3, 3),
        "depthwise3x3": (3, 1, 3, 3),
        "scaling": (1, 3, 1, 1),
        "bias": (1, 3, 1, 1),
    }
    weights = torch.zeros(sizes[name], dtype=torch.float64, requires_grad=True)
    through = {
        "scaling": lambda: x * weights,
        "bias": lambda: x + weights,
        "depthwise3x3": lambda: functional.conv2d(x, weights, padding=1, groups=3),
    }.get(name, lambda: functional.conv2d(x, weights, padding="same"))()
    (through * g).sum().backward()
    total = NormGrad(layer=name, aggregation="sum")(x[0].numpy(), g[0].numpy()).sum()
    assert total == pytest.approx(float(weights.grad.sum()), rel=1e-12)


def test_norm_grad_has_its_closed_forms_and_properties() -> None:
    x, g = layer((3, 4, 4))
    by_channel = np.linalg.norm(x, axis=0) * np.linalg.norm(g, axis=0)
    usual = NormGrad()(x, g)
    np.testing.assert_allclose(usual, by_channel, rtol=1e-13)
    np.testing.assert_array_equal(NormGrad()(x, -g), usual)
    scaling = NormGrad(layer="scaling", aggregation="sum")(x, g)
    np.testing.assert_allclose(scaling, (x * g).sum(0), atol=1e-14)
    assert np.all(usual >= np.abs(scaling) - 1e-13)
    turned, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))
    np.testing.assert_allclose(NormGrad()(np.tensordot(turned, x, 1), np.tensordot(turned, g, 1)), usual, rtol=1e-12)


def test_the_product_of_layers_is_that_of_their_ranges() -> None:
    maps = np.array([[0.0, 1.0, 2.0, 4.0], [3.0, 1.0, 2.0, 2.0], [1.0, 2.0, 5.0, 3.0]])
    np.testing.assert_array_equal(SaliencyProduct()(maps), [0, 0, 0.25, 0.25])
    np.testing.assert_array_equal(SaliencyProduct()(4 * maps + 1), SaliencyProduct()(maps))
    np.testing.assert_array_equal(SaliencyProduct()(np.ones((2, 3))), 0)


@pytest.mark.parametrize("coordinates", [1, 4, 5, 8])
@pytest.mark.parametrize("fraction", [0.0, 0.125, 0.5, 0.75])
def test_masks_keep_what_is_ranked(fraction: float, coordinates: int) -> None:
    random = np.random.default_rng(coordinates)
    x, scores = random.standard_normal((3, coordinates)), random.random((3, coordinates))
    masked = round(Fraction(fraction) * coordinates)
    for keep in ("top", "bottom"):
        found = RankedMask(fraction=fraction, keep=keep)(x, scores)
        for row, own, ranks in zip(found, x, scores, strict=True):
            order = sorted(range(coordinates), key=lambda i: ranks[i], reverse=keep == "bottom")
            for place, i in enumerate(order):
                assert row[i] == (pytest.approx(x.mean(), rel=1e-13) if place < masked else own[i])
        np.testing.assert_array_equal(RankedMask(fraction=fraction, keep=keep)(x, 4 * scores), found)


def test_masks_at_complementary_fractions_part_the_coordinates() -> None:
    random = np.random.default_rng(0)
    x, scores = random.uniform(1, 2, (4, 8)), random.random((4, 8))
    top = RankedMask(fraction=0.25, replaced_by="zero")(x, scores)
    bottom = RankedMask(fraction=0.75, keep="bottom", replaced_by="zero")(x, scores)
    np.testing.assert_array_equal(top + bottom, x)
    assert np.all((top == 0) != (bottom == 0))


def test_diff_roar_is_over_all_pairs() -> None:
    top, bottom = np.array([[0.5, 0.75], [0.25, 0.5], [0.75, 1.0]]), np.array([[0.5, 0.25], [0.25, 0.5]])
    pairs = [[Fraction(t) - Fraction(b) for t in top[:, k] for b in bottom[:, k]] for k in range(2)]
    mean = [sum(each) / 6 for each in pairs]
    variance = [sum((p - m) ** 2 for p in each) / 6 for each, m in zip(pairs, mean, strict=True)]
    found = DiffROAR()(top, bottom)
    np.testing.assert_allclose(found["mean"], np.array(mean, float), rtol=1e-14)
    np.testing.assert_allclose(found["deviation"] ** 2, np.array(variance, float), rtol=1e-14)
    np.testing.assert_allclose(found["deviation"] ** 2, top.var(0) + bottom.var(0), rtol=1e-14)


def slopes(x: np.ndarray, stencil: str) -> list[tuple[Any, Any]]:
    """Differences along the width and the height at each place that has its neighbours."""
    exact, (height, width) = np.vectorize(mpf, otypes=[object])(x), x.shape
    if stencil == "forward":
        places = product(range(height - 1), range(width - 1))
        return [(exact[i, j + 1] - exact[i, j], exact[i + 1, j] - exact[i, j]) for i, j in places]
    weights = {-1: 0, 0: 1, 1: 0} if stencil == "central" else {-1: mpf(1) / 4, 0: mpf(1) / 2, 1: mpf(1) / 4}
    return [
        (
            mp.fsum(w * (exact[i + k, j + 1] - exact[i + k, j - 1]) / 2 for k, w in weights.items()),
            mp.fsum(w * (exact[i + 1, j + k] - exact[i - 1, j + k]) / 2 for k, w in weights.items()),
        )
        for i, j in product(range(1, height - 1), range(1, width - 1))
    ]


def map_loss(rule: MapGradientLoss, predicted: np.ndarray, target: np.ndarray) -> Any:
    """The loss with angles, which wrap."""
    terms = []
    for (a, b), (c, d) in zip(slopes(predicted, rule.stencil), slopes(target, rule.stencil), strict=True):
        size, true = mp.hypot(a, b), mp.hypot(c, d)
        share = true if rule.weighted else mpf(1)
        if rule.form == "vector":
            terms.append(share * rule.magnitude_weight * mp.hypot(a - c, b - d))
            continue
        turned = 1 - mp.cos(mp.atan2(b, a) - mp.atan2(d, c)) if size and true else mpf(0)
        terms.append(share * (rule.magnitude_weight * abs(size - true) + rule.direction_weight * turned))
    return mp.fsum(terms) / len(terms)


LOSSES = [MapGradientLoss(direction_weight=0.75), *(v for _, v in MapGradientLoss().variants())]


@pytest.mark.parametrize("shape", [(3, 3), (4, 6)], ids=str)
@pytest.mark.parametrize("rule", LOSSES, ids=str)
def test_the_loss_of_maps_is_its_equations(rule: MapGradientLoss, shape: tuple[int, int]) -> None:
    predicted, target = np.random.default_rng(shape).standard_normal((2, *shape))
    found = rule(predicted, target)
    assert found == pytest.approx(float(map_loss(rule, predicted, target)), rel=1e-13)
    assert rule(predicted, predicted) == pytest.approx(0, abs=1e-15)
    assert rule(predicted + 4.0, target + 4.0) == pytest.approx(found, rel=1e-13)
    quarter = rule(np.rot90(predicted).copy(), np.rot90(target).copy())
    if rule.stencil != "forward":
        assert quarter == pytest.approx(found, rel=1e-13)


def test_flat_maps_have_no_direction() -> None:
    flat, steep = np.zeros((3, 3)), np.arange(9.0).reshape(3, 3)
    assert MapGradientLoss()(flat, steep) == pytest.approx(np.sqrt(10), rel=1e-15)
    assert MapGradientLoss()(flat, flat) == 0


def test_maps_that_have_no_neighbours_are_refused() -> None:
    with pytest.raises(ArgumentError, match=r"predicted\.shape is \(2, 4\); legal: \(3, 4\)"):
        MapGradientLoss()(np.ones((2, 4)), np.ones((2, 4)))


def norm_grad(activations: Any, gradients: Any, wrong: str = "") -> Any:
    if wrong == "channels":
        return np.linalg.norm(activations * gradients, axis=0)
    if wrong == "sum":
        return np.einsum("chw,dhw->hw", activations, gradients)
    return np.linalg.norm(activations, axis=0) * np.linalg.norm(gradients, axis=0)


def masked(x: Any, scores: Any, fraction: float, wrong: str = "") -> Any:
    count = x.shape[1] - (int(fraction * x.shape[1]) if wrong == "rounded down" else round(fraction * x.shape[1]))
    order = np.argsort(-np.abs(scores) if wrong != "bottom" else np.abs(scores), axis=1, kind="stable")
    kept = np.zeros(x.shape, bool)
    np.put_along_axis(kept, order[:, :count], True, axis=1)
    return np.where(kept, x, np.float32(0) if wrong == "zero" else x.mean())


def pairs_of_runs(top: Any, bottom: Any, wrong: str = "") -> Any:
    apart = (top[:, None] - bottom[None]).reshape(-1, top.shape[1])
    return {"mean": apart.mean(0), "deviation": apart.std(0, ddof=1 if wrong == "ddof" else 0)}


def by_angles(predicted: Any, target: Any, wrong: str = "") -> Any:
    def polar(x: Any) -> tuple[Any, Any]:
        dx, dy = (x[1:-1, 2:] - x[1:-1, :-2]) / np.float32(2), (x[2:, 1:-1] - x[:-2, 1:-1]) / np.float32(2)
        return np.hypot(dx, dy), np.arctan2(dy, dx)

    (size, angle), (true, own) = polar(predicted), polar(target)
    apart = np.float32(1) - np.cos(angle - own)
    apart = np.abs(angle - own) if wrong == "angle" else np.where((size == 0) | (true == 0), np.float32(0), apart)
    gap = (size - true) ** 2 if wrong == "square" else np.abs(size - true)
    return gap.mean() + apart.mean()


@pytest.mark.slow
@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(
    ("rule", "program", "wrong"),
    [
        (NormGrad(), norm_grad, ("channels", "sum")),
        (RankedMask(), masked, ("rounded down", "bottom", "zero")),
        (DiffROAR(), pairs_of_runs, ("ddof",)),
        (MapGradientLoss(), by_angles, ("angle", "square")),
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
