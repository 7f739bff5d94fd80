"""Departures of quantizers that no graph shows are named: what becomes of numbers before, and of codes after."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import refgrad
from refgrad.kinds.readings import READINGS, largest_below_top, smallest_normal
from refgrad.quantizers import MX, NF4, NVFP4, Affine, Cast, Quantizer
from refgrad.quantizers.gguf import Q4_0, Q8_0

E4M3 = Cast(overflow="saturate")


def before(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[Quantizer], Any]:
    """A candidate that changes the numbers first."""

    def made(rule: Quantizer) -> Any:
        def quantize(x: np.ndarray) -> dict[str, np.ndarray]:
            with np.errstate(all="ignore"):
                return dict(rule.quantize(change(x).astype(x.dtype)).arrays)

        return quantize

    return made


def after(change: Callable[[np.ndarray], np.ndarray], group: int) -> Callable[[Quantizer], Any]:
    """A candidate that changes the codes of each group along the last axis, or of the flat array where it says so."""

    def made(rule: Quantizer) -> Any:
        def quantize(x: np.ndarray) -> dict[str, np.ndarray]:
            parts = dict(rule.quantize(x).arrays)
            codes = parts["codes"]
            rows = codes.reshape(1, -1) if isinstance(rule, NF4) else codes.reshape(-1, codes.shape[-1])
            cut = [change(rows[:, i : i + group]) for i in range(0, rows.shape[-1], group)]
            return {**parts, "codes": np.concatenate(cut, axis=-1).reshape(codes.shape) if cut else codes}

        return quantize

    return made


def swapped(codes: np.ndarray) -> np.ndarray:
    order = np.arange(codes.shape[-1]) ^ 1
    return codes[:, np.where(order < codes.shape[-1], order, order - 1)]


def side_by_side(codes: np.ndarray) -> np.ndarray:
    half = (codes.shape[-1] + 1) // 2
    return codes[:, [i // 2 + half * (i % 2) for i in range(codes.shape[-1])]]


NAMED = [
    ("x through float16", E4M3, before(lambda x: x.astype(np.float16))),
    ("x through bfloat16", E4M3, before(lambda x: x.astype(ml_dtypes.bfloat16))),
    (
        "subnormal results are zero",
        E4M3,
        lambda rule: (
            lambda x: {
                "codes": np.where(
                    (rule.quantize(x).arrays["codes"] & 0x78) == 0,
                    rule.quantize(x).arrays["codes"] & 0x80,
                    rule.quantize(x).arrays["codes"],
                ).astype(np.uint8)
            }
        ),
    ),
    ("the top exponent is left out", Cast(), before(lambda x: np.clip(x, -240, 240))),
    ("codes reversed in a group", MX(block_size=16), after(lambda c: c[:, ::-1], 16)),
    ("codes reversed in a group", Q8_0(), after(lambda c: c[:, ::-1], 32)),
    ("codes reversed along the last axis", Affine(), after(lambda c: c[:, ::-1], 1 << 30)),
    ("neighbouring codes exchanged", NVFP4(), after(swapped, 16)),
    ("neighbouring codes exchanged", NF4(), after(swapped, 64)),
    ("halves of a group interleaved", Q4_0(), after(side_by_side, 32)),
    ("codes in the high halves of bytes", Q4_0(), after(lambda c: c << 4, 32)),
]
#: casts of which a number that is no number of the format becomes zero, or another number
TOLD = [
    ("x below 0.015625 becomes zero", Cast(format="bfloat16"), lambda x: np.where(np.abs(x) < 2.0**-6, 0, x)),
    ("x below 0.1 becomes zero of its sign", E4M3, lambda x: np.where(np.abs(x) < 0.1, np.copysign(0, x), x)),
    ("x from 100 on becomes 100", Cast(format="bfloat16"), lambda x: np.clip(x, -100, 100)),
    ("x from 256 on becomes 240", Cast(format="bfloat16"), lambda x: np.where(np.abs(x) >= 256, 240 * np.sign(x), x)),
]


@pytest.mark.sample(quick=2, suite=4)
@pytest.mark.parametrize(("name", "rule", "made"), NAMED, ids=[f"{r}-{n}" for n, r, _ in NAMED])
def test_a_departure_is_told(name: str, rule: Quantizer, made: Callable[[Quantizer], Any]) -> None:
    verdict = refgrad.verify(made(rule), rule, shrink=False)
    assert [(d.name, d.sure) for d in verdict.departures] == [(name, "fact")]


@pytest.mark.sample(quick=1)
@pytest.mark.parametrize(("name", "rule", "change"), TOLD, ids=[name for name, _, _ in TOLD])
def test_numbers_that_a_run_tells_are_told(name: str, rule: Quantizer, change: Callable[..., np.ndarray]) -> None:
    verdict = refgrad.verify(before(change)(rule), rule, shrink=False)
    assert [(d.name, d.sure) for d in verdict.departures] == [(name, "fact")]


@pytest.mark.slow
def test_a_number_is_told_beside_another_fault() -> None:
    """The top exponent is taken for an overflow, and halves go away from zero."""
    rule = Cast(overflow="saturate")
    away = before(lambda x: np.where(np.abs(x) >= 248, np.copysign(np.float32(448), x), x))
    verdict = refgrad.verify(away(rule.replace(rounding="nearest_away")), rule, shrink=False)
    assert verdict.explanation is not None
    assert "rounding=nearest_away" in verdict.explanation.name
    assert "becomes 448" in verdict.explanation.name


def test_each_departure_is_tried_on_some_rule() -> None:
    assert {name for name, _, _ in NAMED} | {"a group's codes in two halves"} == READINGS.keys()


def test_the_numbers_of_formats() -> None:
    """E4M3 has 2^-6 as its smallest normal number, and without its top exponent IEEE's largest, 240."""
    assert smallest_normal(E4M3.record) == 2.0**-6
    assert largest_below_top(E4M3.record) == 240.0


def test_what_is_undone_comes_back() -> None:
    codes = np.arange(14, dtype=np.uint8).reshape(2, 7)
    to, back = (READINGS[n].undone for n in ("halves of a group interleaved", "a group's codes in two halves"))
    assert to is not None
    assert back is not None
    np.testing.assert_array_equal(back(to(codes)), codes)
    np.testing.assert_array_equal(to(back(codes)), codes)
