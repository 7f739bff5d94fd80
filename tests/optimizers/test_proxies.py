"""z-loss, qk-layernorm and parameter scaling restated in sixty digits; gradients by differences of their own values."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from tests.optimizers.tracked import Tracked, dot, exponential, holds, largest, lift, logarithm, mean, root, total

#: sixty digits, less the twenty that a central difference of step 1e-20 loses, with ten to spare
DIGITS = mpf(10) ** -30
RANDOM = np.random.default_rng(12)
LOGITS = RANDOM.standard_normal((3, 4)) * 3
Q, K, G = RANDOM.standard_normal((2, 3, 4)), RANDOM.standard_normal((2, 5, 4)), RANDOM.standard_normal((2, 3, 5))


def slope(f: Callable[[list[Any]], Any], x: list[float], i: int) -> Any:
    """A derivative: a central difference, whose error is of the order of 1e-40."""
    h = mpf(10) ** -20
    up, down = [mpf(v) for v in x], [mpf(v) for v in x]
    up[i] += h
    down[i] -= h
    return (f(up) - f(down)) / (2 * h)


def test_z_loss() -> None:
    c = 1e-4
    loss, gradient = o.ZLoss(coefficient=c)(LOGITS)
    logs = [logarithm(total(exponential(x) for x in row)) for row in LOGITS.tolist()]
    holds(loss, [c * mean(z * z for z in logs)])
    for row, z, got in zip(LOGITS.tolist(), logs, gradient, strict=True):
        holds(got, [2 * c * z * exponential(lift(x) - z) / 3 for x in row])


def test_the_gradient_of_z_loss_is_its_slope() -> None:
    """What is restated above is the derivative of what is restated above: to the digits of a difference quotient."""
    row = LOGITS[0].tolist()
    z = logarithm(total(exponential(x) for x in row))
    for i in range(4):
        want = slope(lambda x: mpmath.log(sum(mpmath.exp(v) for v in x)) ** 2, row, i)
        assert abs((2.0 * z * exponential(lift(row[i]) - z)).value - want) <= DIGITS


def test_z_loss_of_large_and_masked_logits() -> None:
    loss, gradient = o.ZLoss(coefficient=1.0)(np.asarray([[1000.0, -np.inf, 1000.0]]))
    assert abs(loss - (1000 + math.log(2)) ** 2) <= 4 * math.ulp(1e6)
    assert gradient[0, 1] == 0.0
    assert o.ZLoss()(np.zeros((2, 1)))[0] == 0.0
    with pytest.raises(ArgumentError, match="at least one class"):
        o.ZLoss()(np.zeros((2, 0)))


def normalised(x: list[float], eps: float) -> tuple[list[Tracked], Tracked]:
    centred = [lift(v) - mean(x) for v in x]
    below = root(mean(v * v for v in centred) + eps)
    return [v / below for v in centred], below


def pulled(g: list[Tracked], x_hat: list[Tracked], below: Tracked) -> list[Tracked]:
    along, centre = mean(a * b for a, b in zip(g, x_hat, strict=True)), mean(g)
    return [(a - centre - b * along) / below for a, b in zip(g, x_hat, strict=True)]


def test_qk_layernorm() -> None:
    rule = o.QKLayerNorm()
    logits, g_q, g_k = rule(Q, K, G)
    for n in range(2):
        qs = [normalised(row, rule.eps) for row in Q[n].tolist()]
        ks = [normalised(row, rule.eps) for row in K[n].tolist()]
        holds(logits[n], [[dot(a, b) / 2.0 for b, _ in ks] for a, _ in qs])
        for i, (x_hat, below) in enumerate(qs):
            g = [dot(G[n, i].tolist(), [b[j] for b, _ in ks]) / 2.0 for j in range(4)]
            holds(g_q[n, i], pulled(g, x_hat, below))
        for i, (x_hat, below) in enumerate(ks):
            g = [dot(G[n, :, i].tolist(), [a[j] for a, _ in qs]) / 2.0 for j in range(4)]
            holds(g_k[n, i], pulled(g, x_hat, below))


def test_the_gradient_of_qk_layernorm_is_its_slope() -> None:
    q, k, eps = Q[0, 0].tolist(), K[0, 0].tolist(), o.QKLayerNorm().eps

    def value(x: list[Any]) -> Any:
        centre = sum(x) / 4
        below = mpmath.sqrt(sum((v - centre) ** 2 for v in x) / 4 + mpf(eps))
        return sum((v - centre) / below * b.value for v, b in zip(x, k_hat, strict=True)) / 2

    (q_hat, below), (k_hat, _) = normalised(q, eps), normalised(k, eps)
    restated = pulled([b / 2.0 for b in k_hat], q_hat, below)
    for i in range(4):
        assert abs(restated[i].value - slope(value, q, i)) <= DIGITS


def test_laws_of_qk_layernorm() -> None:
    rule = o.QKLayerNorm(eps=0.0)
    logits, g_q, _ = rule(Q, K, G)
    assert np.array_equal(rule(4 * Q, K, G)[0], logits)  # queries' scale does not matter
    assert np.all(np.abs(logits) <= 2.0 * (1 + 32 * 2.0**-53))  # at most sqrt(d)
    assert np.all(np.abs(np.sum(g_q, axis=-1)) <= 64 * 2.0**-53 * np.max(np.abs(g_q)))  # a shift does not matter
    with pytest.raises(ArgumentError, match=r"\[..., queries, keys\]"):
        rule(Q, K, G[:, :2])


def test_parameter_scaled_rate() -> None:
    p = LOGITS
    rule = o.ParameterScaledRate(lr=0.5)
    holds(rule(p), [lift(0.5) * largest(1e-3, root(mean(lift(x) * x for x in p.ravel().tolist())))])
    assert rule(np.full(3, 1e-9)) == 0.5 * 1e-3
    assert rule(np.zeros(0)) == 0.5 * 1e-3


def test_sensitivity() -> None:
    losses, first = np.asarray([3.0, 1.0, 2.0, np.nan, 50.0]), np.float64(4.0)
    assert o.RateSensitivity()(losses, first) == (3 + 1 + 2 + 4 + 4) / 5 - 1
    assert o.RateSensitivity()(np.ones(4), first) == 0.0


def test_independent_decay_is_coupled_to_the_schedule_alone() -> None:
    """With weight_decay / peak_lr AdamW's own decay is the same real number, for any lr of the schedule."""
    p, g = RANDOM.standard_normal(5), RANDOM.standard_normal(5)
    for lr in (0.01, 0.0025, 0.0):
        independent = o.AdamW(lr=lr, weight_decay=0.125, peak_lr=0.01, decay="independent")
        usual = o.AdamW(lr=lr, weight_decay=0.125 / 0.01)
        a, b = (rule.step(p, g, rule.init(p))[0] for rule in (independent, usual))
        assert np.max(np.abs(a - b)) <= 8 * 2.0**-53 * np.max(np.abs(p))
