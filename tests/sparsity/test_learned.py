"""Learned sparsity: formulas in many digits, gradients against differences in many digits, closed forms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest

from refgrad.errors import ArgumentError
from refgrad.sparsity import (
    FORCE,
    SNIP,
    STR,
    ContinuousSparsification,
    HardConcrete,
    Movement,
    NetworkSlimming,
    Powerpropagation,
    SoftMovement,
    SynFlow,
)

#: one rounding of float64, and how many a formula of these takes at most
UNIT, ROUNDINGS = 2.0**-53, 64
POINTS = [-2.5, -1.0, -0.3, 0.2, 0.7, 1.9]


def close(found: Any, truth: Any) -> bool:
    """Equal to within the roundings of a short formula."""
    return bool(abs(mpmath.mpf(float(found)) - truth) <= ROUNDINGS * UNIT * max(abs(truth), mpmath.mpf(2) ** -20))


def slope(function: Callable[[Any], Any], at: float) -> Any:
    """The derivative, in forty digits."""
    with mpmath.workdps(60):
        return mpmath.diff(function, mpmath.mpf(at))


def sigmoid(x: Any) -> Any:
    return 1 / (1 + mpmath.exp(-x))


@pytest.mark.parametrize("s", [-3.0, -0.5, 1.0])
def test_str(s: float) -> None:
    rule, w, g = STR(), np.asarray(POINTS), np.asarray([1.0, -2.0, 0.5, 3.0, -1.0, 2.0])
    value = lambda x, s: mpmath.sign(x) * max(abs(x) - sigmoid(s), 0)  # noqa: E731
    found = rule.both(g, w, backend="numpy", s=s)
    dw, ds = found["x_grad"], float(found["s_grad"].item())
    for i, x in enumerate(POINTS):
        assert close(found["y"][i], value(mpmath.mpf(x), mpmath.mpf(s)))
        assert close(dw[i], float(g[i]) * slope(lambda y: value(y, mpmath.mpf(s)), x))
    exact = mpmath.fsum(float(g[i]) * slope(lambda y, x=x: value(mpmath.mpf(x), y), s) for i, x in enumerate(POINTS))
    assert close(ds, exact)


def test_str_at_its_threshold() -> None:
    w, g = np.asarray([0.5, -0.5, 0.0]), np.ones(3)
    found = STR().both(g, w, backend="numpy", s=0.0)
    assert found["y"].tolist() == found["x_grad"].tolist() == [0.0, 0.0, 0.0]
    assert found["s_grad"].item() == 0.0
    other = STR(edge="inclusive").both(g, w, backend="numpy", s=0.0)
    assert other["x_grad"].tolist() == [1.0, 1.0, 0.0]


@pytest.mark.parametrize("alpha", [1.0, 1.5, 2.0, 3.0])
def test_powerpropagation(alpha: float) -> None:
    rule, theta = Powerpropagation(alpha=alpha), np.asarray(POINTS)
    found = rule.both(np.ones(6), theta, backend="numpy")
    back = rule.evaluate(rule.initial(theta), backend="numpy")
    for i, x in enumerate(POINTS):
        value = lambda y: mpmath.sign(y) * abs(y) ** mpmath.mpf(alpha)  # noqa: E731
        assert close(found["y"][i], value(mpmath.mpf(x)))
        assert close(found["x_grad"][i], slope(value, x))
        assert close(back[i], mpmath.mpf(x))
    assert rule.differentiate(np.ones(1), np.zeros(1), backend="numpy")["x_grad"][0] == (1.0 if alpha == 1.0 else 0.0)


def test_torchs_gradient_of_powerpropagation_is_nan_at_zero() -> None:
    torch = pytest.importorskip("torch", reason="torch's automatic differentiation is looked at")
    theta = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    (theta * theta.abs() ** 0.5).backward()
    assert torch.isnan(theta.grad).all()


@pytest.mark.parametrize("beta", [1.0, 14.0])
@pytest.mark.parametrize("initial", [-0.2, 0.0, 0.3])
def test_continuous_sparsification(beta: float, initial: float) -> None:
    g, strength = np.asarray([1.0, -2.0, 0.5, 3.0, -1.0, 2.0]), 0.25
    rule = ContinuousSparsification(initial=initial, strength=strength)
    w, s = np.asarray(POINTS), np.linspace(-0.4, 0.5, 6)
    found = rule.both(g, w, backend="numpy", s=s, beta=beta)
    dw, ds = found["x_grad"], found["s_grad"]
    for i, x in enumerate(POINTS):
        gate = lambda y: sigmoid(mpmath.mpf(beta) * y) / sigmoid(mpmath.mpf(initial))  # noqa: E731
        at = mpmath.mpf(float(s[i]))
        assert close(found["y"][i], x * gate(at))
        assert close(dw[i], float(g[i]) * gate(at))
        assert close(ds[i], slope(lambda y, i=i, x=x, gate=gate: (float(g[i]) * x + strength) * gate(y), float(s[i])))


def test_continuous_sparsification_rounds() -> None:
    rule = ContinuousSparsification()
    assert [round(rule.beta(e, 85), 4) for e in (0, 1, 42, 84)] == [1.0, 1.0651, 14.1421, 200.0]
    s = np.asarray([-0.01, 0.02])
    assert rule.ticket(s).tolist() == [False, True]
    assert rule.next_round(s).tolist() == [-2.0, 0.0]
    assert ContinuousSparsification(reset="code").next_round(s).tolist() == [-0.01, 0.0]
    with pytest.raises(ArgumentError, match="epoch is 5; legal: a whole number from 0 to below epochs=5"):
        rule.beta(5, 5)


def test_hard_concrete() -> None:
    rule, u = HardConcrete(), np.asarray([0.05, 0.3, 0.45, 0.6, 0.8, 0.99])
    with mpmath.workdps(40):
        beta, gamma, zeta = mpmath.mpf(rule.beta), mpmath.mpf(-0.1), mpmath.mpf(1.1)
        log_alpha = np.asarray(POINTS)
        found = rule.both(np.ones(6), log_alpha, backend="numpy", u=u)
        for i, x in enumerate(POINTS):
            noise = mpmath.log(mpmath.mpf(float(u[i]))) - mpmath.log(1 - mpmath.mpf(float(u[i])))
            stretch = lambda y: sigmoid((noise + y) / beta) * (zeta - gamma) + gamma  # noqa: B023, E731
            assert close(found["y"][i], min(mpmath.mpf(1), max(mpmath.mpf(0), stretch(mpmath.mpf(x)))))
            inside = 0 < stretch(mpmath.mpf(x)) < 1
            assert close(found["x_grad"][i], slope(stretch, x) if inside else mpmath.mpf(0))
            assert close(rule.probability(log_alpha)[i], sigmoid(mpmath.mpf(x) - beta * mpmath.log(-gamma / zeta)))


def test_hard_concrete_probabilities_are_those_of_its_samples() -> None:
    rule = HardConcrete()
    u = (np.arange(100_000) + 0.5) / 100_000  # quantiles: each probability is met to within one of them
    for log_alpha in (-2.0, 0.0, 1.5):
        z = rule.evaluate(np.full(u.shape, log_alpha), backend="numpy", u=u)
        assert abs(np.mean(z > 0) - rule.probability(np.asarray(log_alpha))) <= 1e-5
        assert abs(np.mean(z == 1) - rule.probability_one(np.asarray(log_alpha))) <= 1e-5
    published = [(0.0, 0.8318221840, 0.1681778160, 0.5), (-2.0, 1 - 0.5990247356, 0.0266333447, 0.0430435064)]
    for log_alpha, some, one, test in published:
        at = np.asarray(log_alpha)
        found = [float(f(at)) for f in (rule.probability, rule.probability_one, rule.at_test)]
        assert [round(x, 9) for x in found] == [round(x, 9) for x in (some, one, test)]


def test_movement_and_its_soft_form() -> None:
    random = np.random.default_rng(0)
    w, s, g = (random.standard_normal((4, 6)) for _ in range(3))
    mask = Movement(sparsity=0.25).mask(w, s=s)
    assert mask.sum() == 18
    assert s[mask].min() >= s[~mask].max()
    dw, ds = Movement.backward(w, mask, g)
    assert np.array_equal(Movement.forward(w, mask), w * mask)
    assert np.array_equal(dw, g * mask)
    assert np.array_equal(ds, g * w)  # on pruned entries too
    soft = SoftMovement(threshold=0.5)
    assert np.array_equal(soft.mask(w, s=s), s > 0)
    assert np.array_equal(SoftMovement(threshold=0.5, squashed="plain").mask(w, s=s), s > 0.5)
    for i, x in enumerate(s.ravel()[:5]):
        assert close(soft.penalty(s, 3.0).ravel()[i], 3 * slope(sigmoid, float(x)) / 24)


def test_network_slimming_adds_the_subgradient() -> None:
    gamma, g = np.asarray([0.5, -0.25, 0.0]), np.asarray([1.0, 1.0, 1.0])
    assert NetworkSlimming.penalized(gamma, g, 0.125).tolist() == [1.125, 0.875, 1.0]
    layers = [np.asarray([0.1, -0.9, 0.5]), np.asarray([0.05, 0.3])]
    assert [m.tolist() for m in NetworkSlimming(sparsity=0.4).masks(layers)] == [[False, True, True], [False, True]]


def test_synflow_conserves_and_snip_does_not_see_rescaling() -> None:
    """A linear network of two layers: the scores of each layer add up to R, those into a unit to those out of it."""
    random = np.random.default_rng(1)
    first, second = (
        np.abs(random.integers(-9, 9, (5, 4))).astype(float),
        np.abs(random.integers(-9, 9, (3, 5))).astype(float),
    )
    # R = 1^T second first 1, whole numbers: everything is exact
    out, into = second.sum(axis=0), first.sum(axis=1)
    rule = SynFlow(sparsity=0.5)
    scores = [rule.score(first, g=np.outer(out, np.ones(4))), rule.score(second, g=np.outer(np.ones(3), into))]
    assert scores[0].sum() == scores[1].sum() == out @ into
    assert np.array_equal(scores[0].sum(axis=1), scores[1].sum(axis=0))
    assert [round(rule.density(i, 2), 6) for i in (1, 2)] == [0.707107, 0.5]
    saliency = [SNIP().score(a * w, g=g / a) for w, g, a in ((first, first + 1, 4.0), (first, first + 1, 1.0))]
    assert np.array_equal(*saliency)
    assert FORCE(sparsity=0.75).density(1, 2) == 0.5
    assert FORCE(sparsity=0.75, schedule="linear").density(1, 2) == 0.625
