"""Penalties between domains: equations in sixty digits, DomainBed's formulas by torch, properties, verdicts."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from refgrad import gradients as g
from refgrad.errors import ArgumentError
from tests.gradients.judged import drawn, verdict
from tests.optimizers.tracked import Tracked, dot, exponential, holds, lift, logarithm, mean, total


def squares(rows: Any) -> Tracked:
    """The mean over rows of a squared distance from their mean."""
    center = [mean(c) for c in zip(*rows, strict=True)]
    return mean(total((lift(x) - m) * (lift(x) - m) for x, m in zip(r, center, strict=True)) for r in rows)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_v_rex(count: int) -> None:
    risks = np.abs(np.random.default_rng(count).standard_normal(count))
    spread = squares([[x] for x in risks])
    found = g.VarianceRiskExtrapolation(weight=3.0)(risks)
    holds(list(found.values()), [mean(risks) + 3 * spread, spread])
    pairs = total((lift(a) - b) * (lift(a) - b) for a, b in combinations(risks, 2))
    found = g.VarianceRiskExtrapolation(weight=3.0, spread="pairs", normalization="rescaled")(risks)
    if count > 1:
        holds(found["objective"], (mean(risks) + 3 * pairs) / 3)
        np.testing.assert_allclose(found["penalty"], float(pairs.value), rtol=1e-14)
    assert g.VarianceRiskExtrapolation(weight=0.5, normalization="rescaled")(risks)["objective"] == pytest.approx(
        g.VarianceRiskExtrapolation(weight=0.5)(risks)["objective"], rel=0
    )


@pytest.mark.parametrize("estimate", ["squared", "halves"])
@pytest.mark.parametrize("sizes", [(2, 4, 3), (1, 3, 2), (3, 5, 1)])
def test_irm(estimate: str, sizes: tuple[int, int, int]) -> None:
    rule = g.InvariantRisk(weight=7.0, estimate=estimate)
    logits, labels = drawn(rule, 1, domain=sizes[0], example=sizes[1], **{"class": sizes[2]})
    risks, penalties = [], []
    for rows, ys in zip(logits, labels, strict=True):
        slopes, losses = [], []
        for row, y in zip(rows, ys, strict=True):
            powers = [exponential(lift(x) - float(max(row))) for x in row]
            losses.append(logarithm(total(powers)) + float(max(row)) - row[y])
            slopes.append(dot([p / total(powers) - (k == y) for k, p in enumerate(powers)], row))
        risks.append(mean(losses))
        halves = [mean(slopes)] * 2 if estimate == "squared" else [mean(slopes[::2]), mean(slopes[1::2])]
        penalties.append(halves[0] * halves[1])
    found = rule(logits, labels)
    holds(list(found.values()), [mean(risks) + 7 * mean(penalties), mean(penalties)])


@pytest.mark.parametrize("estimate", ["squared", "halves"])
def test_irm_by_torch(estimate: str) -> None:
    torch = pytest.importorskip("torch")
    rule = g.InvariantRisk(estimate=estimate)
    logits, labels = drawn(rule, 2)
    penalty = 0.0
    for rows, ys in zip(torch.tensor(logits), torch.tensor(labels), strict=True):
        scale = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
        parts = [slice(None)] * 2 if estimate == "squared" else [slice(None, None, 2), slice(1, None, 2)]
        losses = [torch.nn.functional.cross_entropy(rows[part] * scale, ys[part]) for part in parts]
        slopes = [torch.autograd.grad(loss, scale)[0] for loss in losses]
        penalty += float(slopes[0] * slopes[1]) / len(logits)
    assert rule(logits, labels)["penalty"] == pytest.approx(penalty, rel=1e-13, abs=1e-15)


def test_even_and_odd_examples_depend_on_their_order_and_may_be_negative() -> None:
    logits, labels = drawn(g.InvariantRisk(), 3, domain=1)
    found = {
        g.InvariantRisk(estimate="halves")(logits[:, o], labels[:, o])["penalty"]
        for o in np.argsort(np.random.default_rng(0).random((9, 4)), axis=1)
    }
    assert len(found) > 1
    assert min(found) < max(found)
    with pytest.raises(ArgumentError, match="an even and an odd example"):
        g.InvariantRisk(estimate="halves")(logits[:, :1], labels[:, :1])


@pytest.mark.parametrize("shape", [(3, 4), (2, 1), (5, 2)])
def test_penalties_of_gradients(shape: tuple[int, int]) -> None:
    random = np.random.default_rng(sum(shape))
    rows, curved, reference = (
        random.standard_normal(shape),
        random.standard_normal(shape),
        random.standard_normal(shape[1]),
    )
    holds(g.InterdomainGradientVariance()(rows), squares(rows) * len(rows))
    holds(g.InterdomainGradientVariance(reduction="mean")(rows), squares(rows))
    holds(g.GradientInnerProduct()(rows), -mean([dot(a, b) for a, b in combinations(rows, 2)]))
    apart = mean(total((lift(x) - y) * (lift(x) - y) for x, y in zip(row, reference, strict=True)) for row in curved)
    rule = g.HessianAlignment(curvature_weight=0.5, gradient_weight=0.25)
    holds(rule(rows, curved, reference), 0.5 * apart + 0.25 * squares(rows))
    holds(rule.replace(center="mean")(rows, curved, reference), 0.5 * squares(curved) + 0.25 * squares(rows))
    assert rule.replace(center="mean")(np.ones(shape), np.ones(shape), reference) == 0.0


def test_fish_steps() -> None:
    p, inner = np.array([1.0, -2.0]), np.array([2.0, 2.0])
    assert g.FishStep()(p, inner).tolist() == [1.5, 0.0]
    assert g.FishStep(rate="shared", steps=2)(p, inner).tolist() == [1.25, -1.0]


@pytest.mark.parametrize("rule", [g.Fishr(), *(v for _, v in g.Fishr().variants()), g.Fishr(decay=0.5)], ids=str)
def test_fishr(rule: Any) -> None:
    gradients, average = drawn(rule, 4)
    domains, _, count = gradients.shape
    new = []
    for e in range(domains):
        columns = [gradients[e, :, j] for j in range(count)]
        spread = [squares([[x] for x in column]) for column in columns]
        new.append([rule.decay * lift(a) + (1 - lift(rule.decay)) * v for a, v in zip(average[e], spread, strict=True)])
    used = [[u / (1 - lift(rule.decay)) if rule.rescaled else u for u in row] for row in new]
    penalty = squares(used) / (count if rule.reduction == "mean" else 1)
    found = rule(gradients, average)
    holds(found["penalty"], penalty)
    holds(found["average"], new)


def test_fishr_grows_by_its_rescaling() -> None:
    gradients, average = drawn(g.Fishr(), 5)
    average, seen = np.zeros_like(average), []
    for _ in range(1000):
        found = g.Fishr()(gradients, average)
        average = found["average"]
        seen.append(found["penalty"])
    assert seen[-1] / seen[0] == pytest.approx(400.0, rel=1e-9)
    moved = g.Fishr()(gradients + 3.0, average)["penalty"]
    assert moved == pytest.approx(seen[-1], rel=1e-9)


def test_hessian_gradient_products_as_the_authors_differentiate_them() -> None:
    torch = pytest.importorskip("torch")
    features, labels = np.random.default_rng(6).standard_normal((3, 5, 2)), np.arange(15).reshape(3, 5) % 3
    weight = np.random.default_rng(7).standard_normal((3, 2))
    w = torch.tensor(weight, requires_grad=True)
    losses = [
        torch.nn.functional.cross_entropy(torch.tensor(z) @ w.T, torch.tensor(y))
        for z, y in zip(features, labels, strict=True)
    ]
    losses.append(sum(losses) / 3)
    grads = [torch.autograd.grad(loss, w, create_graph=True)[0] for loss in losses]
    theirs = [
        (grad.norm() * torch.autograd.grad(grad.norm(), w, retain_graph=True)[0]).detach().numpy().ravel()
        for grad in grads
    ]
    own, products = [], []
    for z, y in zip(features, labels, strict=True):
        own.append(g.SoftmaxHeadGradient()(z, weight, y))
        products.append(g.SoftmaxHeadHessianProduct()(z, weight, own[-1]).ravel())
    np.testing.assert_allclose(products, theirs[:3], rtol=1e-12, atol=1e-15)
    together = g.SoftmaxHeadHessianProduct()(features.reshape(-1, 2), weight, np.mean(own, axis=0)).ravel()
    np.testing.assert_allclose(together, theirs[3], rtol=1e-12, atol=1e-15)
    assert not np.allclose(together, np.mean(products, axis=0), rtol=1e-2)
    flat = [x.ravel() for x in own]
    penalty = np.mean(
        [
            1e-4 * np.sum((q - theirs[3]) ** 2) + 5e-3 * np.sum((x - np.mean(flat, axis=0)) ** 2)
            for q, x in zip(theirs, flat, strict=False)
        ]
    )
    assert g.HessianAlignment()(np.array(flat), np.array(products), together) == pytest.approx(penalty, rel=1e-12)


def debiased(gradients: np.ndarray, average: np.ndarray) -> dict[str, np.ndarray]:
    average = np.float32(0.95) * average + np.float32(0.05) * gradients.var(1)
    used = average - average.mean(0)
    return {"penalty": (used**2).sum(1).mean(), "average": average}


def test_verdicts() -> None:
    assert verdict(lambda rows: ((rows - rows.mean(0)) ** 2).sum(), g.InterdomainGradientVariance()).conforms
    assert not verdict(lambda rows: ((rows - rows.mean(0)) ** 2).mean(), g.InterdomainGradientVariance()).conforms
    assert not verdict(debiased, g.Fishr()).conforms
    assert verdict(debiased, g.Fishr(rescaled=False)).conforms
    assert not verdict(
        lambda risks: {"objective": risks.mean() + 10 * risks.var(ddof=1), "penalty": risks.var(ddof=1)},
        g.VarianceRiskExtrapolation(),
    ).conforms
