"""Balance between losses, and what a network shares or takes: equations in exact numbers, autograd, properties, verdicts."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest
from mpmath import mp, mpf

import refgrad
from refgrad.errors import ArgumentError
from refgrad.gradients import (
    GuidedLossScaling,
    LossMagnitudeBalance,
    MagnitudeInvariantEncoding,
    PriorBias,
    ScoreGatedSharing,
)
from refgrad.oracle.inputs.transforms import generate

mp.dps = 60


@pytest.mark.parametrize("count", [0, 1, 7])
def test_the_encodings_norm_is_that_of_their_number(count: int) -> None:
    gamma = np.random.default_rng(count).random(count)
    encoded = MagnitudeInvariantEncoding()(gamma)
    np.testing.assert_allclose(np.linalg.norm(encoded), np.sqrt(count), rtol=1e-15)
    assert MagnitudeInvariantEncoding(encoding="complement")(gamma).sum() == pytest.approx(count, rel=1e-15)
    turned = [f(mp.pi * mpf(float(g)) / 2) for f in (mp.cos, mp.sin) for g in gamma]
    np.testing.assert_allclose(encoded, np.array(turned, float), rtol=1e-14)


def test_the_encodings_ends_are_the_axes() -> None:
    np.testing.assert_allclose(MagnitudeInvariantEncoding()(np.array([0.0, 1.0])), [1, 0, 0, 1], atol=1e-16)


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_more_or_fewer_axes_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ArgumentError, match=r"gamma\.ndim is"):
        MagnitudeInvariantEncoding()(np.ones(shape))


@pytest.mark.parametrize("classes", [1, 80])
@pytest.mark.parametrize("images", [1, 4])
def test_a_prior_is_its_equations(images: int, classes: int) -> None:
    random = np.random.default_rng(images)
    foreground, background = random.integers(1, 40, images) * 1.0, random.integers(1000, 90000, images) * 1.0
    found = PriorBias(classes=classes)(foreground, background)
    inside, outside = (Fraction(float(a.sum())) for a in (foreground, background))
    prior = inside / (inside + outside) / classes
    assert found["prior"] == pytest.approx(float(prior), rel=1e-15)
    odds = (1 - prior) / prior
    assert found["bias"] == pytest.approx(float(-mp.log(mpf(odds.numerator) / odds.denominator)), rel=1e-14)
    assert 1 / (1 + np.exp(-found["bias"])) == pytest.approx(float(prior), rel=1e-13)
    assert found["threshold"] == pytest.approx(float(prior * classes), rel=1e-15)
    # the cross entropy of labels that are right as often as the prior says is least there
    entropy = lambda b: float(prior) * np.logaddexp(0, -b) + float(1 - prior) * np.logaddexp(0, b)  # noqa: E731
    assert entropy(found["bias"]) < min(entropy(found["bias"] - 0.1), entropy(found["bias"] + 0.1))


@pytest.mark.parametrize("foreground", [[0.0, 1.0], [3.0, 4.0], [0.0, 0.25]])
@pytest.mark.parametrize(
    "rule", [GuidedLossScaling(), GuidedLossScaling(normalizer="foreground", regression_norm=2.25)]
)
def test_a_guided_loss_is_autograds(rule: GuidedLossScaling, foreground: list[float]) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    x, y = random.standard_normal((6, 4)), random.uniform(0.1, 1, 6)
    w = torch.tensor(random.standard_normal(4), requires_grad=True)
    losses = torch.nn.functional.softplus(torch.tensor(x) @ w)
    (gradient,) = torch.autograd.grad(losses.sum(), w, retain_graph=True)
    count = sum(foreground)
    divisor = count + 2 if rule.normalizer == "foreground_and_images" else count
    of_boxes = y.sum() / max(1.0, count * rule.regression_norm)
    of_classes = losses.sum() / divisor
    scaled = of_classes * (of_boxes / of_classes).detach()
    scaled.backward()
    found = rule(losses.detach().numpy(), y, np.array(foreground), gradient.numpy())
    assert found["loss"] == pytest.approx(of_boxes, rel=1e-13)
    np.testing.assert_allclose(found["gradient"], w.grad.numpy(), rtol=1e-12)
    larger = rule(8 * losses.detach().numpy(), y, np.array(foreground), 8 * gradient.numpy())
    np.testing.assert_array_equal(larger["gradient"], found["gradient"])


@pytest.mark.parametrize("subnets", [1, 2, 5])
def test_balanced_losses_have_the_value_of_the_largest_subnets(subnets: int) -> None:
    random = np.random.default_rng(subnets)
    losses, gradients = random.uniform(0.5, 4, subnets), random.standard_normal((subnets, 3))
    found = LossMagnitudeBalance()(losses, gradients)
    exact = [Fraction(float(v)) for v in losses]
    wanted = [
        sum(exact[0] / loss * Fraction(float(g)) for loss, g in zip(exact, column, strict=True))
        for column in gradients.T
    ]
    np.testing.assert_allclose(found["gradient"], np.array(wanted, float), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(found["factors"] * losses, losses[0], rtol=1e-15)
    scale = np.array([1.0, *[4.0] * (subnets - 1)])
    again = LossMagnitudeBalance()(scale * losses, scale[:, None] * gradients)
    np.testing.assert_array_equal(again["gradient"], found["gradient"])


@pytest.mark.parametrize("shares", ["low", "high"])
def test_gated_weights_are_autograds(shares: str) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    scores = np.array([0.1, 0.5, 0.75, 1.0])
    shared, specific, upstream = random.standard_normal((3, 4, 3))
    leaves = [torch.tensor(a, requires_grad=True) for a in (scores, shared, specific)]
    gate = (leaves[0] <= 0.5 if shares == "low" else leaves[0] >= 0.5).double()
    gate = (gate + leaves[0] - leaves[0].detach())[:, None]  # straight through
    weights = gate * leaves[1] + (1 - gate) * leaves[2]
    (weights * torch.tensor(upstream)).sum().backward()
    found = ScoreGatedSharing(shares=shares)(scores, shared, specific, upstream)
    np.testing.assert_allclose(found["weights"], weights.detach().numpy(), rtol=1e-14)
    for name, leaf in zip(("grad_scores", "grad_shared", "grad_specific"), leaves, strict=True):
        np.testing.assert_allclose(found[name], leaf.grad.numpy(), rtol=1e-13, atol=1e-15, err_msg=name)


def guided(
    classification: Any, regression: Any, foreground: Any, gradient: Any, regression_norm: Any, wrong: str = ""
) -> Any:
    count = foreground.sum()
    divisor = count if wrong == "images" else count + np.float32(len(foreground))
    boxes = regression.sum() / max(np.float32(1), count * np.float32(regression_norm))
    classes = classification.sum() / divisor
    scale = boxes / (classification.sum() if wrong == "sum" else classes)
    return {
        "loss": scale * classes,
        "scale": scale,
        "gradient": gradient if wrong == "no factor" else scale * gradient / divisor,
    }


def balanced(losses: Any, gradients: Any, wrong: str = "") -> Any:
    reference = losses.mean() if wrong == "mean" else losses[0]
    factors = losses / reference if wrong == "inverse" else reference / losses
    factors[0] = 1.0
    return {"factors": factors, "gradient": (gradients if wrong == "unscaled" else factors[:, None] * gradients).sum(0)}


def prior(foreground: Any, background: Any, classes: Any, wrong: str = "") -> Any:
    all_ = background.sum() + (0 if wrong == "odds" else foreground.sum())
    found = foreground.sum() / all_ / np.float32(1 if wrong == "classes" else classes)
    bias = np.log(found / (np.float32(1) - found)) * np.float32(-1 if wrong == "sign" else 1)
    return {"prior": found, "bias": bias, "threshold": found * np.float32(classes)}


def gated(scores: Any, shared: Any, specific: Any, upstream: Any, threshold: Any, wrong: str = "") -> Any:
    bit = (scores >= threshold if wrong == "inverted" else scores <= threshold)[:, None].astype(np.float32)
    one = np.float32(1)
    of_scores = (upstream * (shared if wrong == "shared alone" else shared - specific)).sum(1)
    return {
        "weights": bit * shared + (one - bit) * specific,
        "grad_scores": of_scores,
        "grad_shared": bit * upstream,
        "grad_specific": (one - bit) * upstream,
    }


@pytest.mark.parametrize(
    ("rule", "program", "wrong"),
    [
        (GuidedLossScaling(), guided, ("images", "sum", "no factor")),
        (LossMagnitudeBalance(), balanced, ("mean", "inverse", "unscaled")),
        (PriorBias(), prior, ("odds", "classes", "sign")),
        (ScoreGatedSharing(), gated, ("inverted", "shared alone")),
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
