"""Learning rates and batch sizes: the laws, and the theorem that the random-matrix rule rests on, on random matrices."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refgrad import optimizers as o
from refgrad.errors import ArgumentError


@pytest.mark.parametrize("law", ["linear", "sqrt"])
def test_scaling_twice_is_scaling_once(law: str) -> None:
    first = o.BatchScaledRate(lr=0.1, batch=32, law=law)
    second = first.replace(lr=first.rate(128), batch=128)
    assert abs(second.rate(2048) - first.rate(2048)) <= 4 * math.ulp(first.rate(2048))
    assert first.rate(128) == 0.1 * {"linear": 4, "sqrt": 2}[law]


@pytest.mark.slow
def test_the_spiked_eigenvalue_is_that_of_random_matrices() -> None:
    """Four standard deviations of what n = 400 leaves: the edge fluctuates by n**(-2/3), a spike by sqrt(2 / n) s."""
    n, random = 400, np.random.default_rng(1)
    for eigenvalue, noise, batch in [(3.0, 1.0, 1), (2.0, 4.0, 16), (0.25, 1.0, 1), (1.0, 3.0, 4)]:
        s = noise / math.sqrt(batch)
        symmetric = random.standard_normal((n, n))
        wigner = (symmetric + symmetric.T) / math.sqrt(2 * n)
        u = random.standard_normal(n)
        u /= np.linalg.norm(u)
        top = np.linalg.eigvalsh(eigenvalue * np.outer(u, u) + s * wigner)[-1]
        rule = o.SpikedRate(eigenvalue=eigenvalue, noise=noise)
        assert abs(top - rule.largest_eigenvalue(batch)) <= 4 * s * max(n ** (-2 / 3), math.sqrt(2 / n))


def test_the_spiked_rate_grows_linearly_and_then_not_at_all() -> None:
    rule = o.SpikedRate(eigenvalue=1.0, noise=1e3)
    assert rule.rate(4) == 2 * rule.rate(1)  # the noise's own edge: the root of the batch
    large = rule.replace(noise=1.0)
    assert large.rate(10**12) <= 2.0
    assert 2.0 - large.rate(10**12) <= 4e-12
    assert o.SpikedRate(noise=0.0).rate(1) == 2.0
    # at the threshold both branches are 2 s
    assert o.SpikedRate(eigenvalue=1.0, noise=1.0).largest_eigenvalue(1) == 2.0


def test_gradient_descent_is_stable_up_to_the_rate() -> None:
    """On the quadratic of that largest eigenvalue: one step multiplies by 1 - rate * eigenvalue."""
    rule = o.SpikedRate(eigenvalue=3.0, noise=2.0)
    assert abs(1 - rule.rate(4) * rule.largest_eigenvalue(4) + 1) <= 4 * 2.0**-53


def test_regime_adaptation_keeps_the_number_of_updates() -> None:
    rule = o.RegimeAdaptation(lr=0.1, batch=128)
    assert rule.epochs(90, 4096) * (1024 * 4096 // 4096) == 90 * (1024 * 4096 // 128)
    assert rule.epochs(10, 129) == 20
    assert rule.rate(128 * 16) == 0.4
    with pytest.raises(ArgumentError, match="batch is 0; legal: a whole number from 1"):
        rule.rate(0)
