"""DIFF2 restated in sixty digits, the accounting of its noise, and its laws."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from mpmath import mpf

from refgrad import optimizers as o
from refgrad.errors import ArgumentError
from tests.optimizers.tracked import Tracked, dot, holds, least, lift, mean, root

RANDOM = np.random.default_rng(6)
NEW, OLD = RANDOM.standard_normal((2, 5, 4)), RANDOM.standard_normal((2, 5, 4))
ESTIMATE, MOVED, NOISE = RANDOM.standard_normal((3, 4))
SETTING: dict[str, Any] = {"epsilon": 3.0, "delta": 1e-5, "rounds": 40, "workers": 2, "samples": 5}


def averaged(rows: Any, radius: Any, eps: float) -> list[Tracked]:
    """The mean over workers of the mean over samples of clipped vectors."""
    workers = []
    for worker in rows:
        scaled = [[x * least(1.0, radius / (root(dot(u, u)) + eps)) for x in u] for u in worker]
        workers.append([mean(c) for c in zip(*scaled, strict=True)])
    return [mean(c) for c in zip(*workers, strict=True)]


def tracked(rows: Any) -> Any:
    return [[[lift(x) for x in u] for u in worker] for worker in rows.tolist()]


@pytest.mark.parametrize("radius", [0.5, 30.0])
@pytest.mark.parametrize("restart", [1, 8])
def test_a_restart(radius: float, restart: int) -> None:
    rule = o.Diff2Restart(radius=radius, restart=restart, **SETTING)
    want = averaged(tracked(NEW), radius, rule.eps)
    deviation = lift(radius) * rule.noise_scale()
    holds(rule(NEW, NOISE), [w + deviation * x for w, x in zip(want, NOISE.tolist(), strict=True)])


@pytest.mark.parametrize("radius", [0.25, 30.0])
def test_a_difference(radius: float) -> None:
    rule = o.Diff2Difference(radius=radius, restart=8, **SETTING)
    within = radius * root(dot(MOVED, MOVED))
    changes = [
        [[lift(a) - b for a, b in zip(*u, strict=True)] for u in zip(*w, strict=True)]
        for w in zip(NEW.tolist(), OLD.tolist(), strict=True)
    ]
    want = averaged(changes, within, rule.eps)
    deviation = within * rule.noise_scale()
    rows = zip(ESTIMATE.tolist(), want, NOISE.tolist(), strict=True)
    holds(rule(NEW, OLD, ESTIMATE, MOVED, NOISE), [lift(e) + w + deviation * x for e, w, x in rows])


@pytest.mark.parametrize("epsilon", [0.5, 3.0, 5.0])
def test_the_noise_spends_the_privacy_that_is_left(epsilon: float) -> None:
    """Renyi privacy of order a: each full round a (2C / (nP))**2 / (2 sd**2), in all epsilon / 2, the rest for delta."""
    setting = {**SETTING, "epsilon": epsilon, "restart": 8}
    full, change = o.Diff2Restart(**setting), o.Diff2Difference(**setting)
    a, n = mpf(full.order()), mpf(10)
    rounds = {"full": mpf(40) / 8, "change": mpf(40)}
    spent = sum(
        rounds[kind] * a * (2 / n) ** 2 / (2 * mpf(rule.noise_scale()) ** 2)
        for kind, rule in (("full", full), ("change", change))
    )
    # 1/u = 0.8 of it at the most for full rounds, 0.2 for changes, as if each round were a change
    assert abs(spent - mpf(epsilon) / 2) <= 16 * mpf(2) ** -53 * epsilon
    assert spent + mpmath.log(1 / mpf(1e-5)) / (a - 1) <= epsilon * (1 + 16 * mpf(2) ** -53)
    assert full.order() == 1 + math.ceil(2 * math.log(1e5) / epsilon)


def test_without_noise_and_clipping_the_estimate_is_the_gradient() -> None:
    """The differences telescope, up to eps in the norm and rounding."""
    zero = np.zeros(4)
    first = o.Diff2Restart(radius=1e30, **SETTING)(OLD, zero)
    then = o.Diff2Difference(radius=1e30, **SETTING)(NEW, OLD, first, MOVED, zero)
    slack = 20 * 2.0**-53 * np.max(np.abs([NEW, OLD]))
    assert np.max(np.abs(then - np.mean(NEW, axis=(0, 1)))) <= slack


def test_every_round_of_a_restart_interval_of_one_starts_anew() -> None:
    assert all(o.Diff2Restart(**SETTING).restarts(r) for r in range(3))
    assert [o.Diff2Difference(restart=3, **SETTING).restarts(r) for r in range(5)] == [True, False, False, True, False]


def test_no_move_adds_nothing() -> None:
    got = o.Diff2Difference(**SETTING)(NEW, OLD, ESTIMATE, np.zeros(4), NOISE)
    assert np.array_equal(got, ESTIMATE)


def test_no_sample_moves_the_mean_by_more_than_its_share() -> None:
    rule = o.Diff2Restart(radius=0.5, **SETTING)
    other = NEW.copy()
    other[1, 3] *= -1e6
    change = rule(other, np.zeros(4)) - rule(NEW, np.zeros(4))
    assert np.linalg.norm(change) <= 2 * 0.5 / 10 * (1 + 64 * 2.0**-53)
    with pytest.raises(ArgumentError, match="one number a parameter"):
        rule(NEW, np.zeros(3))
