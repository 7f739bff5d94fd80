"""Decoders that take codes for other numbers: named, and told from those that are right."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad.kinds.decoder_faults import decoder_faults
from refgrad.quantizers import MX, Cast

E4M3 = Cast(overflow="saturate")
FORMATS = ("float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float6_e2m3fn", "float4_e2m1fn", "bfloat16")


def decoding(values: np.ndarray) -> Any:
    """A candidate that encodes as the rule does, and decodes by a table."""
    return SimpleNamespace(
        quantize=lambda x: dict(E4M3.quantize(x).arrays), dequantize=lambda codes: values[np.asarray(codes)]
    )


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=4)
@pytest.mark.parametrize("fault", decoder_faults(E4M3), ids=lambda fault: fault.name)
def test_it_is_named(fault: Any) -> None:
    verdict = refgrad.verify(decoding(fault.values), E4M3)
    assert verdict.outcome == "does not conform"
    assert verdict.explanation is not None
    assert verdict.explanation.name == fault.name


def test_a_right_decoder_conforms() -> None:
    values = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    assert refgrad.verify(decoding(values), E4M3).outcome == "conforms"


@pytest.mark.parametrize("format", FORMATS)
def test_it_is_undone_and_nothing_else_is(format: str) -> None:
    rule = Cast(format=format)
    codes, right = np.arange(1 << rule.record.bits), rule.record.values
    faults = decoder_faults(rule)
    assert faults
    for fault in faults:
        undone = fault.undone(codes, fault.values)
        assert np.array_equal(undone, right, equal_nan=True)
        assert np.array_equal(np.signbit(undone), np.signbit(right))
        departs = fault.undone(codes, right)  # what is right has not that fault
        assert not np.array_equal(departs, right, equal_nan=True) or not np.array_equal(
            np.signbit(departs), np.signbit(right)
        )


def test_what_is_no_cast_has_none() -> None:
    assert decoder_faults(MX()) == ()
