"""Noise of SGD: covariances by every batch that can be drawn, in exact fractions; torch's derivatives; properties, verdicts."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np
import pytest

from refgrad import gradients as g
from refgrad.errors import ArgumentError
from tests.gradients.judged import drawn, verdict
from tests.optimizers.tracked import holds, largest, lift, mean, root, total


def every_batch(rows: np.ndarray, size: int, sampling: str) -> list[list[Fraction]]:
    """The mean gradient of each batch, exactly."""
    indices = range(len(rows))
    batches = product(indices, repeat=size) if sampling == "replacement" else combinations(indices, size)
    return [
        [sum((Fraction(float(rows[i, j])) for i in batch), Fraction(0)) / size for j in range(rows.shape[1])]
        for batch in batches
    ]


def covariance(rows: list[list[Fraction]]) -> list[list[Fraction]]:
    count, d = len(rows), len(rows[0])
    center = [sum((r[j] for r in rows), Fraction(0)) / count for j in range(d)]
    return [
        [sum(((r[j] - center[j]) * (r[k] - center[k]) for r in rows), Fraction(0)) / count for k in range(d)]
        for j in range(d)
    ]


@pytest.mark.parametrize("unit", ["step", "time"])
@pytest.mark.parametrize("sampling", ["replacement", "distinct"])
@pytest.mark.parametrize(("count", "size"), [(4, 2), (5, 3), (1, 1), (3, 3)])
def test_the_covariance_is_that_of_all_batches(count: int, size: int, sampling: str, unit: str) -> None:
    rows = np.random.default_rng(count).standard_normal((count, 2))
    times = Fraction(1, 4) if unit == "time" else Fraction(1, 16)
    want = [[float(times * x) for x in row] for row in covariance(every_batch(rows, size, sampling))]
    found = g.GradientNoise(lr=0.25, batch=size, sampling=sampling, unit=unit)(rows)
    np.testing.assert_allclose(found, want, rtol=1e-13, atol=1e-17)
    assert np.all(np.linalg.eigvalsh(found) > -1e-16)


def test_temperature_is_what_unit_time_sees() -> None:
    rows = np.random.default_rng(7).standard_normal((6, 2))
    one, other = (
        g.GradientNoise(lr=0.1, batch=1, unit="time")(rows),
        g.GradientNoise(lr=0.3, batch=3, unit="time")(rows),
    )
    np.testing.assert_allclose(one, other, rtol=1e-14)
    distinct = [
        g.GradientNoise(lr=lr, batch=b, unit="time", sampling="distinct")(rows) for lr, b in ((0.1, 1), (0.3, 3))
    ]
    assert not np.allclose(*distinct)
    with pytest.raises(ArgumentError, match="where they are distinct"):
        g.GradientNoise(batch=7, sampling="distinct")(rows)


@pytest.mark.parametrize("divisor", ["alpha", "squared"])
def test_lazy_hinge(divisor: str) -> None:
    rule = g.LazyHingeLoss(alpha=3.0, divisor=divisor)
    outputs, initial, labels = drawn(rule, 1, example=7)
    over = 3.0 if divisor == "alpha" else 9.0
    left = [1 - (2 * int(y) - 1) * (3 * (lift(f) - f0)) for f, f0, y in zip(outputs, initial, labels, strict=True)]
    found = rule(outputs, initial, labels)
    holds(found["loss"], mean(largest(x, 0.0) for x in left) / over)
    torch = pytest.importorskip("torch")
    f = torch.tensor(outputs, requires_grad=True)
    loss = torch.relu(1 - torch.tensor(2.0 * labels - 1) * 3 * (f - torch.tensor(initial))).mean() / over
    np.testing.assert_allclose(found["slope"], torch.autograd.grad(loss, f)[0].numpy(), rtol=1e-14)
    fitted = rule(initial + (2 * labels - 1.0), initial, labels)
    assert fitted["loss"] == 0.0
    assert not fitted["slope"].any()


@pytest.mark.parametrize("examples", ["all", "unfitted"])
def test_perceptron_noise(examples: str) -> None:
    rule = g.PerceptronNoise(examples=examples)
    inputs, labels, weight = drawn(rule, 2, example=8)
    signs = 2 * labels - 1
    active = signs * (inputs @ weight) < 1
    assert 1 < active.sum() < 8
    gradients = np.where(active[:, None], -signs[:, None] * inputs, 0.0)
    rows = [[Fraction(float(x)) for x in r] for r, a in zip(gradients, active, strict=True) if a or examples == "all"]
    np.testing.assert_allclose(rule(inputs, labels, weight), np.array(covariance(rows), float), rtol=1e-12)
    assert not rule(inputs * 1e3, labels, np.where(labels[:1], 1.0, -1.0) * 1e-9 * weight)[0, 0] < 0


def test_weight_variation() -> None:
    w, initial = np.random.default_rng(3).standard_normal((2, 6))
    norm = lambda x: root(total(v * v for v in x))  # noqa: E731
    holds(
        g.WeightVariation()(w, initial),
        norm([lift(a) - b for a, b in zip(w, initial, strict=True)]) / norm(map(lift, initial)),
    )
    assert g.WeightVariation()(w, w) == 0.0
    assert g.WeightVariation()(np.zeros(2), np.zeros(2)) == 0.0


@pytest.mark.parametrize("noise", ["examples", "batch"])
def test_multiplicative_noise(noise: str) -> None:
    rule = g.MultiplicativeGradientNoise(size=5, noise=noise)
    gradients, z = drawn(rule, 4, example=6)
    factors = [1 + root(lift(6) / 5) * (z[i] if noise == "examples" else z[0]) for i in range(6)]
    holds(rule(gradients, z), [mean(f * x for f, x in zip(factors, column, strict=True)) for column in gradients.T])
    assert np.array_equal(rule(gradients, 0 * z), g.MultiplicativeGradientNoise()(gradients, 0 * z))


def test_its_noise_is_that_of_a_small_batch_about_the_mean_square() -> None:
    gradients = np.random.default_rng(5).standard_normal((4, 2))
    signs = np.array(list(product([-1.0, 1.0], repeat=4)))  # of mean zero and variance one
    found = np.cov([g.MultiplicativeGradientNoise(size=2)(gradients, z) for z in signs], rowvar=False, ddof=0)
    np.testing.assert_allclose(found, gradients.T @ gradients / 4 / 2, rtol=1e-12)


def test_local_steps_telescope() -> None:
    random, rule = np.random.default_rng(6), g.LocalVarianceReducedStep(lr=0.25)
    matrices, p = random.standard_normal((3, 2, 2)), random.standard_normal(2)
    estimate, previous = np.mean(matrices @ p, axis=0), p
    for _ in range(4):  # a whole batch of quadratics: the estimate stays the exact gradient
        found = rule(p, matrices @ p, matrices @ previous, estimate)
        np.testing.assert_allclose(found["estimate"], np.mean(matrices @ p, axis=0), rtol=1e-12, atol=1e-14)
        previous, p, estimate = p, found["p"], found["estimate"]
    p, new, old, estimate = drawn(rule, 8)
    v = [
        mean(lift(a) - b for a, b in zip(*pair, strict=True)) + e
        for *pair, e in zip(new.T, old.T, estimate, strict=True)
    ]
    holds(rule(p, new, old, estimate)["p"], [lift(x) - 0.25 * y for x, y in zip(p, v, strict=True)])


def test_private_local_steps() -> None:
    rule = g.PrivateLocalStep(lr=0.25, radius=0.5, noise_scale=0.125)
    p, last, new, old, estimate, noise = drawn(rule, 9)
    moved = [lift(a) - b for a, b in zip(p, last, strict=True)]
    radius = root(total(a * a for a in moved)) / 2
    apart = [[lift(a) - b for a, b in zip(*pair, strict=True)] for pair in zip(new, old, strict=True)]
    lengths = [root(total(a * a for a in row)) for row in apart]
    clipped = [
        [a * radius / length if float(length.value) > float(radius.value) else a for a in row]
        for row, length in zip(apart, lengths, strict=True)
    ]
    v = [
        mean(column) + e + radius * z / 8
        for column, e, z in zip(zip(*clipped, strict=True), map(lift, estimate), map(lift, noise), strict=True)
    ]
    found = rule(p, last, new, old, estimate, noise)
    holds(found["estimate"], v)
    holds(found["p"], [lift(x) - 0.25 * y for x, y in zip(p, v, strict=True)])
    # nothing is clipped of a radius that is large enough, and nothing moves of parameters that stood still
    plain = g.LocalVarianceReducedStep(lr=0.25)(p, new, old, estimate)
    wide = g.PrivateLocalStep(lr=0.25, radius=1e6, noise_scale=0.0)(p, last, new, old, estimate, noise)
    np.testing.assert_allclose(wide["p"], plain["p"], rtol=1e-13)
    np.testing.assert_array_equal(rule(p, p, new, old, estimate, noise)["estimate"], estimate)


def private(p: Any, last: Any, new: Any, old: Any, estimate: Any, noise: Any, wrong: str = "") -> dict[str, Any]:
    radius = np.linalg.norm(np.float64(p) - last) if wrong != "constant" else 1.0
    apart = np.float64(new) - old
    if wrong == "mean":
        apart = apart.mean(0, keepdims=True)
    length = np.linalg.norm(apart, axis=1, keepdims=True)
    apart = np.where(length > radius, apart * (radius / np.where(length, length, 1)), apart)
    estimate = estimate + apart.mean(0) + (1.0 if wrong == "noise" else radius) * 0.01 * noise
    return {"p": np.float32(p - 0.1 * estimate), "estimate": np.float32(estimate)}


def unbiased(gradients: np.ndarray) -> Any:
    return np.float32(0.005) * np.cov(gradients.T, ddof=1).astype(np.float32)


def swapped(p: np.ndarray, gradients: np.ndarray, previous: np.ndarray, estimate: np.ndarray) -> dict[str, np.ndarray]:
    new = (gradients - previous).mean(0) + estimate
    return {"p": p - np.float32(0.1) * estimate, "estimate": new}


def test_verdicts() -> None:
    assert not verdict(unbiased, g.GradientNoise()).conforms
    assert not verdict(swapped, g.LocalVarianceReducedStep()).conforms
    assert verdict(private, g.PrivateLocalStep()).conforms
    for wrong in ("constant", "mean", "noise"):
        assert not verdict(lambda *a, wrong=wrong: private(*a, wrong), g.PrivateLocalStep()).conforms, wrong
