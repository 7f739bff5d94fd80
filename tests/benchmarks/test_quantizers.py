"""Quantize and dequantize at 4M elements, for `pytest --benchmark-only`; the table: `python -m tests.benchmarks.quantizers`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from refgrad.quantizers import MX, NF4, Affine, Blockwise, Cast, Quantizer
from tests.benchmarks.quantizers import SIZE

RULES = [Blockwise(block_size=256), NF4(), Cast(format="bfloat16"), Cast(format="float8_e4m3fn"), Affine(), MX()]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("way", ["quantize", "dequantize"])
def test_both_ways(benchmark: Any, rule: Quantizer, way: str) -> None:
    x = np.random.default_rng(0).standard_normal((SIZE // 4096, 4096)).astype(np.float32)
    kept = rule.quantize(x)
    benchmark(rule.quantize if way == "quantize" else rule.dequantize, x if way == "quantize" else kept)
