"""Values from parts: kernels give those of the body, in each dtype; what no kernel reads is decoded as it stands."""

from __future__ import annotations

import sys
from unittest import mock

import ml_dtypes
import numpy as np
import pytest

from refgrad import backends
from refgrad.arithmetic.steps import WholeCodes
from refgrad.backends import row_kernels
from refgrad.errors import ArgumentError
from refgrad.quantizers import HQQ, Cast, DoReFaGradient, LogQuantizer, OneBit, Quantizer, SignSGD, TernGrad
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.decoding import Decoded, read
from refgrad.rule import rules

RULES: list[Decoded] = [
    *(cls() for cls in rules(Quantizer).values() if issubclass(cls, Decoded)),
    HQQ(axis=0),
    SignSGD(scaled="mean"),
    Cast(format="float4_e2m1fn"),
    Cast(format="float16"),
]


def made(rule: Decoded, dtype: np.dtype, shape: tuple[int, ...] = (12, 256)) -> Quantized:
    """Parts of numbers of many magnitudes, a row of zeros and, where the rule takes them, infinity and NaN."""
    random = np.random.default_rng(5)
    x = random.standard_normal(shape) * np.exp2(random.integers(-20, 6, shape))
    x[0] = 0
    wild = x.copy()
    wild[1, :2] = np.inf, np.nan
    try:
        return rule.quantize(wild.astype(dtype))
    except ArgumentError:
        return rule.quantize(x.astype(dtype))


def values(rule: Decoded, parts: Quantized, least: int) -> np.ndarray:
    """What is decoded where kernels are worth their while from a number of elements on."""
    with mock.patch.object(backends, "WORTH_COMPILING", least):
        return rule.dequantize(parts)


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """The same bits, any NaN being like any other."""
    bits = f"u{a.itemsize}"
    return (a.shape, a.dtype) == (b.shape, b.dtype) and bool(
        ((a.view(bits) == b.view(bits)) | (a != a) & (b != b)).all()
    )


@pytest.mark.sample(quick=2, suite=12)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_kernels_give_the_values_of_the_body(rule: Decoded) -> None:
    for dtype in (np.float32, ml_dtypes.bfloat16):
        parts = made(rule, np.dtype(dtype))
        with mock.patch.object(row_kernels, "decoded", wraps=row_kernels.decoded) as kernel:
            found = values(rule, parts, 0)
        assert kernel.called == (rule.read_codes is not None)
        assert alike(found, values(rule, parts, sys.maxsize))


@pytest.mark.slow
@pytest.mark.parametrize("rule", [LogQuantizer(), DoReFaGradient(), TernGrad()], ids=str)
def test_kernels_give_values_in_float64_and_by_several_threads(rule: Decoded) -> None:
    parts = made(rule, np.dtype(np.float64), (40, 100))
    wanted = values(rule, parts, sys.maxsize)
    assert alike(values(rule, parts, 0), wanted)
    opened, float64 = rule.opened(parts.arrays, parts.shape), np.dtype(np.float64)
    opened["codes"] = opened["codes"].reshape(40, 100)
    known = rule.read_codes
    assert known is not None
    assert alike(row_kernels.decoded(rule, opened, known, float64, float64, 3), wanted)


def test_what_kernels_do_not_read_is_decoded_as_it_stands() -> None:
    """Codes of another type, and a scale of a narrow dtype."""
    rule = TernGrad()
    parts = made(rule, np.dtype(np.float32))
    wide = Quantized({**parts.arrays, "codes": parts.codes.astype(np.int32)}, parts.shape, parts.dtype)
    narrow = Quantized({**parts.arrays, "scale": np.asarray([0.5], np.float16)}, parts.shape, parts.dtype)
    with mock.patch.object(row_kernels, "decoded", side_effect=AssertionError):
        assert alike(values(rule, wide, 0), values(rule, parts, sys.maxsize))
        assert np.array_equal(values(rule, narrow, 0), parts.codes * np.float32(0.5))


@pytest.mark.parametrize(("rule", "part"), [(OneBit(), "low"), (HQQ(), "zero"), (DoReFaGradient(), "scale")], ids=str)
def test_a_part_of_another_length_is_one_error(rule: Decoded, part: str) -> None:
    parts = made(rule, np.dtype(np.float32))
    broken = Quantized({**parts.arrays, part: np.ones(7, np.float32)}, parts.shape, parts.dtype)
    wanted = parts[part].shape
    for least in (0, sys.maxsize):
        with pytest.raises(ArgumentError) as told:
            values(rule, broken, least)
        assert str(told.value) == f"quantized[{part!r}] has shape (7,); legal: {wanted}"


def test_whole_numbers_in_a_float_dtype_are_no_codes() -> None:
    parts = made(LogQuantizer(), np.dtype(np.float32))
    floats = Quantized({"codes": parts.codes.astype(np.float32)}, parts.shape, parts.dtype)
    with pytest.raises(ArgumentError, match=r"codes\.dtype is 'float32'; legal: an integer dtype"):
        LogQuantizer().dequantize(floats)


def test_codes_are_read_in_their_unit() -> None:
    codes = np.asarray([-2, 3], np.int8)
    assert read(WholeCodes("int8", unit=0.25), codes, np.float32).tolist() == [-0.5, 0.75]
