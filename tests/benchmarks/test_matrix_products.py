"""Products of matrices along the tree, beside BLAS: ``pytest tests/benchmarks --benchmark-only``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.matrix_products import SIZES, products


@pytest.mark.parametrize("size", SIZES[:-1])
@pytest.mark.parametrize("way", list(products(1)))
def test_product(benchmark: Any, way: str, size: int) -> None:
    benchmark.group = f"product {size}"
    benchmark(products(size)[way])
