"""OCP MX and NVFP4: scales and codes against exact arithmetic, golden digests, torchao and gfloat."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.arithmetic.rounding_exact import round_exactly, value_exactly
from refgrad.arithmetic.steps import SCALE_RULES
from refgrad.errors import ArgumentError
from refgrad.quantizers import MX, NVFP4, Quantized
from tests.depth import examples
from tests.quantizers import golden_inputs as golden

FORMATS = ["float8_e4m3fn", "float8_e5m2", "float6_e2m3fn", "float6_e3m2fn", "float4_e2m1fn"]
RULES = [MX(format=name, scale_rule=rule) for name in [*FORMATS, "int8"] for rule in SCALE_RULES.sentences]
OF_MINIFLOATS = [rule for rule in RULES if rule.format != "int8"]

#: scales and codes of each golden input in turn
DIGESTS = {
    ("float8_e4m3fn", "floor"): (
        "c62e4615bd39e222 9b9a4919099272bd f70e5ce6e3bf67b5 c629029525ba18ed d71af2bc53398568 3a5efa422b104a0e"
    ),
    ("float8_e4m3fn", "ceil"): (
        "87c5ad3105ddfcc3 573013d9e60501ce 87c5ad3105ddfcc3 a6d49364b0340e23 e29442e61ad354e5 0eb78033503aa0e7"
    ),
    ("float8_e4m3fn", "even"): (
        "e1b03f017215a6d9 54c5947f3f209a3d 87c5ad3105ddfcc3 a6d49364b0340e23 2c99c8c2fa06657b 0ef46a533f15965f"
    ),
    ("float8_e4m3fn", "rceil"): (
        "87c5ad3105ddfcc3 573013d9e60501ce 87c5ad3105ddfcc3 a6d49364b0340e23 2354950661835c8d 94c78d5d9aabb931"
    ),
    ("float8_e5m2", "floor"): (
        "3e441393404b2085 c6367e3f903bd3d4 d332a80efe30eff2 14cadb83a56a62af b7bca7371b797681 6d4dd5ba665f7232"
    ),
    ("float8_e5m2", "ceil"): (
        "515a733d7320b35b f73ecf18f9b66b78 515a733d7320b35b 711f302da613ea47 a7cbbfdfe39c7df7 55b902a2c7b324ac"
    ),
    ("float8_e5m2", "even"): (
        "a8d05c9a377ef179 4615ce4a993fc007 515a733d7320b35b 711f302da613ea47 dbfc1179d750ffaf 86c3245b2b36e942"
    ),
    ("float8_e5m2", "rceil"): (
        "515a733d7320b35b f73ecf18f9b66b78 515a733d7320b35b 711f302da613ea47 3e05294d07c31e00 e1a6f83ffc5fed30"
    ),
    ("float6_e2m3fn", "floor"): (
        "3af805c48a2c0ebe 98d0f63b966049ca 0f8f5c5a7cac4598 5869cc83125b5b84 d8f929fd8120f582 676dcf6c200e44e1"
    ),
    ("float6_e2m3fn", "ceil"): (
        "17a7384bf1c50a94 777d0e2e4a92f77b 17a7384bf1c50a94 917d5e80fe61db41 07e31c6ab1a4928c 3a6a0dd4922c2637"
    ),
    ("float6_e2m3fn", "even"): (
        "bb643dca226993b5 bd5b44d62b8388a1 17a7384bf1c50a94 917d5e80fe61db41 c5eaa7d561e1c162 47f25166ed40f28e"
    ),
    ("float6_e2m3fn", "rceil"): (
        "cd740fe816c11b1b 1755b8fe63841a4f 17a7384bf1c50a94 917d5e80fe61db41 95c011abf6d5196b 91d6b1aaaf4e3bc9"
    ),
    ("float6_e3m2fn", "floor"): (
        "d8f929fd8120f582 c0b494de360629dd f015a0d261d60611 4646d4aaa499bddd a677edf4f47496d9 c9cdc9df11868fb0"
    ),
    ("float6_e3m2fn", "ceil"): (
        "07e31c6ab1a4928c 1ee405d4ad9f967b 07e31c6ab1a4928c f1504df849a8eab9 242d90eb14c6780a e14b5ef006b112b1"
    ),
    ("float6_e3m2fn", "even"): (
        "d22ceed7f415e644 fc283aede36e8226 07e31c6ab1a4928c f1504df849a8eab9 7ecccb92535a20fe 878f774d1cbeed84"
    ),
    ("float6_e3m2fn", "rceil"): (
        "07e31c6ab1a4928c 1ee405d4ad9f967b 07e31c6ab1a4928c f1504df849a8eab9 1a635d795addcc77 f634be856fa01f20"
    ),
    ("float4_e2m1fn", "floor"): (
        "3af805c48a2c0ebe eabc10caf2409515 0f8f5c5a7cac4598 58fe1457ad208ba1 d8f929fd8120f582 ee4a86780aa4a139"
    ),
    ("float4_e2m1fn", "ceil"): (
        "17a7384bf1c50a94 2bf7c65ee71ce339 17a7384bf1c50a94 43016482728535ce 07e31c6ab1a4928c 3316ff66e93b8980"
    ),
    ("float4_e2m1fn", "even"): (
        "17a7384bf1c50a94 2bf7c65ee71ce339 17a7384bf1c50a94 43016482728535ce 0f10c0f0c8a48d61 4ce917fdcc5611cd"
    ),
    ("float4_e2m1fn", "rceil"): (
        "17a7384bf1c50a94 2bf7c65ee71ce339 17a7384bf1c50a94 43016482728535ce 95eb3837d70b8fcc 6fd84c78d916b6fc"
    ),
}


@pytest.mark.parametrize(("key", "known"), list(DIGESTS.items()), ids=str)
def test_golden_scales_and_codes(key: tuple[str, str], known: str) -> None:
    rule = MX(format=key[0], scale_rule=key[1])
    found = [golden.digest(rule.quantize(x)[part]) for x in golden.ALL for part in ("scale", "codes")]
    assert found == known.split()


def boundaries(rule: MX) -> np.ndarray:
    """Largest magnitudes at which a scale changes, with their float32 neighbours, over all exponents."""
    largest = rule.shared_scale().largest
    factors = [1.0, largest / 2.0**8, largest * 2.0**-8.5, 1.5, 2 - 2.0 ** -(rule.shared_scale().mantissa_bits + 1)]
    at = np.asarray([np.ldexp(f, k) for f in factors for k in range(-149, 127)]).astype(np.float32)
    found = np.concatenate([at, np.nextafter(at, np.float32(np.inf)), np.nextafter(at, np.float32(0))])
    return found[(found > 0) & np.isfinite(found)]


@pytest.mark.sample(quick=2, suite=12)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_scales_are_those_of_exact_arithmetic(rule: MX) -> None:
    shared = rule.shared_scale()
    x = boundaries(rule)[::7]
    scales = shared(x)
    assert all(Fraction(float(s)) == shared.exactly(Fraction(float(v))) for v, s in zip(x, scales, strict=True))
    assert (np.diff(scales[np.argsort(x)]) >= 0).all()


@pytest.mark.parametrize("rule", OF_MINIFLOATS, ids=str)
def test_codes_are_those_of_exact_arithmetic(rule: MX) -> None:
    random = np.random.default_rng(1)
    form = MINIFLOATS[rule.format]
    x = random.integers(-32, 33, (8, 32)).astype(np.float32) * np.float32(2.0**-3)
    x[1] *= np.float32(1e-40)
    x[2] = random.standard_normal(32) * 1e38
    x[3, 1:] = 0
    quantized = rule.quantize(x)
    for row, scale, codes in zip(x, quantized["scale"], quantized.codes, strict=True):
        power = Fraction(2) ** (int(scale) - 127)
        for value, code in zip(row.tolist(), codes.tolist(), strict=True):
            sign = form.sign_code if value == 0 and str(value) == "-0.0" else 0
            assert code == round_exactly(Fraction(value) / power, form, "nearest_even", "saturate") | sign


def test_int8_is_fixed_point() -> None:
    x = np.asarray([[1.0, -1.9921875, -1.999, 0.0078125, 0.0234375, 1.9999]], np.float32)
    symmetric, full = MX(format="int8"), MX(format="int8", int8_range="full")
    assert symmetric.quantize(x).codes.tolist() == [[64, -127, -127, 0, 2, 127]]
    assert full.quantize(x).codes.tolist() == [[64, -128, -128, 0, 2, 127]]
    assert symmetric.round_trip(x).tolist() == [[1.0, -127 / 64, -127 / 64, 0, 2 / 64, 127 / 64]]


@pytest.mark.parametrize("name", [n for n in FORMATS if n.startswith(("float8", "float4"))])
@pytest.mark.parametrize("rule", ["floor", "ceil", "even", "rceil"])
def test_blocks_are_those_of_torchao(name: str, rule: str) -> None:
    mx = pytest.importorskip("torchao.prototype.mx_formats.mx_tensor", reason="one of those compared with")
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(2)
    normal = random.standard_normal((64, 64))
    wide = normal * np.exp2(random.uniform(-80, 80, (64, 1)))
    for x in (normal, wide, random.integers(-40, 41, (64, 64)) / 8):
        x = x.astype(np.float32)
        element = getattr(torch, "float4_e2m1fn_x2" if name.startswith("float4") else name)
        mode = getattr(mx.ScaleCalculationMode, rule.upper())
        scale, data = mx.to_mx(torch.from_numpy(x), element, 32, mode)
        quantized = MX(format=name, scale_rule=rule).quantize(x)
        scales = scale.view(torch.uint8).numpy().ravel()
        same = np.repeat(scales == quantized["scale"], 32).reshape(x.shape)
        if (
            rule == "rceil"
        ):  # torchao 0.18 takes the logarithm in float32, which is wrong next to its steps: a departure
            assert same.mean() > 0.99
        else:
            assert same.all()
        theirs = data.view(torch.uint8).numpy()
        if name.startswith("float4"):
            theirs = np.stack([theirs & 15, theirs >> 4], -1).reshape(x.shape)
        assert np.array_equal(theirs[same], quantized.codes[same])


@pytest.mark.parametrize("name", FORMATS)
def test_blocks_are_those_of_gfloat(name: str) -> None:
    gfloat = pytest.importorskip("gfloat", reason="one of those compared with")
    from gfloat import formats

    info = getattr(formats, f"format_info_ocp_{name.split('_')[1].removesuffix('fn')}")
    block = gfloat.BlockFormatInfo("mx", info, 32, formats.format_info_ocp_e8m0)
    x = (np.random.default_rng(3).integers(-40, 41, (40, 32)) / 8).astype(np.float32)
    for row in x[np.abs(x).max(1) > 0]:
        theirs = gfloat.quantize_block(block, row.astype(np.float64), gfloat.compute_scale_amax)
        assert np.array_equal(theirs, MX(format=name).round_trip(row))


def test_edges_are_as_stated() -> None:
    x = np.zeros((6, 32), np.float32)
    x[0, 3], x[1, 0], x[2, 0], x[3, 5], x[4, 0] = -0.0, np.nan, np.inf, 1e-45, 3.4028235e38
    for rule in RULES:
        quantized = rule.quantize(x)
        back = rule.dequantize(quantized)
        assert quantized["scale"][[0, 1, 2, 5]].tolist() == [0, 255, 255, 0]
        assert quantized.codes[1:3].tolist() == [[0] * 32] * 2
        assert not back[0].any()
        assert np.isnan(back[1:3]).all()
        assert np.signbit(back[0, 3]) == (rule.format != "int8")
        assert back[3, 5] >= 0
        if rule.scale_rule == "floor":
            assert np.isfinite(back[4]).all()


@pytest.mark.parametrize("rule", [*RULES, NVFP4(), NVFP4(levels="one"), NVFP4(normalize="divide")], ids=str)
def test_laws(rule: MX | NVFP4) -> None:
    x = np.random.default_rng(5).standard_normal((20, 96)).astype(np.float32)
    back = rule.round_trip(x)
    assert np.array_equal(rule.round_trip(-x), -back)
    if isinstance(rule, MX):
        # 4.5 becomes 4, less than 6 divided by the root of two, so that its block has another scale the second time
        if (rule.format, rule.scale_rule) != ("float4_e2m1fn", "nearest"):
            assert np.array_equal(rule.round_trip(back), back)
        assert np.array_equal(rule.quantize(x * np.float32(2.0**20)).codes, rule.quantize(x).codes)
        row = np.argsort(x[0, :32])
        assert (np.diff(back[0, :32][row]) >= 0).all()


@given(st.lists(st.floats(-(2.0**20), 2.0**20, width=32), min_size=1, max_size=50), st.sampled_from(OF_MINIFLOATS))
@examples(100)
def test_half_a_step_below_saturation(numbers: list[float], rule: MX) -> None:
    x, form = np.asarray(numbers, np.float32), MINIFLOATS[rule.format]
    quantized, back = rule.quantize(x), rule.round_trip(x)
    power = [Fraction(2) ** (int(s) - 127) for s in np.repeat(quantized["scale"], 32)[: x.size]]
    for value, got, scale in zip(x.tolist(), back.tolist(), power, strict=True):
        target = Fraction(value) / scale
        if abs(target) <= Fraction(form.largest):
            near = value_exactly(round_exactly(target, form, "nearest_even"), form)
            assert Fraction(got) == near * scale
        else:
            assert abs(Fraction(got)) == Fraction(form.largest) * scale


@pytest.mark.parametrize("levels", ["one", "two"])
def test_nvfp4_is_that_of_torchao(levels: str) -> None:
    nvfp4 = pytest.importorskip("torchao.prototype.mx_formats.nvfp4_tensor", reason="one of those compared with")
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(6)
    rule = NVFP4(levels=levels)
    for x in (
        random.standard_normal((64, 64)),
        random.integers(-40, 41, (64, 64)) / 8,
        random.standard_normal((64, 64)) ** 3 * 20,
    ):
        x = x.astype(np.float32)
        quantized = rule.quantize(x)
        tensor = torch.tensor(quantized["tensor_scale"]) if levels == "two" else None
        scale, data = nvfp4.nvfp4_quantize(torch.from_numpy(x), 16, tensor)
        assert np.array_equal(scale.view(torch.uint8).numpy().ravel(), quantized["scale"])
        theirs = data.view(torch.uint8).numpy()
        assert np.array_equal(np.stack([theirs & 15, theirs >> 4], -1).reshape(x.shape), quantized.codes)
        if levels == "two":
            assert tensor == np.float32(np.abs(x).max()) / np.float32(448 * 6)


def test_nvfp4_edges() -> None:
    zeros = NVFP4().quantize(np.zeros(20, np.float32))
    assert (float(zeros["tensor_scale"]), zeros["scale"].tolist()) == (1.0, [8, 8])
    assert not NVFP4().dequantize(zeros).any()
    x = np.ones(40, np.float32)
    x[20] = np.nan
    assert np.isnan(NVFP4().round_trip(x)).all()
    one = NVFP4(levels="one").quantize(x)
    assert one["scale"].tolist()[1] == 0x7F
    assert np.isnan(NVFP4(levels="one").dequantize(one)).tolist() == [False] * 16 + [True] * 16 + [False] * 8


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
@pytest.mark.parametrize("rule", [*(rule for rule in RULES if rule.scale_rule == "floor"), NVFP4()], ids=str)
def test_any_shape_and_layout(rule: MX | NVFP4, dtype: type) -> None:
    for x in (np.asarray(-2.5), np.zeros((0, 3)), np.zeros((3, 0)), np.linspace(-3, 3, 280).reshape(7, 40).T[::2]):
        x = x.astype(dtype)
        x.flags.writeable = False
        quantized = rule.quantize(x)
        assert quantized.codes.shape == x.shape
        assert (rule.dequantize(quantized).dtype, rule.dequantize(quantized).shape) == (x.dtype, x.shape)


def test_bad_input_is_refused_by_name() -> None:
    quantized = MX(format="float4_e2m1fn").quantize(np.ones((2, 40), np.float32))
    with pytest.raises(ArgumentError, match="codes is 16"):
        MX(format="float4_e2m1fn").dequantize(
            Quantized({**quantized.arrays, "codes": np.full((2, 40), 16, np.uint8)}, (2, 40), np.dtype(np.float32))
        )
    with pytest.raises(ArgumentError, match="has shape"):
        MX().dequantize(Quantized({**quantized.arrays, "scale": quantized["scale"][:3]}, (2, 40), np.dtype(np.float32)))
