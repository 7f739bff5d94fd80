"""Every code that a decoder can be handed: those that no encoder makes, NaN among them, and random bytes."""

from __future__ import annotations

import dataclasses
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad.candidates.quantizer import resolve
from refgrad.errors import ArgumentError, CandidateError
from refgrad.kinds.record import Driven
from refgrad.kinds.table import kind_of
from refgrad.oracle.inputs.codes import every_code, is_of_codes
from refgrad.quantizers import MX, Q8_0, Affine, Cast, Quantizer
from refgrad.quantizers.base import Quantized
from refgrad.rule import rules

RULES = [rule for rule in (cls() for cls in rules().values()) if isinstance(rule, Quantizer)]


@pytest.mark.sample(quick=1, suite=6)
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


def faulty(fault: Any) -> Any:
    """A rule's own decoder with a fault in the array that it gives."""

    def of(rule: Quantizer) -> Any:
        own = resolve(rule, {})
        assert own.dequantize is not None
        way_back = own.dequantize
        return dataclasses.replace(
            own, quantize=None, dequantize=lambda rule, parts, x: fault(np.array(way_back(rule, parts, x)))
        )

    return of


def without_tail(y: np.ndarray) -> np.ndarray:
    """A kernel for whole blocks of 256, or of as much as a row of an ordinary case is long."""
    y.reshape(-1)[y.size // 256 * 256 :] = 3.25
    return y


def of_one_axis(y: np.ndarray) -> np.ndarray:
    return y * y.dtype.type(1.5) if y.ndim == 3 else y


def without_nan(y: np.ndarray) -> np.ndarray:
    return np.nan_to_num(y, nan=0.0, posinf=np.inf, neginf=-np.inf)


@pytest.mark.sample(quick=1, suite=8)
@pytest.mark.parametrize("fault", [without_tail, of_one_axis, without_nan])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_decoder_alone_is_driven_where_its_encoder_would_be(rule: Quantizer, fault: Any) -> None:
    """By the rule's own parts of arrays of many shapes, and of groups with NaN, as far as the rule takes these."""
    kind: Any = kind_of(rule)
    asked = Driven(faulty(fault)(rule), frozenset(), np.dtype(rule.kept_in), 0)
    cases = [s.cases for s in kind.situations(rule, asked)] + [kind.generate(rule, 1, asked.dtype, 0, asked.subject)]
    given = [np.asarray(arrays["x"]) for each in cases for arrays in each.arrays]
    if all(np.array_equal(fault(x.copy()), x, equal_nan=True) for x in given):  # it takes whole blocks, or refuses NaN
        return
    assert not refgrad.verify(asked.subject, rule, shrink=False, explain=False).conforms


@pytest.mark.parametrize(("lowest", "highest"), [(0.0, np.nan), (2.0**-127, np.inf)])
def test_a_decoder_shows_the_lowest_scale_and_the_one_that_is_nan(lowest: float, highest: float) -> None:
    """A scale that is shifted into an exponent is 0 where it should be subnormal, and infinite where it should be NaN."""

    def dequantize(rule: Quantizer, parts: Any, x: np.ndarray) -> np.ndarray:
        scale, ordinary = parts["scale"], (parts["scale"] > 0) & (parts["scale"] < 255)
        ones = {"scale": np.where(ordinary, scale, np.uint8(127)), "codes": parts["codes"]}
        y = np.asarray(rule.dequantize(Quantized(ones, x.shape, x.dtype)))
        powers = np.where(ordinary, 1.0, np.where(scale == 0, lowest, highest)).astype(np.float32)
        if not x.size:
            return y
        blocks = np.repeat(powers.reshape(x.size // x.shape[-1] if x.ndim else 1, -1), 32, axis=-1)
        with np.errstate(all="ignore"):
            return (y * blocks[:, : x.shape[-1] if x.ndim else 1].reshape(x.shape)).astype(x.dtype)

    candidate = dataclasses.replace(resolve((None, lambda codes: codes), {}), dequantize=dequantize)
    verdict = refgrad.verify(candidate, MX(), shrink=False, explain=False)
    assert verdict.outcome == "does not conform"
    assert verdict.counts["y"].outside


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


@pytest.mark.sample(quick=1)
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


def magnitude(x: np.ndarray, scale: Any, zero_point: Any) -> np.ndarray:
    return np.minimum(np.rint(np.abs(x / scale)), 255).astype(np.uint8)


def wrapping(x: np.ndarray, scale: Any, zero_point: Any) -> np.ndarray:
    return (np.rint(x / scale).astype(np.int64) + zero_point).astype(np.uint8)


def clipped(x: np.ndarray, scale: Any, zero_point: Any) -> np.ndarray:
    return np.clip(np.rint(x / scale) + zero_point, 0, 255).astype(np.uint8)


@pytest.mark.sample(quick=2)
@pytest.mark.parametrize(("encoder", "conforms"), [(clipped, True), (wrapping, False), (magnitude, False)])
def test_codes_under_given_scales(encoder: Any, conforms: bool) -> None:
    """Scales come from outside, smaller than those of the array and larger: what is beyond the range is cut off at its ends."""
    verdict = refgrad.verify(encoder, Affine(signed=False), explain=False)
    assert verdict.conforms == conforms
    assert set(verdict.counts) == {"codes"}
    assert verdict.unexercised[0].startswith("y: ")
    if not conforms:
        assert verdict.counterexample is not None
        assert {"x", "scale", "zero_point"} <= set(verdict.counterexample.arrays)


@pytest.mark.slow
def test_given_scales_of_groups_and_a_way_back() -> None:
    def along(x: np.ndarray, *parts: np.ndarray) -> list[np.ndarray]:
        return [a.astype(np.float32).reshape(-1, *(1,) * (x.ndim - 1)) for a in parts]

    def encode(x: np.ndarray, scale: np.ndarray, zero_point: np.ndarray) -> np.ndarray:
        s, z = along(x, scale, zero_point)
        return np.clip(np.rint(x / s) + z, -128, 127).astype(np.int8)

    def decode(codes: np.ndarray, scale: np.ndarray, zero_point: np.ndarray) -> np.ndarray:
        s, z = along(codes, scale, zero_point)
        return (codes.astype(np.float32) - z) * s

    verdict = refgrad.verify((encode, decode), Affine(granularity="channel"), explain=False)
    assert verdict.conforms, str(verdict)
    assert set(verdict.counts) == {"codes", "y"}


def test_who_takes_a_scale_takes_all_that_codes_are_made_under() -> None:
    with pytest.raises(
        CandidateError, match=r"takes scale of .*; legal: a function of x, or of x with scale, zero_point"
    ):
        refgrad.verify(lambda x, scale: x, Affine())
    with pytest.raises(ArgumentError, match="does not say what codes are under given"):
        refgrad.verify(lambda x, scale: x, Q8_0())
