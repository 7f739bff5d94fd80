"""N2UQ's thresholds in rationals, its gradients beside torch's automatic derivative of the same line."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.errors import ArgumentError
from refgrad.quantizers import N2UQ, N2UQWeights
from tests.depth import examples

eighths = st.integers(1, 16).map(lambda k: k / 8)
sixteenths = st.integers(-16, 96).map(lambda k: k / 16)


@examples(60)
@given(
    a=st.lists(eighths, min_size=3, max_size=3),
    x=hnp.arrays(np.float32, 12, elements=st.integers(-16, 96).map(lambda k: k / 16)),
)
def test_thresholds_half_way_between_intervals(a: list[float], x: np.ndarray) -> None:
    """On eighths every threshold is exact, and many inputs lie on one: those are not above it."""
    rule = N2UQ(start=0.25)
    widths = [Fraction(v) for v in a]
    middles = [Fraction(1, 4) + sum(widths[:i], Fraction(0)) + widths[i] / 2 for i in range(3)]
    quantized = rule.quantize(x, intervals=np.float64(a))
    assert quantized.codes.tolist() == [sum(Fraction(float(v)) > t for t in middles) for v in x]
    assert np.array_equal(rule.dequantize(quantized), (quantized.codes * (2 / 3)).astype(np.float32))


def test_equal_intervals_are_uniform_rounding() -> None:
    x = np.float32([-1, 0.3, 0.34, 1.0, 1.01, 1.6, 1.7, 9, np.inf, np.nan])
    assert N2UQ().quantize(x).codes.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 3, 0]


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_gradients_are_those_of_the_line(bits: int) -> None:
    torch = pytest.importorskip("torch", reason="compares with torch's automatic derivative")
    random = np.random.default_rng(bits)
    rule, n = N2UQ(bits=bits, start=0.1), 2**bits - 1
    a = np.abs(random.standard_normal(n)) / n + 0.01
    if bits > 1:
        a[1] = 1e-4  # below the least: held there, without a gradient
    x, g = random.uniform(-0.5, 2.5, 200), random.standard_normal(200)
    ta, tx, start = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (a, x, 0.1))
    width = torch.where(ta > 1e-3, ta, torch.tensor(1e-3, dtype=torch.float64))
    low, y = start, torch.zeros_like(tx)
    for i in range(n):
        y = torch.where(tx > low, 2 / n / width[i] * (tx - low) + i * 2 / n, y)
        low = low + width[i]
    y = torch.where(tx > low, torch.tensor(2.0, dtype=torch.float64), y)
    (y * torch.from_numpy(g)).sum().backward()
    dx, da, d_start = rule.gradients(x, g, intervals=a)
    size = 2 / n / max(a.min(), 1e-3)
    bound = 8 * len(x) * np.finfo(np.float64).eps * size * np.abs(g).sum() * max(1.0, 1 / max(a.min(), 1e-3))
    assert np.abs(dx - tx.grad.numpy()).max() <= bound
    assert np.abs(da - ta.grad.numpy()).max() <= bound
    assert abs(d_start - float(start.grad)) <= bound
    if bits > 1:
        assert da[1] == 0


@pytest.mark.parametrize("bits", [1, 2, 3])
def test_weights_to_levels_without_a_zero(bits: int) -> None:
    """On weights whose mean magnitude is 1 the scale is exact; a code is in doubt only where it is a tie."""
    w = np.float64([[0.5, -1.5, 1.0, -1.0], [2.0, 0.25, -0.75, 1.0]])
    rule = N2UQWeights(bits=bits)
    quantized = rule.quantize(w)
    s, n = Fraction(2**bits - 1, 2 ** (bits - 1)), Fraction(2**bits - 1, 2)
    assert [Fraction(v) for v in quantized["scale"].tolist()] == [s, s]
    for v, code in zip(w.ravel().tolist(), quantized.codes.ravel().tolist(), strict=True):
        place = (max(-1, min(1, Fraction(v) / s)) + 1) * n
        assert abs(code - place) <= Fraction(1, 2)
        assert code == round(place) or abs(code - place) == Fraction(1, 2)
    exact = [[float(s * (q / n - 1)) for q in row] for row in quantized.codes.tolist()]
    values = rule.dequantize(quantized)
    assert np.abs(values - exact).max() <= 4 * np.finfo(np.float64).eps * float(
        s
    )  # a division, a difference, a product
    assert np.all(values != 0)


def test_gradients_of_weights() -> None:
    w, g = np.float64([[1, -1, 2, 0]]), np.float64([[3, 6, 9, 12]])
    assert N2UQWeights().gradient(w, g).tolist() == g.tolist()
    assert N2UQWeights(surrogate="scaled").gradient(w, g).tolist() == [[2, 4, 6, 8]]


def test_edges() -> None:
    with pytest.raises(ArgumentError, match="intervals"):
        N2UQ().quantize(np.zeros(3), intervals=np.ones(4))
    assert N2UQ().round_trip(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert N2UQWeights().round_trip(np.zeros((0, 3), np.float32)).shape == (0, 3)
    assert not N2UQWeights().round_trip(np.zeros((2, 3), np.float32)).any()
    assert np.isnan(N2UQWeights().round_trip(np.float32([[1, np.nan]]))).all()
