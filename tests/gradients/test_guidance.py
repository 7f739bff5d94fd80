"""Guidance and f-distill's weights: equations in sixty digits, diffusers' numbers, second derivatives, properties, verdicts."""

from __future__ import annotations

from typing import Any

import mpmath
import numpy as np
import pytest

from refgrad import gradients as g
from refgrad.errors import ArgumentError
from tests.gradients.judged import drawn, verdict
from tests.optimizers.tracked import dot, exponential, holds, lift, mean, root, total

PLAIN = g.AdaptiveProjectedGuidance(momentum=0.0, radius=0.0, scale=3.0)
#: the difference as it is, which is classifier-free guidance
WHOLE = PLAIN.replace(parallel=1.0)


def guided(rule: Any, conditional: Any, unconditional: Any) -> Any:
    shape = (1, 1, -1)
    c, u = (np.array(x, float).reshape(shape) for x in (conditional, unconditional))
    return rule(c, u, np.zeros_like(c))["guided"].ravel()


def test_classifier_free_guidance() -> None:
    c, u = drawn(g.ClassifierFreeGuidance(), 0)
    pairs = list(zip(c.ravel(), u.ravel(), strict=True))
    holds(g.ClassifierFreeGuidance()(c, u), [lift(y) + 7.5 * (lift(x) - y) for x, y in pairs])
    holds(g.ClassifierFreeGuidance(base="conditional")(c, u), [lift(x) + 7.5 * (lift(x) - y) for x, y in pairs])
    np.testing.assert_array_equal(g.ClassifierFreeGuidance(scale=0.0, base="conditional")(c, u), c)


def test_the_golden_guidance() -> None:
    want = {"reference": (1.72, 4.96), "unconditional": (-0.92, 1.44), "conditional": (1.08, 5.44)}
    for form, golden in want.items():
        np.testing.assert_allclose(guided(PLAIN.replace(form=form), [3, 4], [1, 0]), golden, rtol=1e-12)
    np.testing.assert_allclose(guided(WHOLE, [3, 4], [1, 0]), (7, 12), rtol=1e-12)


@pytest.mark.parametrize(
    "rule",
    [
        g.AdaptiveProjectedGuidance(),
        *(v for _, v in g.AdaptiveProjectedGuidance().variants()),
        g.AdaptiveProjectedGuidance(radius=0.0, parallel=0.5),
        g.AdaptiveProjectedGuidance(radius=100.0),
    ],
    ids=str,
)
def test_adaptive_projected_guidance(rule: Any) -> None:
    c, u, before = drawn(rule, 1)
    whole = c.reshape(-1, c[0].size if rule.norm == "sample" else c.shape[2])
    others = [a.reshape(whole.shape) for a in (u, before)]
    want, running = [], []
    for x, y, m in zip(whole, *others, strict=True):
        d = [lift(a) - b + rule.momentum * lift(e) for a, b, e in zip(x, y, m, strict=True)]
        running += d
        norm = root(dot(d, d))
        factor = rule.radius / norm if 0 < rule.radius < norm.value else lift(1.0)
        d = [a * factor for a in d]
        e = [lift(a) / root(dot(x, x)) for a in x]
        along = dot(d, e)
        d = [a - along * b + rule.parallel * along * b for a, b in zip(d, e, strict=True)]
        base = y if rule.form == "unconditional" else x
        want += [lift(a) + (rule.scale - (rule.form == "reference")) * b for a, b in zip(base, d, strict=True)]
    found = rule(c, u, before)
    holds(found["guided"], want)
    holds(found["average"], running)


def test_what_is_added_is_across_and_short() -> None:
    c, u, before = drawn(g.AdaptiveProjectedGuidance(), 2)
    found = g.AdaptiveProjectedGuidance(scale=4.0)(10 * c, 10 * u, before)["guided"] - 10 * c
    np.testing.assert_allclose(np.sum(found * c, axis=(1, 2)), 0.0, atol=1e-12)
    assert np.all(np.linalg.norm(found.reshape(2, -1), axis=1) <= 3 * 2.5 * (1 + 1e-14))
    np.testing.assert_array_equal(g.AdaptiveProjectedGuidance(scale=1.0)(c, u, before)["guided"], c)
    same = WHOLE(c, u, before)["guided"]
    np.testing.assert_allclose(same, g.ClassifierFreeGuidance(scale=3.0)(c, u), rtol=1e-13, atol=1e-14)
    c[0] = np.nan  # a sample is by itself
    assert np.isfinite(g.AdaptiveProjectedGuidance()(c, u, before)["guided"][1]).all()
    np.testing.assert_array_equal(guided(g.AdaptiveProjectedGuidance(), [0, 0], [0, 0]), [0, 0])
    with pytest.raises(ArgumentError, match="batch, channels"):
        g.AdaptiveProjectedGuidance()(*np.zeros((3, 2, 2)))


#: f, by the name of its weight
DIVERGENCES: dict[str, Any] = {
    "hellinger": lambda r: (1 - mpmath.sqrt(r)) ** 2,
    "reverse_kl": lambda r: -mpmath.log(r),
    "forward_kl": lambda r: r * mpmath.log(r),
    "jensen_shannon": lambda r: r * mpmath.log(r) - (r + 1) * mpmath.log((r + 1) / 2),
    "softened": lambda r: (r + 1) * mpmath.log(mpmath.mpf(1) / 2 + 1 / (2 * r)),
    "neyman": lambda r: (1 - r) ** 2 / r,
    "pearson": lambda r: (1 - r) ** 2,
    "jeffreys": lambda r: (r - 1) * mpmath.log(r),
}


@pytest.mark.parametrize("name", DIVERGENCES)
def test_weights_are_second_derivatives(name: str) -> None:
    ratios = np.array([0.01, 0.5, 1.0, 3.0, 50.0])
    want = [float(mpmath.mpf(r) ** 2 * mpmath.diff(DIVERGENCES[name], mpmath.mpf(r), 2)) for r in ratios.tolist()]
    found = g.DivergenceWeight(divergence=name)(ratios)
    np.testing.assert_allclose(found, want, rtol=1e-12)
    one = g.DivergenceWeight(divergence=name, constants="dropped")(ratios)
    assert np.ptp(one / found) < 1e-15
    assert one[2] in (0.5, 1.0, 2.0)


def test_weights_of_conjugates() -> None:
    r, h = np.array([0.1, 0.7, 2.0, 9.0]), lambda name, r: g.DivergenceWeight(divergence=name)(r)
    for name, other in (
        ("forward_kl", "reverse_kl"),
        ("neyman", "pearson"),
        ("jeffreys",) * 2,
        ("jensen_shannon",) * 2,
    ):
        np.testing.assert_allclose(h(name, r), r * h(other, 1 / r), rtol=1e-14)
    np.testing.assert_allclose(h("forward_kl", r) + h("reverse_kl", r), h("jeffreys", r), rtol=1e-15)
    assert np.all(h("jensen_shannon", r) < 1)
    assert h("neyman", np.zeros(1)).tolist() == [2e8]


@pytest.mark.parametrize("name", ["forward_kl", "reverse_kl", "neyman"])
def test_distillation_weights(name: str) -> None:
    rule = g.DistillationWeights(divergence=name, decay=0.25)
    logits, bins, averages = drawn(rule, 3)
    bins = np.minimum(bins, 2)  # the last has none
    ratios = [exponential(mean(row)) for row in logits]
    assert all(0.1 < r.value < 20 for r in ratios)
    new = [lift(a) for a in averages]
    for b in range(3):
        own = [r for r, k in zip(ratios, bins, strict=True) if k == b]
        if own:
            new[b] = 0.25 * new[b] + 0.75 * (total(own) / (len(own) + lift(1e-6)))
    r = [x / (new[b] + 1e-6) for x, b in zip(ratios, bins, strict=True)]
    h = {"forward_kl": r, "reverse_kl": [lift(1.0)] * len(r), "neyman": [2 / x for x in r]}[name]
    found = rule(logits, bins, averages)
    holds(found["weights"], [x / (mean(h) + 1e-6) for x in h])
    holds(found["averages"], new)
    assert np.mean(found["weights"]) == pytest.approx(1.0, abs=1e-5)


def test_ratios_are_held() -> None:
    rule, bins = g.DistillationWeights(lowest=0.5, highest=2.0), np.array([0, 1, 2])
    found = rule(np.array([[-1e3], [0.0], [1e3]]), bins, np.ones(3))
    np.testing.assert_allclose(found["averages"], [0.5, 1.0, 2.0], rtol=2e-6)
    with pytest.raises(ArgumentError, match="one number a bin"):
        rule(np.zeros((3, 1)), bins, np.ones(2))


def from_unconditional(
    conditional: np.ndarray, unconditional: np.ndarray, average: np.ndarray
) -> dict[str, np.ndarray]:
    average = conditional - unconditional - np.float32(0.5) * average
    norm = np.sqrt((average**2).sum((1, 2), keepdims=True))
    d = average * np.where(norm > 2.5, np.float32(2.5) / np.where(norm > 0, norm, 1), 1)
    e = conditional / np.maximum(np.sqrt((conditional**2).sum((1, 2), keepdims=True)), np.float32(1e-12))
    d = d - (d * e).sum((1, 2), keepdims=True) * e
    return {"guided": unconditional + np.float32(7.5) * d, "average": average}


def test_verdicts() -> None:
    rule = g.AdaptiveProjectedGuidance()
    assert not verdict(from_unconditional, rule).conforms
    assert verdict(from_unconditional, rule.replace(form="unconditional")).conforms
    assert not verdict(lambda ratios: np.sqrt(ratios), g.DivergenceWeight()).conforms
    assert verdict(lambda ratios: np.sqrt(ratios), g.DivergenceWeight(constants="dropped")).conforms
