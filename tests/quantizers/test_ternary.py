"""Binary and ternary weights against their equations in rational numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from refgrad.quantizers import BWN, TTQ, TWN, BitNetActivations, BitNetWeights
from refgrad.quantizers.ternary import FewValues, xnor_activation_scale
from refgrad.tracing import free_values, literal, plan_for
from tests.depth import examples

U = Fraction(1, 2**24)
numbers = st.one_of(
    st.floats(-1000, 1000, width=32).filter(lambda v: v == 0 or abs(v) > 2.0**-100),
    st.integers(-4, 4).map(lambda v: v / 2),
    st.sampled_from([0.0, -0.0, 1.0, -1.0]),
)
matrices = hnp.arrays(np.float32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=numbers)


def fractions(x: np.ndarray) -> list[Fraction]:
    return [Fraction(float(v)) for v in x]


def mean_error(count: int) -> Fraction:
    """The largest relative error of a mean of non-negative numbers: a tree's depth of roundings, and the division's."""
    depth = math.ceil(math.log2(count)) + 1 if count > 1 else 1
    return (1 + U) ** depth - 1


@examples(60)
@given(x=matrices)
def test_bwn_scales_signs_by_the_mean_magnitude(x: np.ndarray) -> None:
    quantized = BWN().quantize(x)
    for row, scale in zip(x.reshape(len(x), -1), quantized["scale"], strict=True):
        want = sum(map(abs, fractions(row)), Fraction(0)) / len(row)
        assert abs(Fraction(float(scale)) - want) <= mean_error(len(row)) * want
    assert np.array_equal(quantized.codes, np.where(x >= 0, 1, -1))
    for zero, sign in (("zero", 0), ("minus", -1), ("plus", 1)):
        assert np.all(BWN(zero=zero).quantize(x).codes[x == 0] == sign)


def test_bwn_is_the_least_squares_scale() -> None:
    """With sums that are exact the residual is orthogonal to the signs."""
    x = np.random.default_rng(0).integers(-64, 65, (5, 16)).astype(np.float32)
    residual = x - BWN().round_trip(x)
    assert np.array_equal((residual * np.where(x >= 0, 1, -1)).sum(axis=1), np.zeros(5))


def test_bwn_gradient_is_the_papers() -> None:
    w = np.float32([[0.5, -2.0, 1.0, 0.5], [0.0, 0.25, -0.25, 3.5]])
    g = np.float32([[1, 2, 4, 8], [-1, -2, -4, 16]])
    for i, alpha in enumerate((Fraction(1), Fraction(1))):
        want = [v * (Fraction(1, 4) + (alpha if abs(x) <= 1 else 0)) for v, x in zip(g[i].tolist(), w[i], strict=True)]
        assert [Fraction(float(v)) for v in BWN().gradient(w, g)[i]] == want


def test_xnor_activation_scale_is_the_box_filter_of_the_channel_means() -> None:
    x = np.random.default_rng(1).integers(-8, 9, (4, 6, 5)).astype(np.float64)
    found = xnor_activation_scale(x, 2, 4)
    assert found.shape == (5, 2)
    for i in range(5):
        for j in range(2):
            window = [abs(Fraction(float(v))) for v in x[:, i : i + 2, j : j + 4].reshape(-1)]
            assert Fraction(float(found[i, j])) == sum(window) / len(window)
    with pytest.raises(ValueError, match=r"x\.shape"):
        xnor_activation_scale(x, 7, 1)


@examples(60)
@given(x=matrices, per=st.sampled_from(["tensor", "filter"]))
def test_twn(x: np.ndarray, per: str) -> None:
    """Codes wherever the threshold's rounding leaves no doubt; the scale for the codes that were chosen."""
    quantized = TWN(per=per).quantize(x)
    lead = 1 if per == "tensor" else len(x)
    for row, code, scale in zip(
        x.reshape(lead, -1), quantized.codes.reshape(lead, -1), quantized["scale"], strict=True
    ):
        size = list(map(abs, fractions(row)))
        delta = Fraction(7, 10) * sum(size, Fraction(0)) / len(size)
        doubt = ((1 + mean_error(len(size))) * (1 + U) ** 2 - 1) * delta  # 0.7 and the product are rounded too
        for v, s, c in zip(row, size, code, strict=True):
            if abs(s - delta) > doubt or delta == 0:
                assert c == (np.sign(v) if s > delta else 0)
        chosen = [s for s, c in zip(size, code, strict=True) if c]
        want = sum(chosen, Fraction(0)) / len(chosen) if chosen else Fraction(0)
        assert abs(Fraction(float(scale)) - want) <= mean_error(len(size)) * want


def test_twn_on_the_threshold_is_zero() -> None:
    """0.5 times the mean of magnitudes 1, 2, 1, 4 is 1: strict, so both ones become 0."""
    quantized = TWN(threshold=0.5).quantize(np.float32([1, -2, -1, 4]))
    assert quantized.codes.tolist() == [0, -1, 0, 1]
    assert quantized["scale"].tolist() == [3.0]


def test_ttq_levels_and_gradients() -> None:
    rule = TTQ(threshold=0.25, positive=2.0, negative=3.0)
    w = np.float32([4, 1, -1, 0, -2, 1.5])
    g = np.float32([1, 2, 4, 8, 16, 32])
    assert rule.round_trip(w).tolist() == [2, 0, 0, 0, -3, 2]
    dw, d_positive, d_negative = rule.gradients(w, g)
    assert dw.tolist() == [2, 2, 4, 8, 48, 64]

    def loss(**levels: float) -> float:
        return float((g * rule.replace(**levels).round_trip(w)).sum())

    assert d_positive == loss(positive=3.0) - loss()  # the loss is linear in the levels: differences are derivatives
    slope = loss(negative=4.0) - loss()
    assert d_negative == -slope
    assert rule.replace(negative_gradient="chain").gradients(w, g)[2] == slope


@examples(60)
@given(x=matrices)
def test_bitnet_weights_as_the_paper_says(x: np.ndarray) -> None:
    quantized = BitNetWeights().quantize(x)
    size = list(map(abs, fractions(x.reshape(-1))))
    gamma = sum(size, Fraction(0)) / len(size) + Fraction(1e-5)
    error = (1 + mean_error(len(size))) * (1 + U) ** 2 - 1
    assert abs(Fraction(float(quantized["scale"][0])) - gamma) <= error * gamma
    for v, code in zip(fractions(x.reshape(-1)), quantized.codes.reshape(-1), strict=True):
        ratio = v / gamma
        if abs(abs(ratio) - Fraction(1, 2)) > ((1 + error) * (1 + U) - 1) * abs(ratio):
            assert code == max(-1, min(1, round(ratio)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bitnet_as_the_authors_code_says(dtype: type) -> None:
    """Evaluated by torch on numbers whose mean is exact in any order of adding."""
    torch = pytest.importorskip("torch", reason="evaluates the authors' formulas")
    w = (np.random.default_rng(2).integers(-128, 129, (8, 32)) / 64).astype(dtype)
    t = torch.from_numpy(w)
    s = 1.0 / t.abs().mean().clamp(min=1e-5)
    want = (t * s).round().clamp(-1, 1) / s
    assert np.array_equal(BitNetWeights(floor="clamped").round_trip(w), want.numpy())
    s = 127.0 / t.abs().amax(dim=-1, keepdim=True).clamp(min=1e-5)
    want = (t * s).round().clamp(-128, 127) / s
    assert np.array_equal(BitNetActivations(quotient="reciprocal").round_trip(w), want.numpy())


def test_half_the_mean_is_a_tie_that_goes_to_zero() -> None:
    codes = BitNetWeights(floor="clamped").quantize(np.float32([1, -1, 3, 3])).codes
    assert codes.tolist() == [0, 0, 1, 1]


BITNET = [
    BitNetWeights(),
    BitNetWeights(floor="clamped"),
    BitNetActivations(),
    BitNetActivations(quotient="reciprocal"),
]
RULES = [BWN(), TWN(), TTQ(), *BITNET]


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_edges(rule: object) -> None:
    zeros = rule.round_trip(np.zeros((2, 3), np.float32))  # type: ignore[attr-defined]
    assert zeros.shape == (2, 3)
    assert not zeros.any()
    poisoned = rule.round_trip(np.float32([[1, np.nan, 2]]))  # type: ignore[attr-defined]
    assert np.isnan(poisoned).all()
    assert rule.round_trip(np.zeros((0, 4), np.float32)).shape == (0, 4)  # type: ignore[attr-defined]
    assert rule.round_trip(np.asarray(-2.0, np.float32)).shape == ()  # type: ignore[attr-defined]
    view = np.arange(12, dtype=np.float64).reshape(3, 4).T[::2]
    view.flags.writeable = False
    assert np.array_equal(rule.round_trip(view), rule.round_trip(view.copy()))  # type: ignore[attr-defined]


@pytest.mark.parametrize("rule", [BWN(), TWN(), TTQ(positive=2.0, negative=2.0), BWN(zero="zero")], ids=str)
@examples(30)
@given(x=matrices)
def test_codes_do_not_change_with_scale(rule: object, x: np.ndarray) -> None:
    one, other = rule.quantize(x), rule.quantize(x * np.float32(8))  # type: ignore[attr-defined]
    assert np.array_equal(one.codes, other.codes)
    if "scale" in one.arrays:
        assert np.array_equal(one["scale"] * np.float32(8), other["scale"])


@pytest.mark.parametrize("rule", [BWN(), TWN(), *BITNET], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_decoded_is_the_y_of_the_body(rule: FewValues, dtype: type) -> None:
    x = np.random.default_rng(4).standard_normal((6, 10)).astype(dtype)
    layout = rule.layout(x.shape)
    body = literal(rule, {"x": layout.cut(x)}, {})
    assert np.array_equal(layout.joined(body["y"]), rule.round_trip(x))
    plan = plan_for(rule, 2, free_values(layout.cut(x).shape, {}))
    assert set(plan.graph.outputs) == {"scale", "codes", "y"}
