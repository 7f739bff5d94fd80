"""AdaRound: its start, its objective and the gradient of that, in sixty digits."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.errors import ArgumentError
from refgrad.quantizers import AdaRound
from tests.depth import examples

EPS = np.finfo(np.float64).eps


@examples(60)
@given(w=hnp.arrays(np.float64, 6, elements=st.floats(-4.0, 3.4)))
def test_at_the_start_soft_weights_are_the_weights(w: np.ndarray) -> None:
    rule = AdaRound(scale=0.5)
    v = rule.start(w)
    fraction = w / 0.5 - np.floor(w / 0.5)
    # the argument of the logarithm is within [1/11, 11] and its errors are a few roundings
    assert np.abs(rule.share(v) - fraction).max() <= 32 * EPS
    assert np.abs(rule.soft(w, v) - w).max() <= 32 * EPS * 4


def test_hard_rounding_from_the_start_is_to_nearest_halves_up() -> None:
    w = np.float32([0.4, 0.5, -0.5, -0.6, 1.5, 20, -20])
    assert AdaRound().round_trip(w).tolist() == [0, 1, 0, -1, 2, 7, -8]
    v = np.where(np.arange(7) % 2, 9.0, -9.0)
    quantized = AdaRound().quantize(w, v=v)
    assert quantized.codes.tolist() == [0, 1, -1, 0, 1, 7, -8]


def objective(rule: AdaRound, w: np.ndarray, v: list[list[Any]], x: np.ndarray, beta: float) -> Any:
    """The paper's equation, number by number."""
    s, (low, high) = mpmath.mpf(rule.scale), rule.limits
    share = lambda t: max(0, min(1, (mpmath.mpf(1.1) - mpmath.mpf(-0.1)) / (1 + mpmath.exp(-t)) + mpmath.mpf(-0.1)))  # noqa: E731
    total = mpmath.mpf(0)
    for row, raised in zip(w.tolist(), v, strict=True):
        soft = [
            s * max(low, min(high, mpmath.floor(mpmath.mpf(a) / s) + share(t)))
            for a, t in zip(row, raised, strict=True)
        ]
        for token in x.tolist():
            total += (
                mpmath.fsum((mpmath.mpf(a) - b) * mpmath.mpf(t) for a, b, t in zip(row, soft, token, strict=True)) ** 2
            )
        total += mpmath.mpf(rule.weight) * mpmath.fsum(1 - abs(2 * share(t) - 1) ** mpmath.mpf(beta) for t in raised)
    return total


@pytest.mark.parametrize("beta", [2.0, 8.0, 20.0])
def test_the_gradient_is_the_derivative_of_the_objective(beta: float) -> None:
    random = np.random.default_rng(1)
    rule = AdaRound(scale=0.3, bits=3)
    w, x = random.standard_normal((2, 3)), random.standard_normal((4, 3))
    v = random.standard_normal((2, 3))
    v[0, 0], w[1, 1] = 5.0, 9.0  # a share that is clipped, a code that is
    found, size = rule.gradient(w, v, x, beta), rule.objective(w, v, x, beta)
    with mpmath.workdps(60):
        exact = [[mpmath.mpf(t) for t in row] for row in v.tolist()]
        wanted = objective(rule, w, exact, x, beta)
        assert abs(size - wanted) <= 256 * EPS * wanted  # sums of some dozens of positive terms
        for i in range(2):
            for j in range(3):

                def along(t: Any, i: int = i, j: int = j) -> Any:
                    moved = [[t if (a, b) == (i, j) else exact[a][b] for b in range(3)] for a in range(2)]
                    return objective(rule, w, moved, x, beta)

                slope = mpmath.diff(along, exact[i][j])
                assert abs(mpmath.mpf(float(found[i, j])) - slope) <= 256 * EPS * (1 + abs(slope)) * (1 + wanted)


def test_gradient_beside_autograd() -> None:
    torch = pytest.importorskip("torch", reason="compares with torch's automatic derivative")
    random = np.random.default_rng(2)
    rule = AdaRound(scale=0.25)
    w, x, v = random.standard_normal((3, 4)), random.standard_normal((5, 4)), random.standard_normal((3, 4))
    t = torch.from_numpy(v).requires_grad_()
    h = (torch.sigmoid(t) * 1.2 - 0.1).clamp(0, 1)
    soft = 0.25 * (torch.floor(torch.from_numpy(w) / 0.25) + h).clamp(-8, 7)
    out = ((torch.from_numpy(w) - soft) @ torch.from_numpy(x).T).square().sum()
    (out + 0.01 * (1 - (2 * h - 1).abs() ** 4).sum()).backward()
    scale = np.abs(t.grad.numpy()).max()
    assert np.abs(rule.gradient(w, v, x, 4.0) - t.grad.numpy()).max() <= 256 * EPS * scale


def test_a_small_step_against_the_gradient_lowers_the_objective() -> None:
    random = np.random.default_rng(3)
    rule = AdaRound(scale=0.4)
    for beta in (2.0, 20.0):
        w, x, v = random.standard_normal((4, 8)), random.standard_normal((20, 8)), random.standard_normal((4, 8))
        g = rule.gradient(w, v, x, beta)
        assert rule.objective(w, v - 1e-4 * g, x, beta) < rule.objective(w, v, x, beta)


def test_beta_waits_and_falls() -> None:
    rule = AdaRound()
    values = [rule.beta(step, 100) for step in range(101)]
    assert values[:20] == [20.0] * 20
    assert values[-1] == 2.0
    assert all(later <= earlier for earlier, later in pairwise(values))


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match="finite"):
        AdaRound().quantize(np.float32([np.nan]))
    with pytest.raises(ArgumentError, match=r"v\.shape"):
        AdaRound().quantize(np.zeros(3), v=np.zeros(4))
    assert AdaRound().round_trip(np.zeros((0, 2), np.float32)).shape == (0, 2)
    assert AdaRound().round_trip(np.asarray(0.5)) == 1.0
