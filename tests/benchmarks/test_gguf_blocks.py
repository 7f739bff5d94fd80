"""GGUF block formats, refgrad beside the gguf package: ``pytest tests/benchmarks --benchmark-only``."""

from __future__ import annotations

from typing import Any

import pytest

from tests.benchmarks.gguf_blocks import FORMATS, QUANTIZED_BY_BOTH, dequantizing, package, quantizing


@pytest.mark.parametrize("name", FORMATS)
def test_quantize(benchmark: Any, name: str) -> None:
    benchmark.group = f"{name} quantize"
    benchmark(quantizing(name))


@pytest.mark.parametrize("name", FORMATS)
def test_dequantize(benchmark: Any, name: str) -> None:
    benchmark.group = f"{name} dequantize"
    benchmark(dequantizing(name))


@pytest.mark.parametrize("name", QUANTIZED_BY_BOTH)
def test_quantize_by_the_package(benchmark: Any, name: str) -> None:
    pytest.importorskip("gguf", reason="times the gguf package")
    benchmark.group = f"{name} quantize"
    benchmark(package(name)[0])


@pytest.mark.parametrize("name", FORMATS)
def test_dequantize_by_the_package(benchmark: Any, name: str) -> None:
    pytest.importorskip("gguf", reason="times the gguf package")
    benchmark.group = f"{name} dequantize"
    benchmark(package(name)[1])
