"""Steps in place by size, refgrad beside torch's fused form: ``pytest tests/benchmarks --benchmark-only``."""

from __future__ import annotations

import importlib.util
from typing import Any

import pytest

from tests.benchmarks.side_by_side import SIZES, ours, rules, torch_fused, triad

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
UP_TO = [size for size in SIZES if size <= 10_000_000]


@pytest.mark.parametrize("size", UP_TO)
@pytest.mark.parametrize("name", list(rules()))
def test_refgrad(benchmark: Any, name: str, size: int) -> None:
    benchmark.group = f"{name} {size:.0e}"
    benchmark(ours(rules()[name], size))


@needs_torch
@pytest.mark.parametrize("size", UP_TO)
@pytest.mark.parametrize("name", ["AdamW", "SGD"])
def test_torch_fused(benchmark: Any, name: str, size: int) -> None:
    benchmark.group = f"{name} {size:.0e}"
    benchmark(torch_fused(name, size))


@pytest.mark.parametrize("size", UP_TO)
def test_triad(benchmark: Any, size: int) -> None:
    benchmark.group = f"triad {size:.0e}"
    benchmark(triad(size))
