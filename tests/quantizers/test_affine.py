"""Uniform affine quantization: against exact arithmetic, torch's operators, and ONNX's reference."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.errors import ArgumentError
from refgrad.quantizers import Affine, Quantized, ranges
from tests.depth import examples

STEP = np.float32(0.0123)


def half_grid(step: Any, reach: int = 300) -> np.ndarray:
    """Multiples of half a step, with their float32 neighbours."""
    x = (np.arange(-reach, reach + 1) * 0.5 * float(step)).astype(np.float32)
    return np.concatenate([x, np.nextafter(x, np.float32(np.inf)), np.nextafter(x, np.float32(-np.inf))])


def by_hand(rule: Affine, x: float, scale: float, zero: int) -> int:
    """The code in exact arithmetic, where the quotient is a float32."""
    target = Fraction(x) / Fraction(scale) + (zero if rule.zero_point_added == "before" else 0)
    half = Fraction(1, 2)
    away = math.floor(abs(target) + half) * (-1 if target < 0 else 1)
    whole = {"even": round(target), "away": away, "up": math.floor(target + half)}[rule.ties]
    whole += 0 if rule.zero_point_added == "before" else zero
    return min(max(whole, rule.lowest), rule.highest)


@pytest.mark.sample(suite=40)
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 8, 12, 16])
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("zero_point", ["after", "before"])
@pytest.mark.parametrize("ties", ["even", "away", "up"])
def test_codes_are_those_of_exact_arithmetic(bits: int, signed: bool, zero_point: str, ties: str) -> None:
    """A scale that is a power of two: ties are ties, and the sum with the zero point is exact."""
    for normalize, zero in itertools.product(("divide", "reciprocal"), (0, 1)):
        rule = Affine(bits=bits, signed=signed, zero_point_added=zero_point, ties=ties, normalize=normalize)
        zero = min(zero, rule.highest)
        x = (np.arange(-600, 600) * 2.0**-4).astype(np.float32)
        codes = rule.quantize_with(x, 2.0**-3, zero)
        assert codes.tolist() == [by_hand(rule, v, 2.0**-3, zero) for v in x.tolist()]


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("signed", [True, False])
@pytest.mark.parametrize("narrow", [True, False])
def test_every_code_comes_back(bits: int, signed: bool, narrow: bool) -> None:
    if bits == 1 and narrow:
        return
    for normalize, zero_point in itertools.product(("divide", "reciprocal"), ("after", "before")):
        rule = Affine(bits=bits, signed=signed, narrow=narrow, normalize=normalize, zero_point_added=zero_point)
        codes = np.arange(rule.lowest, rule.highest + 1).astype(rule.code_dtype)
        for zero in (rule.lowest, (rule.lowest + rule.highest) // 2, rule.highest):
            parts = {"scale": np.asarray([STEP]), "zero_point": np.asarray([zero]), "codes": codes}
            values = rule.dequantize(Quantized(parts, codes.shape, np.dtype(np.float32)))
            assert np.array_equal(rule.quantize_with(values, STEP, zero), codes)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_scale_is_at_least_the_smallest(symmetric: bool) -> None:
    """That of zeros too, which is 1 otherwise."""
    x = np.float32([[0.0, 0.0], [2.0**-30, -(2.0**-31)], [1.0, -0.5]])
    rules = [Affine(symmetric=symmetric, granularity="channel", smallest_scale=each) for each in (0.0, 2.0**-20)]
    free, bounded = (rule.quantize(x)["scale"] for rule in rules)
    assert free[0] == 1
    assert bounded.tolist() == [2.0**-20, 2.0**-20, free[2]]
    assert free[1] < 2.0**-20 < free[2]
    with pytest.raises(ArgumentError, match=r"Affine.smallest_scale is -1"):
        Affine(smallest_scale=-1.0)


@pytest.mark.parametrize("divisor", ["highest", "half", "lowest"])
@pytest.mark.parametrize("signed", [True, False])
def test_scales_by_the_formulas(divisor: str, signed: bool) -> None:
    x = np.random.default_rng(0).standard_normal((5, 40)).astype(np.float32)
    rule = Affine(symmetric=True, signed=signed, divisor=divisor, granularity="channel")
    quantized = rule.quantize(x)
    divisors = {"highest": 127, "half": 127.5, "lowest": 128}
    amax = np.abs(x).max(1)
    assert np.array_equal(quantized["scale"], amax / np.float32(divisors[divisor]))
    assert quantized["zero_point"].tolist() == [0 if signed else 128] * 5
    asymmetric = Affine(signed=signed, granularity="channel").quantize(x + 3)
    scale = (x + 3).max(1).clip(0) - (x + 3).min(1).clip(None, 0)
    assert np.array_equal(asymmetric["scale"], scale / np.float32(255))


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group", "block"])
def test_groups_are_apart(granularity: str) -> None:
    x = np.random.default_rng(1).standard_normal((6, 20)).astype(np.float32)
    rule = Affine(granularity=granularity, group_size=8, axis=1)
    quantized = rule.quantize(x)
    pieces = {
        "tensor": [x],
        "channel": list(x.T),
        "group": [row[i : i + 8] for row in x for i in (0, 8, 16)],
        "block": [x.ravel()[i : i + 8] for i in range(0, 120, 8)],
    }[granularity]
    assert quantized["scale"].shape == (len(pieces),)
    for piece, scale, zero in zip(pieces, quantized["scale"], quantized["zero_point"], strict=True):
        alone = Affine().quantize(piece)
        assert (alone["scale"][0], alone["zero_point"][0]) == (scale, zero)
    rounding = 4 * 2.0**-24 * np.abs(x).max()  # of the scale, the quotient, the product and the zero point's share
    assert np.abs(rule.dequantize(quantized) - x).max() <= 0.5 * quantized["scale"].max() + rounding


@pytest.mark.parametrize("zero", [0, 3, -128, 127])
def test_fake_quantize_is_that_of_torch(zero: int) -> None:
    torch = pytest.importorskip("torch", reason="its operators are one of those compared with")
    rule = Affine(normalize="reciprocal")
    random = np.random.default_rng(2).standard_normal(20_000).astype(np.float32)
    x = np.concatenate([half_grid(STEP), random * 3, np.asarray([np.inf, -np.inf, np.nan, 1e20, -0.0], np.float32)])
    given = torch.from_numpy(x.copy()).requires_grad_()
    y = torch.fake_quantize_per_tensor_affine(given, float(STEP), zero, -128, 127)
    assert np.array_equal(y.detach().numpy(), rule.fake_quantize(x, STEP, zero))
    g = np.random.default_rng(3).standard_normal(x.size).astype(np.float32)
    y.backward(torch.from_numpy(g))
    assert np.array_equal(given.grad.numpy(), rule.fake_quantize_backward(x, g, STEP, zero))


def test_fake_quantize_per_channel_is_that_of_torch() -> None:
    torch = pytest.importorskip("torch")
    x = np.random.default_rng(4).standard_normal((7, 300)).astype(np.float32)
    scale = (np.random.default_rng(5).random(7) * 0.02 + 0.001).astype(np.float32)
    zero = np.arange(-3, 4)
    y = torch.fake_quantize_per_channel_affine(
        torch.from_numpy(x), torch.from_numpy(scale), torch.from_numpy(zero.astype(np.int32)), 0, -128, 127
    )
    rule = Affine(normalize="reciprocal", granularity="channel")
    assert np.array_equal(y.numpy(), rule.fake_quantize(x, scale, zero))


def test_the_window_of_the_backward_pass_is_half_a_step_wider() -> None:
    x = np.asarray([-128.5, -128.51, 127.49, 127.5, np.nan], np.float32)
    assert Affine().fake_quantize_backward(x, np.ones_like(x), 1.0).tolist() == [1, 0, 1, 0, 0]


@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
@pytest.mark.parametrize("zero", [0, 3])
def test_quantize_per_tensor_of_torch_adds_before_it_rounds(zero: int) -> None:
    """A power of two as scale, so that whether it fuses the product and the sum makes no difference."""
    torch = pytest.importorskip("torch")
    x = half_grid(2.0**-5)
    codes = torch.quantize_per_tensor(torch.from_numpy(x), 2.0**-5, zero, torch.qint8).int_repr().numpy()
    assert np.array_equal(
        codes, Affine(zero_point_added="before", normalize="reciprocal").quantize_with(x, 2.0**-5, zero)
    )
    after = Affine(zero_point_added="after", normalize="reciprocal").quantize_with(x, 2.0**-5, zero)
    assert np.array_equal(codes, after) == (zero % 2 == 0)


@pytest.mark.parametrize("signed", [True, False])
def test_quantize_linear_is_that_of_onnx(signed: bool) -> None:
    pytest.importorskip("onnx", reason="its reference evaluator is one of those compared with")
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    kind = TensorProto.INT8 if signed else TensorProto.UINT8
    x = np.concatenate([half_grid(STEP), np.random.default_rng(6).standard_normal(10_000).astype(np.float32) * 3])
    value = helper.make_tensor_value_info
    nodes = [("QuantizeLinear", "x", "q"), ("DequantizeLinear", "q", "y")]
    graph = helper.make_graph(
        [helper.make_node(op, [source, "s", "z"], [target]) for op, source, target in nodes],
        "both",
        [value("x", TensorProto.FLOAT, [x.size]), value("s", TensorProto.FLOAT, []), value("z", kind, [])],
        [value("q", kind, [x.size]), value("y", TensorProto.FLOAT, [x.size])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)])
    rule = Affine(signed=signed)
    for zero in (3, 100):
        feed = {"x": x, "s": np.asarray(STEP), "z": np.asarray(zero, rule.code_dtype)}
        q, y = ReferenceEvaluator(model).run(None, feed)
        assert np.array_equal(q, rule.quantize_with(x, STEP, zero))
        assert np.array_equal(y, rule.fake_quantize(x, STEP, zero))


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 10), st.integers(-128, 127), st.sampled_from(["divide", "reciprocal"]))
@examples(200)
def test_half_a_step_and_idempotence(x: float, scale: float, zero: int, normalize: str) -> None:
    """s/2 and what the roundings add: of the quotient, of the reciprocal, and of the last product."""
    rule, value, step = Affine(normalize=normalize), np.asarray([x], np.float32), np.float32(scale)
    back = rule.fake_quantize(value, step, zero)
    assert np.array_equal(rule.fake_quantize(back, step, zero), back)
    code = int(rule.quantize_with(value, step, zero)[0])
    if rule.lowest < code < rule.highest:
        u, s, v = Fraction(1, 2**24), Fraction(float(step)), Fraction(float(value[0]))
        bound = s / 2 + 2 * u * (1 + u) * abs(v) + u * abs(code - zero) * s
        assert abs(Fraction(float(back[0])) - v) <= bound


def test_percentile_is_that_of_order_statistics() -> None:
    row = np.random.default_rng(7).standard_normal(1001).astype(np.float64)
    low, high = ranges.percentile(row, 90.0, False)
    ordered = np.sort(row)
    assert (low, high) == (ordered[50], ordered[950])
    assert ranges.percentile(row, 90.0, True)[1] == np.sort(np.abs(row))[900]


def test_mean_square_is_the_least_of_those_tried() -> None:
    x = np.random.default_rng(8).standard_normal(400).astype(np.float32)
    x[0] = 9
    rule = Affine(bits=4, range="mean_square")
    found = float(np.sum((rule.round_trip(x).astype(np.float64) - x) ** 2))
    errors = []
    for i in range(80):
        p = 1 - 0.01 * i
        low, high = np.float32(x.min() * np.float64(p)), np.float32(x.max() * np.float64(p))
        scale = (high - low) / np.float32(15)
        zero = int(np.clip(-8 - np.rint(low / scale), -8, 7))
        errors.append(float(np.sum((rule.fake_quantize(x, scale, zero).astype(np.float64) - x) ** 2)))
    assert found == min(errors) < errors[0]


@pytest.mark.slow
def test_divergence_is_that_of_the_textbook() -> None:
    """Plain loops, as Migacz's slides have it."""
    row = np.random.default_rng(9).standard_normal(50_000) ** 3
    low, high = ranges.divergence(row, 128)
    counts, edges = np.histogram(np.abs(row), bins=2048, range=(0, np.abs(row).max()))
    best = (math.inf, 0)
    for i in range(128, 2049, 1):
        kept = counts[:i].astype(float)
        p = kept.copy()
        p[-1] += counts[i:].sum()
        q = np.zeros(i)
        for group in range(128):
            members = [j for j in range(-(-group * i // 128), -(-(group + 1) * i // 128)) if kept[j]]
            for j in members:
                q[j] = sum(kept[members]) / len(members)
        if (q[p > 0] == 0).any():
            continue
        p, q = p / p.sum(), q / q.sum()
        best = min(best, (math.fsum(p[j] * math.log(p[j] / q[j]) for j in np.flatnonzero(p)), i))
        if i > 700:  # the minimum of this sample lies well below
            break
    assert low == -high
    assert high == (best[1] + 0.5) * edges[-1] / 2048


def test_edges_are_as_stated() -> None:
    for rule in (Affine(), Affine(symmetric=True), Affine(signed=False)):
        zeros = rule.quantize(np.zeros(5, np.float32))
        assert zeros["scale"].tolist() == [1.0]
        assert not rule.dequantize(zeros).any()
        constant = rule.round_trip(np.full(5, 2.5, np.float32))
        assert (np.abs(constant - 2.5) <= 2 * 2.0**-24 * 2.5).all()  # the scale and the product are rounded
        assert np.isnan(rule.round_trip(np.asarray([1, np.nan], np.float32))).all()
        assert rule.quantize(np.asarray([1, np.inf], np.float32))["scale"].tolist() == [np.inf]
        assert not rule.round_trip(np.asarray([1e-45, 0], np.float32))[1]
    x = np.asarray([np.nan, np.inf, -np.inf, 1e30, -1e30], np.float32)
    for name, code in (("lowest", -128), ("zero", 7), ("highest", 127)):
        assert Affine(nan_code=name).quantize_with(x, 0.5, 7).tolist() == [code, 127, -128, 127, -128]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("granularity", ["tensor", "group", "block", "channel"])
@pytest.mark.parametrize("range_", ["min_max", "percentile"])
def test_any_shape_and_layout(granularity: str, dtype: Any, range_: str) -> None:
    rule = Affine(granularity=granularity, group_size=7, range=range_)
    for x in (np.asarray(-2.5), np.zeros((0, 3)), np.zeros((3, 0)), np.linspace(-3, 3, 120).reshape(6, 20).T[::2]):
        if x.ndim == 0 and granularity == "channel":
            continue
        x = x.astype(dtype)
        x.flags.writeable = False
        quantized = rule.quantize(x)
        assert quantized.codes.shape == x.shape
        assert (rule.dequantize(quantized).dtype, rule.dequantize(quantized).shape) == (x.dtype, x.shape)


def test_bad_input_is_refused_by_name() -> None:
    x = np.ones((3, 4), np.float32)
    for make, message in (
        (lambda: Affine(bits=17), "a whole number from 1 to 16"),
        (lambda: Affine(bits=1, symmetric=True), "from 2 to 16"),
        (lambda: Affine(range="divergence"), "unless symmetric"),
        (lambda: Affine(divisor="half"), "highest, unless symmetric"),
        (lambda: Affine(granularity="channel", axis=2).quantize(x), r"^x\.shape is .* an axis 2"),
        (lambda: Affine().quantize_with(x, 0.0), "scale is 0.0"),
        (lambda: Affine().quantize_with(x, [1.0, 2.0]), "scale has 2 elements; legal: 1, or 1"),
        (lambda: Affine().quantize_with(x, 1.0, 0.5), "zero_point is 0.5"),
        (lambda: Affine().quantize_with(x, 1.0, 128), "zero_point is 128"),
    ):
        with pytest.raises(ArgumentError, match=message):
            make()
    parts = {"scale": np.ones(1), "zero_point": np.zeros(1, np.int32), "codes": np.full((3, 4), 9)}
    with pytest.raises(ArgumentError, match="codes is 9; legal: whole numbers from -8 to 7"):
        Affine(bits=4).dequantize(Quantized(parts, (3, 4), np.dtype(np.float32)))
