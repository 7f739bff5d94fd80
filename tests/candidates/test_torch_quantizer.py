"""torch's functions and observers as quantizers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import refgrad  # noqa: E402
from refgrad.candidates.quantizer import resolve  # noqa: E402
from refgrad.errors import CandidateError  # noqa: E402
from refgrad.quantizers import NF4, Affine  # noqa: E402

BEFORE = Affine(zero_point_added="before")
CHANNELS = Affine(granularity="channel", axis=1, bits=4, normalize="reciprocal")
HALF = {"divisor": "half", "smallest_scale": 2.0**-23, "zero_point_added": "before"}


@pytest.mark.parametrize(
    ("target", "rule"),
    [
        ("torch:quantize_per_tensor", BEFORE),
        ("torch:quantize_per_channel", Affine(granularity="channel", signed=False, zero_point_added="before")),
        ("torch:fake_quantize_per_tensor_affine", Affine(bits=3, normalize="reciprocal")),
        ("torch:fake_quantize_per_channel_affine", CHANNELS),
        ("torch.ao.quantization:MinMaxObserver", Affine(symmetric=True, **HALF)),
        ("torch.ao.quantization:PerChannelMinMaxObserver", Affine(granularity="channel", symmetric=True, **HALF)),
    ],
)
def test_the_parts_are_the_rules(target: str, rule: Affine) -> None:
    x = np.random.default_rng(0).standard_normal((5, 7)).astype(np.float32)
    candidate = resolve(target, {})
    assert candidate.quantize is not None
    found, own = candidate.quantize(rule, x), rule.quantize(x)
    assert found["scale"] == pytest.approx(own["scale"], rel=2.0**-22)
    assert np.array_equal(found["zero_point"], own["zero_point"])
    assert {part: found[part].dtype for part in own.arrays} == {part: a.dtype for part, a in own.arrays.items()}
    # the largest number is half way between two codes under divisor=half, and the last bit of its own scale decides
    decided = np.abs(own["codes"].astype(int)) < (127 if rule.divisor == "half" else 256)
    assert decided.sum() >= x.size - x.shape[0]
    assert np.array_equal(found["codes"][decided], own["codes"][decided])
    assert found["y"][decided] == pytest.approx(rule.dequantize(own)[decided], rel=2.0**-22)
    assert found["y"].shape == x.shape


def test_the_name_says_whose_the_scale_is() -> None:
    assert resolve("torch:quantize_per_tensor", {}).name.endswith("with the rule's scale and zero point")
    assert resolve("torch.ao.quantization:MinMaxObserver", {}).name == "torch.ao.quantization:MinMaxObserver"


@pytest.mark.slow
def test_a_verdict_names_when_the_zero_point_is_added() -> None:
    assert refgrad.verify(torch.quantize_per_tensor, BEFORE, shrink=False).conforms
    verdict = refgrad.verify(torch.quantize_per_tensor, Affine(), shrink=False)
    assert verdict.explanation is not None
    assert verdict.explanation.name == "zero_point_added=before"


@pytest.mark.parametrize(
    ("target", "rule", "options", "message"),
    [
        ("torch:quantize_per_tensor", Affine(granularity="channel"), {}, "takes one scale a tensor"),
        ("torch:quantize_per_channel", Affine(), {}, "takes one scale a channel"),
        ("torch:quantize_per_tensor", NF4(), {}, "legal: a rule Affine"),
        ("torch:quantize_per_tensor", Affine(bits=4), {}, "bits=4; legal: bits=8"),
        ("torch:quantize_per_tensor", Affine(), {"scale": 1}, "takes no option 'scale'"),
        ("torch.ao.quantization:MinMaxObserver", Affine(), {"epss": 1}, "did you mean 'eps'"),
    ],
)
def test_what_it_cannot_be_is_said(target: str, rule: Any, options: dict[str, Any], message: str) -> None:
    def asked() -> None:
        made = resolve(target, options).quantize
        assert made is not None
        made(rule, np.ones((2, 2), np.float32))

    with pytest.raises(CandidateError, match=message):
        asked()
