"""Large outputs that are the rule's own to the bit add up to what they do element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.oracle.acceptance import own_numbers as subject
from refgrad.oracle.acceptance import quantized_parts
from refgrad.oracle.acceptance.judgement import OUTSIDE, admitted, met
from refgrad.oracle.acceptance.own_numbers import LARGE, OwnNumbers, own_numbers
from refgrad.oracle.acceptance.policy import Policy
from refgrad.oracle.acceptance.quantized_parts import judge_parts
from refgrad.oracle.acceptance.screened_outputs import summary
from refgrad.quantizers import Cast

FLOAT32 = np.dtype(np.float32)


def values(special: bool) -> np.ndarray:
    """Numbers of every exponent, subnormal ones too; and NaN and infinities."""
    random = np.random.default_rng(0)
    x = (random.standard_normal(LARGE + 77) * 2.0 ** random.integers(-140, 120, LARGE + 77)).astype(np.float32)
    if special:
        x[5:9] = np.nan, np.inf, -np.inf, -0.0
    return x


def seen_by(rule: Cast, x: np.ndarray) -> dict[str, np.ndarray]:
    kept = rule.quantize(x)
    return {**kept.arrays, "y": rule.dequantize(kept)}


def both(rule: Cast, x: np.ndarray, seen: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The answers with a look at bits, and without; both add up to the same, and have the same arrays."""
    found = judge_parts(rule, {"x": x}, seen, Policy())
    with monkeypatch.context() as without:
        without.setattr(quantized_parts, "own_numbers", lambda values, truth: None)
        want = judge_parts(rule, {"x": x}, seen, Policy())
    for name, (judged, numbers) in found.items():
        known = want[name][0]
        assert summary(judged, numbers, FLOAT32) == summary(known, numbers, FLOAT32)
        assert summary(judged, numbers) == summary(known, numbers)
        for one, other in zip(judged.parts()[:4], known.parts()[:4], strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(judged.at((6,)), known.at((6,)))
    return found


@pytest.mark.parametrize("special", [False, True])
@pytest.mark.parametrize("name", ["bfloat16", "float16", "float8_e4m3fn", "float8_e5m2", "float4_e2m1fn"])
def test_the_same_as_element_by_element(name: str, special: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if name == "float4_e2m1fn" and special:
        return  # it has no NaN
    rule, x = Cast(format=name), values(special)
    found = both(rule, x, seen_by(rule, x), monkeypatch)
    assert all(isinstance(judged, OwnNumbers) for judged, _ in found.values())


def test_one_wrong_code_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    rule, x = Cast(format="bfloat16"), values(False)
    seen = seen_by(rule, x)
    seen["codes"] = seen["codes"].copy()
    seen["codes"][LARGE + 70] ^= 1
    found = both(rule, x, seen, monkeypatch)
    assert np.flatnonzero(found["codes"][0].status == OUTSIDE).tolist() == [LARGE + 70]


def test_what_has_the_bits() -> None:
    x = values(False)
    assert own_numbers(x[:100], x[:100]) is None
    assert own_numbers(x, x.astype(np.float64)) is None
    assert own_numbers(x[::2].repeat(2), x[::-1]) is None
    other = x.copy()
    other[-1] = np.nextafter(other[-1], np.float32(0))
    assert own_numbers(other, x) is None
    assert own_numbers(x, x.copy()) is not None


def test_other_judgements_of_it() -> None:
    judged, x = OwnNumbers(values(True)), values(True)
    for changed in (admitted(judged), met(judged, x)):
        assert changed.status.sum() == 0
        np.testing.assert_array_equal(changed.truth, judged.truth)


def test_a_fault_of_the_counts_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    rule, x = Cast(format="float8_e4m3fn"), values(False)
    monkeypatch.setattr(subject, "_BIAS", 100)
    with pytest.raises(AssertionError):
        both(rule, x, seen_by(rule, x), monkeypatch)
