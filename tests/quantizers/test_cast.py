"""Rounding to small formats: two references and a kernel against each other, and against casts that others wrote."""

from __future__ import annotations

from fractions import Fraction

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refgrad.arithmetic import dtypes, rounding
from refgrad.arithmetic.minifloats import MINIFLOATS, ROUNDINGS, Minifloat
from refgrad.arithmetic.philox import philox4x32, random_words
from refgrad.arithmetic.rounding_exact import round_exactly, value_exactly
from refgrad.backends import rounding_kernels
from refgrad.errors import ArgumentError
from refgrad.quantizers import Cast
from tests.depth import examples
from tests.quantizers.exhaustive import BITS, CASES, disagreements, points

FORMS = list(MINIFLOATS.values())
SMALL = [form for form in FORMS if form.bits <= 8]


@pytest.mark.sample(suite=30)
@pytest.mark.slow
@pytest.mark.parametrize("form", SMALL, ids=lambda f: f.name)
@pytest.mark.parametrize(("mode", "overflow"), CASES)
def test_three_ways_agree_everywhere(form: Minifloat, mode: str, overflow: str) -> None:
    assert disagreements(form, mode, overflow, points(form)) == (0, 0)


@pytest.mark.sample(suite=1)
@pytest.mark.slow
@pytest.mark.parametrize("form", [f for f in FORMS if f.bits == 16], ids=lambda f: f.name)
def test_three_ways_agree_on_every_code_of_16_bits(form: Minifloat) -> None:
    """Every point under one mode and policy, those taking turns; all of them: `python -m tests.quantizers.exhaustive`."""
    x = points(form)
    for turn, (mode, overflow) in enumerate(CASES):
        assert disagreements(form, mode, overflow, x[turn :: len(CASES)]) == (0, 0)


@pytest.mark.sample(quick=2, suite=20)
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
@pytest.mark.parametrize("mode", ["nearest_even", "up", "stochastic"])
def test_array_and_kernel_agree_at_all_magnitudes(form: Minifloat, mode: str) -> None:
    random = np.random.default_rng(3)
    x = random.integers(0, 2**32, 200_003, dtype=np.uint32).view(np.float32)
    x = x[~np.isnan(x)]
    words = random_words(x.size, 5) if mode == "stochastic" else None
    for count in (1, 3):
        by_kernel = rounding_kernels.encode(x, form, mode, "overflow", words, 32, count)
        assert np.array_equal(rounding.encode(x, form, mode, "overflow", words, 32), by_kernel)


def theirs(form: Minifloat) -> np.dtype:
    """The same format by ml_dtypes or NumPy."""
    return np.dtype(getattr(ml_dtypes, form.name, form.name))


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_values_are_those_of_ml_dtypes(form: Minifloat) -> None:
    codes = np.arange(1 << form.bits).astype(form.code_dtype)
    values = codes.view(theirs(form)).astype(np.float32)
    assert np.array_equal(values, form.values, equal_nan=True)
    assert np.array_equal(np.signbit(values) | np.isnan(values), np.signbit(form.values) | np.isnan(form.values))
    exact = [value_exactly(int(code), form) for code in codes]
    assert all(v == e or (v != v and e != e) for v, e in zip(values.tolist(), exact, strict=True))


@pytest.mark.parametrize("form", FORMS, ids=lambda f: f.name)
def test_codes_are_those_of_ml_dtypes(form: Minifloat) -> None:
    x = points(form)
    if form.name == "float8_e8m0fnu":  # ml_dtypes rounds what is between 2**-127 and 1.5 * 2**-127 away: a departure
        x = x[~((np.abs(x) > 2.0**-127) & (np.abs(x) < 1.5 * 2.0**-127))]
    with np.errstate(all="ignore"):
        codes = x.astype(theirs(form)).view(form.code_dtype)
    assert np.array_equal(codes, Cast(format=form.name).quantize(x).codes)


@pytest.mark.parametrize(
    "name", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz"]
)
def test_codes_are_those_of_torch(name: str) -> None:
    torch = pytest.importorskip("torch", reason="torch's casts are one of those compared with")
    form = MINIFLOATS[name]
    x = points(form)
    x = x[~np.isnan(x)]
    view = torch.uint8 if form.bits == 8 else torch.uint16
    codes = torch.from_numpy(x).to(getattr(torch, name)).view(view).numpy()
    saturates = name == "float8_e4m3fn" and codes[x == np.inf] == form.largest_code  # torch 2.13; NaN before
    ours = Cast(format=name, overflow="saturate" if saturates else "overflow").quantize(x).codes
    assert np.array_equal(codes, ours)


GFLOAT = {
    "bfloat16": "format_info_bfloat16",
    "float16": "format_info_binary16",
    "float8_e4m3fn": "format_info_ocp_e4m3",
    "float8_e5m2": "format_info_ocp_e5m2",
    "float6_e2m3fn": "format_info_ocp_e2m3",
    "float6_e3m2fn": "format_info_ocp_e3m2",
    "float4_e2m1fn": "format_info_ocp_e2m1",
}


@pytest.mark.parametrize("name", list(GFLOAT))
@pytest.mark.parametrize("mode", ["nearest_even", "nearest_away", "toward_zero", "up", "down"])
@pytest.mark.parametrize("saturate", [False, True])
def test_values_are_those_of_gfloat(name: str, mode: str, saturate: bool) -> None:
    gfloat = pytest.importorskip("gfloat", reason="its scalar rounding is one of those compared with")
    from gfloat import formats

    form, names = (
        MINIFLOATS[name],
        {"nearest_even": "TiesToEven", "nearest_away": "TiesToAway", "toward_zero": "TowardZero"},
    )
    record = getattr(formats, GFLOAT[name])
    chosen = getattr(gfloat.RoundMode, names.get(mode, {"up": "TowardPositive", "down": "TowardNegative"}.get(mode)))
    x = points(form)
    x = x[~np.isnan(x)]
    if form.nan_code is None or not saturate:
        x = x[np.abs(x) <= form.largest]  # beyond it the packages have policies of their own
    x = x[:: max(1, x.size // 4000)]
    truth = [gfloat.round_float(record, float(v), chosen, saturate) for v in x]
    assert np.array_equal(
        Cast(format=name, rounding=mode, overflow="saturate" if saturate else "overflow").round_trip(x), truth
    )


@given(st.floats(allow_nan=False), st.sampled_from(FORMS), st.sampled_from(sorted(ROUNDINGS.sentences)))
@examples(300)
def test_float64_is_rounded_once(x: float, form: Minifloat, mode: str) -> None:
    random = np.asarray([0x5A])
    code = rounding.encode(np.asarray([x]), form, mode, "overflow", random, BITS)[0]
    assert code == round_exactly(x, form, mode, "overflow", 0x5A, BITS)


def test_double_rounding_is_seen() -> None:
    x = np.asarray([1 + 2.0**-8 + 2.0**-40])
    assert Cast(format="bfloat16").round_trip(x)[0] == 1 + 2.0**-7
    assert x.astype(ml_dtypes.bfloat16)[0] == 1.0  # by way of float32


@given(st.fractions(), st.sampled_from(FORMS))
@examples(200)
def test_rationals_round_to_a_neighbour(x: Fraction, form: Minifloat) -> None:
    if not form.signed and x <= 0:
        return
    below = value_exactly(round_exactly(x, form, "down", "saturate"), form)
    above = value_exactly(round_exactly(x, form, "up", "saturate"), form)
    near = value_exactly(round_exactly(x, form, "nearest_even", "saturate"), form)
    assert near in (below, above)
    if below <= x <= above:
        assert abs(near - x) == min(x - below, above - x)


def test_rounding_to_odd_then_to_nearest_is_one_rounding() -> None:
    """Boldo & Melquiond 2008: a format with two more bits keeps what the second rounding needs."""
    narrow = MINIFLOATS["float8_e5m2"]
    random = np.random.default_rng(8)
    x = np.concatenate([points(narrow), random.standard_normal(50_000).astype(np.float32)])
    x = x[np.isfinite(x)]
    odd = Cast(format="float16", rounding="odd").round_trip(x)
    assert np.array_equal(rounding.encode(odd, narrow), rounding.encode(x, narrow))


def test_philox_known_answers() -> None:
    pi = np.asarray([[0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344]], np.uint32)
    known = [
        (np.zeros((1, 4), np.uint32), (0, 0), [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        (np.full((1, 4), 0xFFFFFFFF, np.uint32), (0xFFFFFFFF,) * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (pi, (0xA4093822, 0x299F31D0), [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
    ]
    for counter, key, words in known:
        assert philox4x32(counter, key)[0].tolist() == words
    assert np.array_equal(random_words(30, 7)[5:17], random_words(12, 7, start=5))


def test_stochastic_rounding_goes_up_exactly_as_often_as_it_should() -> None:
    """All 2**8 random values, against every fraction of them: the count is the fraction, with no statistics."""
    form, draws = MINIFLOATS["bfloat16"], np.arange(256)
    for fraction in (0, 1, 100, 128, 255):
        x = np.full(256, 1.0 + fraction * 2.0**-15, np.float32)
        codes = rounding.encode(x, form, "stochastic", "overflow", draws, 8)
        assert np.array_equal(codes - form.values.tolist().index(1.0), (draws < fraction).astype(int))
    whole = np.asarray([1.0, -3.5, 0.0, np.inf], np.float32)
    assert np.array_equal(Cast(format="bfloat16", rounding="stochastic").round_trip(whole), whole)


@pytest.mark.parametrize("name", ["float4_e2m1fn", "float6_e2m3fn", "float6_e3m2fn"])
@pytest.mark.parametrize("size", [3, 1 << 17])
def test_nan_needs_a_code(name: str, size: int) -> None:
    with pytest.raises(ArgumentError, match="has no NaN"):
        Cast(format=name).quantize(np.full(size, np.nan, np.float32))


def test_bad_input_is_refused_by_name() -> None:
    rule = Cast(format="float4_e2m1fn")
    with pytest.raises(ArgumentError, match="did you mean 'float8_e4m3fn'"):
        Cast(format="float8_e4m3f")
    with pytest.raises(ArgumentError, match="whole number from 1 to 32"):
        Cast(random_bits=33)
    with pytest.raises(ArgumentError, match="float dtype"):
        rule.quantize(np.arange(3))
    quantized = rule.quantize(np.ones(4, np.float32))
    with pytest.raises(ArgumentError, match="codes is 16; legal: whole numbers from 0 to 15"):
        rule.dequantize(type(quantized)({"codes": np.full(4, 16, np.uint8)}, (4,), np.dtype(np.float32)))
    with pytest.raises(ArgumentError, match="has no 'codes'"):
        rule.dequantize(type(quantized)({"code": quantized.codes}, (4,), np.dtype(np.float32)))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32, np.float64])
def test_any_shape_and_layout(dtype: type) -> None:
    rule = Cast(format="float8_e4m3fn")
    for x in (np.asarray(1.1), np.zeros((0, 3)), np.linspace(-3, 3, 24).reshape(4, 6).T[::2]):
        x = x.astype(dtype)
        x.flags.writeable = False
        back = rule.round_trip(x)
        assert (back.shape, back.dtype) == (x.shape, x.dtype)
        assert np.array_equal(back, dtypes.round_to(x.astype(np.float64), ml_dtypes.float8_e4m3fn).astype(dtype))
