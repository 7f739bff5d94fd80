"""Quantizers of elements by themselves: kernels give the codes of the body, whatever the dtype and the number of threads."""

from __future__ import annotations

import sys
from unittest import mock

import numpy as np
import pytest

from refgrad.arithmetic.steps import Ranks, signed
from refgrad.backends import row_kernels
from refgrad.errors import ArgumentError
from refgrad.quantizers import (
    INQ,
    N2UQ,
    TTQ,
    AdaRound,
    APoT,
    DoReFaGradient,
    LogQuantizer,
    NaturalCompression,
    OneBit,
    SignSGD,
    TernGrad,
    WAGEError,
    WAGEGradient,
)
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.rule import rules

RULES: list[tuple[ElementQuantizer, str]] = [
    (LogQuantizer(), "float32"),
    (APoT(bits=6, alpha=1.7), "float32"),
    (N2UQ(bits=5, start=-0.3), "float32"),
    (TTQ(), "float32"),
    (SignSGD(), "float32"),
    (LogQuantizer(bits=6, full_scale=-100, boundary="value"), "float32"),  # many boundaries below the least float32
    (APoT(alpha=1.7), "float64"),  # levels are numbers of the working dtype
    (TTQ(), "float64"),
]


def numbers(rule: ElementQuantizer, dtype: np.dtype) -> np.ndarray:
    """Many magnitudes of both signs, powers of two and what lies around them, both zeros, and infinities."""
    random = np.random.default_rng(3)
    x = random.standard_normal(5000) * np.exp2(random.integers(-140, 4, 5000))
    near = np.concatenate([np.exp2(np.arange(-149.0, 5)) * m for m in (1, 1.5, np.sqrt(2))]).astype(dtype)
    around = [np.nextafter(near, dtype.type(end)) for end in (-np.inf, np.inf)]
    return np.concatenate([x.astype(dtype), near, -near, *around, np.asarray([0.0, -0.0, np.inf, -np.inf], dtype)])


@pytest.mark.sample(quick=1, suite=5)
@pytest.mark.parametrize(("rule", "kind"), RULES, ids=str)
def test_kernels_give_the_codes_of_the_body(rule: ElementQuantizer, kind: str) -> None:
    finite = numbers(rule, np.dtype(kind))
    for x in (finite[:-2], finite, np.append(finite, np.asarray(np.nan, finite.dtype))):
        for count in (1, 3):
            found = row_kernels.run(rule, {"x": x}, count)
            assert found is not None
            assert found["codes"].dtype == rule.quantize(x).codes.dtype
            assert np.array_equal(found["codes"], rule.quantize(x).codes)


#: rules that are handed more than the array, or another one than that
PREPARED: list[tuple[ElementQuantizer, str]] = [
    (INQ(), "float32"),
    (OneBit(), "float32"),
    (WAGEError(), "float32"),
    (WAGEGradient(lr=3.0), "float32"),
    (DoReFaGradient(), "float32"),
    (NaturalCompression(), "float64"),
    (TernGrad(clip=2.5), "float32"),
    (INQ(bits=7), "float64"),
    (AdaRound(scale=0.3), "float32"),
]


def parts(rule: ElementQuantizer, x: np.ndarray, least: int) -> dict[str, tuple[str, bytes]] | str:
    """What is kept of an array, where kernels are worth their while from a number of elements on; or why it is refused."""
    with mock.patch("refgrad.backends.WORTH_COMPILING", least):
        try:
            kept = rule.quantize(x).arrays
        except ArgumentError as error:
            return str(error)
    return {n: (str(a.dtype), np.where(a == a, a, np.array(-1).astype(a.dtype)).tobytes()) for n, a in kept.items()}


@pytest.mark.slow
@pytest.mark.sample(quick=2, suite=4)
@pytest.mark.parametrize(("rule", "kind"), PREPARED, ids=str)
def test_kernels_give_the_parts_of_the_body(rule: ElementQuantizer, kind: str) -> None:
    finite = numbers(rule, np.dtype(kind))[:-2]
    poisoned = finite.copy()
    poisoned[[4, 70]] = np.inf, np.nan
    for x in (finite[:5400].reshape(54, 100), finite, finite[:-1] * 0, poisoned[:5400].reshape(54, 100)):
        assert parts(rule, x, 0) == parts(rule, x, sys.maxsize)


def test_every_rule_of_elements_is_tried() -> None:
    named = {name for name, cls in rules().items() if issubclass(cls, ElementQuantizer)}
    assert named == {type(rule).__name__ for rule, _ in RULES + PREPARED}


@pytest.mark.parametrize("above", [True, False])
def test_bounds_of_both_signs_rank_as_magnitudes_do(above: bool) -> None:
    magnitudes = [2.0**-3, 1 / 3, np.sqrt(2), 5.0]
    record = Ranks(signed(magnitudes, above), -4)
    exact = np.asarray(magnitudes)
    x = np.concatenate([exact, np.nextafter(exact, 0), np.nextafter(exact, 9), [0.0, 0.2, 100.0]])
    for dtype in (np.float32, np.float64):
        size = x.astype(dtype)
        wide = size.astype(np.float64)[:, None]
        beyond = (wide > exact) if above else (wide >= exact)
        assert np.array_equal(record(size), beyond.sum(axis=1))
        assert np.array_equal(record(-size), -beyond.sum(axis=1))
