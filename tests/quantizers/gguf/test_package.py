"""Beside the gguf package: its quantizers of the formats without a search, and all its dequantizers, byte for byte."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.quantizers import gguf as ours
from tests.quantizers.gguf.inputs import INPUTS

theirs = pytest.importorskip("gguf", reason="compares with the gguf package")
quants = pytest.importorskip("gguf.quants", reason="compares with the gguf package")

PLAIN = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0")
ALL = [name for name in ours.__all__ if name != "BlockFormat"]


def kind(name: str) -> Any:
    return theirs.GGMLQuantizationType[name]


def data() -> dict[str, np.ndarray]:
    random = np.random.default_rng(4)
    normal = random.standard_normal(25600)
    scales = np.repeat(10.0 ** random.integers(-6, 5, 800), 32)
    return {
        "normal": normal,
        "of all scales": normal * scales,
        "ties": random.integers(-32, 33, 25600) / 8,
        "subnormal": normal * 1e-40,
        "plus and minus": random.choice([-1.0, 1.0], 25600),
        "constant": np.full(512, -1.5),
        "zeros": np.zeros(512),
    }


@pytest.mark.parametrize("name", PLAIN)
def test_the_same_bytes(name: str) -> None:
    rule = getattr(ours, name)()
    for label, x in {**INPUTS, **data()}.items():
        x = np.abs(x) if label == "mixed" else x  # its zeros have both signs: the departure below
        x = x.astype(np.float32) + np.float32(0)
        with np.errstate(all="ignore"):
            wanted = quants.quantize(x, kind(name))
        assert np.array_equal(rule.pack(rule.quantize(x)), wanted.reshape(-1)), label


@pytest.mark.parametrize("name", ALL)
def test_the_same_numbers_from_any_bytes(name: str) -> None:
    rule = getattr(ours, name)()
    stored = np.random.default_rng(9).integers(0, 256, (50, 4 * rule.layout.size), dtype=np.uint8)
    with np.errstate(all="ignore"):
        wanted = quants.dequantize(stored, kind(name))
    got = rule.dequantize(rule.unpack(stored))
    assert np.all((got.view(np.uint32) == wanted.view(np.uint32)) | (np.isnan(got) & np.isnan(wanted)))


@pytest.mark.parametrize("name", ALL)
def test_the_sizes(name: str) -> None:
    rule = getattr(ours, name)()
    assert theirs.GGML_QUANT_SIZES[kind(name)] == (rule.block, rule.layout.size)


def test_departure_of_the_package_at_zeros_of_both_signs() -> None:
    """The C code takes the first of two zeros; the package takes what NumPy's minimum and argmax happen to give."""
    x = np.resize(np.float32([-0.0, 0.0, 0.5, 0.25]), 32)
    rule = ours.Q4_1()
    assert rule.quantize(x)["minimum"].view(np.uint16)[0] == 0x8000
    negative = -np.zeros(32, np.float32)
    assert ours.Q4_0().quantize(negative)["scale"].view(np.uint16)[0] == 0x8000
    assert quants.quantize(negative, kind("Q4_0"))[:2].tolist() == [0, 0]
