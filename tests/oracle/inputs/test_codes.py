"""Every code that a decoder can be handed: those that no encoder makes, NaN among them, and random bytes."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad.candidates.quantizer import resolve
from refgrad.oracle.inputs.codes import every_code, is_of_codes
from refgrad.quantizers import Cast, Quantizer
from refgrad.rule import rules

RULES = [rule for rule in (cls() for cls in rules().values()) if isinstance(rule, Quantizer)]


@pytest.mark.sample(quick=6, suite=20)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_rule_decodes_its_own_codes(rule: Quantizer) -> None:
    cases = every_code(rule, np.dtype(rule.kept_in), 0)
    if cases is None:
        return
    assert all(is_of_codes(rule, arrays) for arrays in cases.arrays)
    for arrays in cases.arrays:
        assert arrays["codes"].size >= len(np.unique(arrays["codes"]))
    candidate = dataclasses.replace(resolve(rule, {}), quantize=None)
    assert refgrad.verify(candidate, rule).conforms


def test_all_codes_of_a_byte_are_there() -> None:
    cases = every_code(Cast(), np.dtype(np.float32), 0)
    assert cases is not None
    assert np.array_equal(np.unique(cases.arrays[0]["codes"]), np.arange(256))


def decoded(codes: np.ndarray, nan: bool = True) -> np.ndarray:
    values = codes.view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    return values if nan else np.where(np.isnan(values), np.float32(480), values)


def encoded(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -448, 448).astype(ml_dtypes.float8_e4m3fn).view(np.uint8)


class Alone:
    """A decoder without an encoder."""

    def dequantize(self, codes: np.ndarray) -> np.ndarray:
        return decoded(codes)


class Both(Alone):
    """A pair whose methods need no instance."""

    quantize = staticmethod(encoded)
    dequantize = staticmethod(decoded)


RULE = Cast(overflow="saturate")


@pytest.mark.parametrize(
    "candidate",
    [Alone(), (None, decoded), (encoded, decoded), Both, Both()],
    ids=["object without an encoder", "function alone", "both", "class", "object"],
)
def test_a_decoder_is_judged_alone_or_with_its_encoder(candidate: Any) -> None:
    verdict = refgrad.verify(candidate, RULE)
    assert verdict.conforms
    assert verdict.counts["y"].inside


@pytest.mark.parametrize("encoder", [None, encoded])
def test_codes_of_nan_that_become_numbers_are_found(encoder: Any) -> None:
    """No finite array has them."""
    verdict = refgrad.verify((encoder, lambda codes: decoded(codes, nan=False)), RULE)
    assert not verdict.conforms
    assert verdict.first is not None
    assert verdict.first.inputs["codes"] in (127.0, 255.0)
