"""Faults of formats that are followed to the bit: each is told of a program that has it, and of no other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refgrad
from refgrad.kinds.format_faults import FormatFault, format_faults
from refgrad.quantizers import MX, Quantizer
from refgrad.quantizers.gguf import Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, TQ2_0

RULES: tuple[Quantizer, ...] = (Q4_0(), Q4_1(), Q5_0(), Q5_1(), Q8_0(), TQ2_0(), MX())


def numbers(rule: Quantizer) -> np.ndarray:
    x = np.random.default_rng(7).standard_normal((16, 256)).astype(np.float32)
    x[0], x[1, 3] = 0, np.nan
    x[2, :32] = np.arange(32, dtype=np.float32) / 2 - 7.5
    x[2, 0] = 127
    return x


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_what_has_a_fault_is_right_with_it_undone_and_what_is_right_is_not(rule: Quantizer) -> None:
    x = numbers(rule)
    right = rule.quantize(x).arrays
    for fault in format_faults(rule):
        wrong = fault.parts(x)
        for name, part in fault.exchanged(rule, x, wrong).items():
            assert np.array_equal(part, right[name], equal_nan=part.dtype.kind == "f"), (fault.name, name)
        turned = fault.exchanged(rule, x, right)
        differs = any(not np.array_equal(turned[n], right[n], equal_nan=turned[n].dtype.kind == "f") for n in right)
        assert differs == any(
            not np.array_equal(wrong[n], right[n], equal_nan=turned[n].dtype.kind == "f") for n in right
        )


def fault_of(rule: Quantizer, name: str) -> FormatFault:
    return next(fault for fault in format_faults(rule) if fault.name == name)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("rule", "name"),
    [
        (Q8_0(), "levels=126"),
        (Q8_0(), "halves to even"),
        (Q8_0(), "halves towards zero"),
        (Q8_0(), "negative codes cut"),
        (Q4_0(), "codes up to 14"),
        (Q5_1(), "codes cut"),
        (MX(), "the largest scale for NaN"),
        (MX(), "scales' codes one less"),
    ],
    ids=str,
)
def test_a_fault_of_a_format_is_named(rule: Quantizer, name: str) -> None:
    fault: Any = fault_of(rule, name)

    def quantize(x: np.ndarray) -> dict[str, np.ndarray]:
        with np.errstate(all="ignore"):
            return dict(fault.parts(x))

    verdict = refgrad.verify(quantize, rule)
    assert not verdict.conforms
    assert any(each.name == name for each in verdict.departures), str(verdict)
