"""Block-wise quantization to tables: against the papers' argmin in exact arithmetic, bitsandbytes and torchao."""

from __future__ import annotations

import hashlib
import itertools
import math
from fractions import Fraction
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from refgrad.arithmetic.steps import ROUNDED_MIDPOINTS, TIES, Nearest
from refgrad.backends import row_kernels
from refgrad.errors import ArgumentError
from refgrad.quantizers import AF4, FP4, NF4, Blockwise, Quantized, tables
from refgrad.quantizers.blockwise import Codebook
from refgrad.tracing import literal
from tests.depth import examples
from tests.quantizers import golden_inputs as golden

RULES = [cls(block_size=64) for cls in (Blockwise, NF4, FP4, AF4)]
RULES += [Blockwise(block_size=64, map=name) for name in tables.MAPS]
VARIANTS = [v for rule in RULES[:4] for _, v in rule.variants() if not v.nested]


def test_maps_are_those_of_bitsandbytes_to_the_bit() -> None:
    digests = {"bitsandbytes": "e732639a65f497b4", "bitsandbytes_unsigned": "305f002cc11278fb"}
    for name, known in digests.items():
        values = np.asarray(tables.MAPS[name](), np.float32)
        assert hashlib.sha256(values.tobytes()).hexdigest()[:16] == known
    functional = pytest.importorskip("bitsandbytes.functional", reason="its maps are one of those compared with")
    for signed, bits in ((True, 8), (False, 8), (True, 4)):
        theirs = functional.create_dynamic_map(signed, bits - 1, bits).numpy()
        assert set(theirs.tolist()) == set(tables.dynamic_float32(signed, bits))


@pytest.mark.parametrize("signed", [True, False])
def test_the_dynamic_map_is_its_construction(signed: bool) -> None:
    """Every value within half a unit in the last place of the decimal that the construction says, in integers."""
    ours = tables.dynamic(signed)
    parts = {i: 2**i if signed else 2 ** (i + 1) for i in range(7)}
    exact = [
        Fraction(2 * n + 9 * (2 * k + 1), 20 * n) * Fraction(1, 10 ** (6 - i))
        for i, n in parts.items()
        for k in range(n)
    ]
    exact = sorted([*exact, *([-v for v in exact] if signed else []), Fraction(0), Fraction(1)])
    assert len(ours) == len(set(ours)) == 256 == len(exact)
    for value, truth in zip(ours, exact, strict=True):
        assert abs(Fraction(value) - truth) <= Fraction(float(np.spacing(np.float32(abs(value))))) / 2
    bitsandbytes = np.asarray(tables.dynamic_float32(signed))
    assert (bitsandbytes != ours).sum() == (72 if signed else 100)


#: what a number must exceed to get the next code: bitsandbytes 95f9af3, csrc/kernels.cu line 110, dQuantizeNF4
NF4_KERNEL = (
    *(-0.8480964004993439, -0.6106329262256622, -0.4599952697753906, -0.33967943489551544, -0.23460740596055984),
    *(-0.13791173323988914, -0.045525018125772476, 0.03979014977812767, 0.1202552504837513, 0.2035212516784668),
    *(0.2920137718319893, 0.3893125355243683, 0.5016634166240692, 0.6427869200706482, 0.8614784181118011),
)


def test_nf4_has_the_thresholds_of_the_kernel() -> None:
    """A tie with the midpoint in float32 goes to the lower code, which no other rule for ties gives."""
    x = np.zeros((3, 16), np.float32)
    x[0, :15] = NF4_KERNEL
    x[1, :15], x[2, :15] = np.nextafter(x[0, :15], np.float32(2)), np.nextafter(x[0, :15], np.float32(-2))
    x[:, 15] = 1.0
    wanted = np.asarray([[*range(15), 15], [*range(1, 16), 15], [*range(15), 15]])
    found = {ties: NF4(block_size=16, ties=ties).quantize(x).codes for ties in TIES.sentences}
    assert [ties for ties, codes in found.items() if np.array_equal(codes, wanted)] == ["bitsandbytes_4bit"]


def test_nf4_is_its_packages_at_ties() -> None:
    pytest.importorskip("bitsandbytes", reason="compares with bitsandbytes on a CPU")
    import torch
    from bitsandbytes import functional

    x = np.tile(np.float32([*NF4_KERNEL, 1.0]), 8)
    packed = functional.quantize_4bit(torch.from_numpy(x), blocksize=64, quant_type="nf4")[0].numpy().ravel()
    codes = np.stack([packed >> 4, packed & 15], 1).ravel()
    assert np.array_equal(codes, NF4(normalize="reciprocal", ties="bitsandbytes_4bit").quantize(x).codes)


@pytest.mark.slow
def test_nf4_is_its_construction() -> None:
    """Quantiles of the normal distribution between 929/960 and a half, divided by the largest."""
    stats = pytest.importorskip("scipy.stats")
    positive = stats.norm.ppf(np.linspace(0.9677083, 0.5, 9)[:-1])
    negative = -stats.norm.ppf(np.linspace(0.9677083, 0.5, 8)[:-1])
    values = np.sort(np.concatenate([positive, negative, [0.0]])) / positive.max()
    # the paper prints the offset to seven places; the quantile's slope is below 15 there
    assert np.abs(values - tables.NF4).max() < 15 * 5e-8


def test_quantile_map() -> None:
    sample = np.random.default_rng(0).standard_normal(20_001)
    values = np.asarray(tables.quantile(sample, 4))
    assert len(values) == 16
    assert np.abs(values).max() == 1
    assert (np.diff(values) > 0).all()
    codes = Nearest(tuple(values), "lower").rank((sample / np.abs(sample).max()).astype(np.float32))
    assert set(np.unique(codes)) <= set(range(16))
    ordered = np.sort(sample)
    by_hand = [_order_statistic(ordered, Fraction(i, 17)) for i in range(17)]
    middles = [(a + b) / 2 for a, b in itertools.pairwise(by_hand)]
    largest = max(map(abs, middles))
    ulps = np.spacing(np.abs(values).astype(np.float32)).astype(np.float64)
    assert (np.abs(values - [float(m / largest) for m in middles]) <= ulps).all()
    for bad in (np.zeros(3), np.asarray([]), np.asarray([1.0, np.nan])):
        with pytest.raises(ArgumentError, match="sample"):
            tables.quantile(bad)


@pytest.mark.parametrize("table", [tables.dynamic, tables.dynamic_float32, tables.linear], ids=lambda f: f.__name__)
def test_tables_of_other_numbers_of_bits(table: Any) -> None:
    """As many values as there are codes, but for the code that the linear map of numbers with a sign leaves out."""
    for signed, bits in itertools.product((True, False), (2, 3, 8, 11)):
        assert len(set(table(signed, bits))) == 2**bits - (table is tables.linear and signed)
    for bits in (10**12, 10**400, 17, 1, 0, -1, None, 8.0, [], True):
        with pytest.raises(ArgumentError, match="total_bits is "):
            table(True, bits)
    for signed in (None, 1, [], np.datetime64("NaT"), math.nan):
        with pytest.raises(ArgumentError, match="signed is "):
            table(signed)


def _order_statistic(ordered: np.ndarray, p: Fraction) -> Fraction:
    place = p * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return Fraction(ordered[low]) + (place - low) * (Fraction(ordered[high]) - Fraction(ordered[low]))


def exact_code(values: list[int], x: float, absmax: float) -> int:
    """The first rank at the least distance from x / absmax, a power of two; ``values`` are in units of 2**-160."""
    target = int(Fraction(x) / Fraction(absmax) * 2**160)
    distances = [abs(v - target) for v in values]
    return distances.index(min(distances))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_codes_are_the_argmin_where_the_division_is_exact(rule: Codebook) -> None:
    """Absmax is a power of two: midpoints of all codes, their neighbours, and anything else."""
    values = np.asarray(rule.table())
    middles = ((values[1:] + values[:-1]) / 2).astype(np.float32)
    x = np.concatenate([middles, np.nextafter(middles, np.float32(1)), np.nextafter(middles, np.float32(-1)), values])
    x = np.resize(np.concatenate([x.astype(np.float32), golden.SMALL[:100]]), (-(-len(x) // 63) + 3, 64))
    x[np.abs(x) > 1] = 0.5
    x[:, 0] = 1
    x = (x * np.float32(2.0**5)).astype(np.float32)
    codes = rule.quantize(x).codes
    numbers = rule.code_numbers().tolist()
    table = [int(Fraction(v) * 2**160) for v in rule.table()]
    for value, code in zip(x.ravel().tolist(), codes.ravel().tolist(), strict=True):
        assert numbers.index(code) == exact_code(table, value, 32.0)


@given(st.sampled_from(sorted(TIES.sentences)), st.floats(-1.25, 1.25, width=32), st.sampled_from(sorted(tables.MAPS)))
@examples(300)
def test_the_two_ways_to_the_nearest_agree(ties: str, x: float, name: str) -> None:
    if ties in ROUNDED_MIDPOINTS:
        return
    nearest = Nearest(tables.MAPS[name](), ties)
    values = np.asarray(nearest.values)
    place = int(np.searchsorted(values, x))
    candidates = [x, float(values[min(place, len(values) - 1)])]
    candidates.append(float((values[max(place - 1, 0)] + values[min(place, len(values) - 1)]) / 2))
    for value in candidates:
        got = nearest(np.asarray([value]))[0]  # float64 holds midpoints exactly
        assert Fraction(float(got)) == nearest.exactly(Fraction(value))


@pytest.mark.sample(quick=3, suite=11)
@pytest.mark.parametrize("rule", [r for r in RULES + VARIANTS if r.search == "nearest"], ids=str)
@pytest.mark.parametrize("count", [1, 3])
def test_kernels_keep_the_bits_of_the_literal_body(rule: Codebook, count: int) -> None:
    random = np.random.default_rng(4)
    x = (random.standard_normal(9_001) * np.exp(4 * random.standard_normal(9_001))).astype(np.float32)
    x[:130] = 0
    x[300], x[500], x[640:704] = np.nan, -np.inf, -3.25
    x[704:900] *= np.float32(1e-40)
    layout = rule.layout(x.shape)
    results = literal(rule, {"x": layout.cut(x)}, {})
    found = row_kernels.run(rule, {"x": layout.cut(x)}, count)
    assert found is not None
    absmax, codes = found["absmax"].ravel(), layout.joined(found["codes"])
    assert codes.dtype == np.uint8
    assert np.array_equal(absmax, results["absmax"].ravel(), equal_nan=True)
    assert np.array_equal(codes, rule.stored("codes", results["codes"], layout))
    parts = {"absmax": absmax.reshape(-1, 1), "codes": layout.cut(codes)}
    y = row_kernels.restored(rule, parts, rule.read_codes, count)
    assert y is not None
    assert np.array_equal(layout.joined(y), layout.joined(results["y"]), equal_nan=True)


@pytest.mark.parametrize(
    ("rule", "known"),
    [
        (
            Blockwise(map="bitsandbytes", ties="bitsandbytes"),
            ("8072e35e6e033172", "729b357c21736404", "b4c17693126674bc"),
        ),
        (Blockwise(map="bitsandbytes"), ("8072e35e6e033172", "d25fcd21b45e2162", "b4c17693126674bc")),
        (
            Blockwise(map="bitsandbytes_unsigned", ties="bitsandbytes"),
            ("3a6adefbbc297bb8", "ba914b465cb1a33a", "5dbd0209e89352e2"),
        ),
        (Blockwise(map="bitsandbytes_unsigned"), ("3a6adefbbc297bb8", "b81a1e3e74c5a483", "5dbd0209e89352e2")),
        (
            Blockwise(map="bitsandbytes", search="grid"),
            ("8072e35e6e033172", "435422d3aaf8e3f6", "0949ffe2bcdb2ad7"),
        ),
        (
            Blockwise(map="bitsandbytes_unsigned", search="grid"),
            ("3a6adefbbc297bb8", "bf0360095189945f", "6ae5f68a87e85e9c"),
        ),
    ],
    ids=str,
)
def test_golden_codes(rule: Blockwise, known: tuple[str, ...]) -> None:
    rule = rule.replace(block_size=256, normalize="reciprocal")
    unsigned = rule.map.endswith("unsigned")
    for x, wanted in zip(golden.ALL, known, strict=True):
        assert golden.digest(rule.quantize(np.abs(x) if unsigned else x).codes) == wanted


def packed(codes: np.ndarray) -> np.ndarray:
    """Two codes a byte, the first one high."""
    flat = codes.ravel()
    return flat[::2] << 4 | flat[1::2]


def test_golden_nf4_and_fp4() -> None:
    nf4, fp4 = NF4(normalize="reciprocal"), FP4(normalize="reciprocal")
    digests = [
        ("f0bf6a96e6a05104", "40f3a2780aff2ef9", "a9c565667e933360"),
        ("748b38776426dbbb", "fc2c73b2a783fe1e", "e2ecf3aed8730503"),
        ("983cb89902220daa", "8fac51fc0d5871d1", "ce387e74b34bd329"),
    ]
    for x, (codes, values, fp4_values) in zip(golden.ALL, digests, strict=True):
        quantized = nf4.quantize(x)
        assert golden.digest(packed(quantized.codes)) == codes
        assert golden.digest(nf4.dequantize(quantized)) == values
        assert golden.digest(fp4.round_trip(x) + np.float32(0)) == fp4_values  # bitsandbytes gives no minus zero


@pytest.mark.parametrize("name", ["nf4", "fp4"])
@pytest.mark.parametrize("block_size", [32, 64, 4096])
def test_four_bits_are_those_of_bitsandbytes(name: str, block_size: int) -> None:
    functional = pytest.importorskip("bitsandbytes.functional", reason="it is one of those compared with")
    torch = pytest.importorskip("torch")
    rule = {"nf4": NF4, "fp4": FP4}[name](block_size=block_size, normalize="reciprocal")
    random = np.random.default_rng(6)
    x = np.concatenate([*golden.ALL, random.standard_normal(300_000).astype(np.float32), np.zeros(4096, np.float32)])
    theirs, state = functional.quantize_4bit(torch.from_numpy(x), blocksize=block_size, quant_type=name)
    quantized = rule.quantize(x)
    absmax = quantized["absmax"].copy()
    if x.size % block_size:  # it keeps 1e-38 for a short last block of zeros: a departure
        absmax[-1] = max(absmax[-1], np.float32(1e-38))
    assert np.array_equal(state.absmax.numpy(), absmax)
    codes = np.stack([theirs.numpy().ravel() >> 4, theirs.numpy().ravel() & 15], 1).ravel()[: x.size]
    if name == "fp4":  # its zero may have the code of minus zero: a departure
        codes = np.where(codes == 8, 0, codes)
    assert np.array_equal(codes, quantized.codes)
    assert np.array_equal(functional.dequantize_4bit(theirs, state).numpy().ravel(), rule.dequantize(quantized))


@pytest.mark.parametrize("signed", [True, False])
def test_eight_bits_are_those_of_torchao_but_for_ties(signed: bool) -> None:
    utils = pytest.importorskip("torchao.optim.quant_utils", reason="its search is one of those compared with")
    torch = pytest.importorskip("torch")
    rule = Blockwise(map="bitsandbytes" if signed else "bitsandbytes_unsigned", ties="upper", block_size=256)
    x = np.random.default_rng(7).standard_normal(256 * 500).astype(np.float32)
    x = x if signed else x * x
    table = utils.create_dynamic_map(signed)
    scaled, scale = utils.scale_tensor(torch.from_numpy(x), 256)
    codes = utils.quantize_8bit_with_qmap(scaled, torch.tensor(table)).numpy()
    quantized = rule.quantize(x)
    assert np.array_equal(np.asarray(table, np.float32), np.asarray(rule.table(), np.float32))
    assert np.array_equal(scale.numpy().ravel(), quantized["absmax"])
    differ = codes.ravel() != quantized.codes
    on_a_midpoint = np.isin(scaled.numpy().ravel(), rule.nearest.thresholds(np.float32))
    near = np.isin(np.nextafter(scaled.numpy().ravel(), np.float32(-2)), rule.nearest.thresholds(np.float32))
    assert not (differ & ~on_a_midpoint & ~near).any()


@pytest.mark.parametrize("rule", RULES, ids=str)
@given(arrays.arrays(np.float32, st.integers(1, 150), elements=st.floats(-(2.0**100), 2.0**100, width=32)))
@examples(25)
def test_laws(rule: Codebook, x: np.ndarray) -> None:
    """Half a gap at most; powers of two go through; blocks are apart; order is kept."""
    x = np.abs(x) if min(rule.table()) >= 0 else x
    x = np.where(np.abs(x) < 1e-30, np.float32(0), x)
    quantized = rule.quantize(x)
    back = rule.dequantize(quantized)
    absmax = np.repeat(quantized["absmax"], rule.block_size)[: x.size].astype(np.float64)
    gap = max(np.diff(rule.table())) / 2 if min(rule.table()) in (0, -1) else 1 - max(v for v in rule.table() if v < 1)
    rounding = 3 * 2.0**-24
    assert (np.abs(back - x.astype(np.float64)) <= (gap + rounding) * absmax).all()
    scaled = rule.quantize(x * np.float32(2.0**-9))
    assert np.array_equal(scaled.codes, quantized.codes)
    assert np.array_equal(scaled["absmax"], quantized["absmax"] * np.float32(2.0**-9))
    alone = rule.quantize(x[: rule.block_size])
    assert np.array_equal(alone.codes, quantized.codes[: rule.block_size])
    block = slice(0, rule.block_size)
    order = np.argsort(x[block], kind="stable")
    assert (np.diff(back[block][order]) >= 0).all()


def test_edges_are_as_stated() -> None:
    rule = Blockwise(block_size=4, map="bitsandbytes")
    tiny = np.float32(1e-45)
    x = np.asarray([0, -0.0, 0, 0, np.nan, 1, 2, 3, np.inf, 1, -1, 0, tiny, -tiny, 0, tiny, 5, 5], np.float32)
    quantized = rule.quantize(x)
    assert quantized.codes[:4].tolist() == [127] * 4
    assert quantized["absmax"].tolist()[0] == 0
    assert quantized["absmax"].tolist()[2:] == [np.inf, float(tiny), 5]
    back = rule.dequantize(quantized)
    assert back[:4].tolist() == [0] * 4
    assert np.isnan(back[4:12]).all()
    assert back[12:16].tolist() == [float(tiny), -float(tiny), 0, float(tiny)]
    assert back[16:].tolist() == [5, 5]
    zero = rule.replace(normalize="reciprocal").quantize(x[12:16])  # 1 / absmax overflows: 0 * inf has the code of zero
    assert zero.codes.tolist() == [255, 0, 127, 255]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_any_shape_and_layout(dtype: Any) -> None:
    for rule in RULES:
        for x in (np.asarray(-2.5), np.zeros((0, 3)), np.linspace(0, 3, 240).reshape(8, 30).T[::2]):
            x = x.astype(dtype)
            x.flags.writeable = False
            quantized = rule.quantize(x)
            assert quantized.codes.shape == x.shape
            assert (rule.dequantize(quantized).dtype, rule.dequantize(quantized).shape) == (x.dtype, x.shape)
    assert NF4().quantize(np.zeros(3)).arrays["absmax"].dtype == np.float64


def test_nested_absmax() -> None:
    x = np.random.default_rng(9).standard_normal(64 * 700 - 5).astype(np.float32)
    plain, nested = NF4(), NF4(nested=True)
    kept, absmax = nested.quantize(x), plain.quantize(x)["absmax"]
    assert set(kept.arrays) == {"offset", "absmax_of_absmax", "absmax_codes", "codes"}
    assert np.array_equal(kept.codes, plain.quantize(x).codes)
    truth = sum(map(Fraction, absmax.tolist())) / absmax.size
    terms = 10 + 1  # of the summation tree and of the division
    assert abs(Fraction(float(kept["offset"])) - truth) <= terms * truth / 2**24
    inner = Blockwise(map="bitsandbytes", block_size=256, normalize="reciprocal", ties="bitsandbytes")
    again = inner.quantize(absmax - kept["offset"])
    assert np.array_equal(again.codes, kept["absmax_codes"])
    values = np.repeat(inner.dequantize(again) + kept["offset"], 64)[: x.size]
    assert np.array_equal(nested.dequantize(kept), nested.code_values[kept.codes] * values)


def test_bad_input_is_refused_by_name() -> None:
    quantized = NF4().quantize(np.ones(70, np.float32))
    for part, value, message in (
        ("codes", np.full(70, 16, np.uint8), "codes is 16; legal: whole numbers from 0 to 15"),
        ("codes", np.full(70, 1.0), "codes.dtype"),
        ("codes", np.zeros(69, np.uint8), "shape"),
        ("absmax", np.zeros(1, np.float32), "shape"),
    ):
        with pytest.raises(ArgumentError, match=message):
            NF4().dequantize(Quantized({**quantized.arrays, part: value}, (70,), np.dtype(np.float32)))
    with pytest.raises(ArgumentError, match="a whole number from 1"):
        Blockwise(block_size=0)
    with pytest.raises(ArgumentError, match="a whole number from 64 to 64"):
        AF4(block_size=32)
