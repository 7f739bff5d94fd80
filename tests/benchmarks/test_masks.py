"""2:4 masks, refgrad beside torch: ``pytest tests/benchmarks --benchmark-only``."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.masks import compressed, jax_top_k, ours, torch_compressed, torch_top_k

needs_torch = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
SIZE = 1 << 22


def test_refgrad_mask(benchmark: Any) -> None:
    benchmark.group = "2:4 mask"
    benchmark(ours(SIZE))


def test_the_mask_of_jax_is_the_same() -> None:
    pytest.importorskip("jax")
    assert np.array_equal(np.asarray(jax_top_k(1 << 14)()), np.asarray(ours(1 << 14)()))


@needs_torch
def test_torch_mask(benchmark: Any) -> None:
    benchmark.group = "2:4 mask"
    benchmark(torch_top_k(SIZE))


def test_refgrad_compressed(benchmark: Any) -> None:
    benchmark.group = "2:4 compressed"
    benchmark(compressed(SIZE))


@needs_torch
def test_torch_compressed(benchmark: Any) -> None:
    benchmark.group = "2:4 compressed"
    benchmark(torch_compressed(SIZE))


@needs_torch
def test_both_sides_make_the_same_mask() -> None:
    assert np.array_equal(ours(1 << 16)(), torch_top_k(1 << 16)().numpy())
