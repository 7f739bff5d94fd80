"""GGUF block formats beside the gguf package, as ratios in one run: ``python -m tests.benchmarks.gguf_blocks``."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.quantizers import gguf
from tests.benchmarks.side_by_side import interleaved

SIZE = (1024, 1024)
FORMATS = [name for name in gguf.__all__ if name != "BlockFormat"]
#: what the gguf package has a quantizer for
QUANTIZED_BY_BOTH = ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0", "TQ1_0", "TQ2_0")

Call = Callable[[], Any]


def array() -> np.ndarray:
    """What is quantized."""
    return np.random.default_rng(0).standard_normal(SIZE, dtype=np.float32)


def quantizing(name: str) -> Call:
    """From numbers to stored bytes."""
    rule, x = getattr(gguf, name)(), array()
    return lambda: rule.pack(rule.quantize(x))


def dequantizing(name: str) -> Call:
    """From stored bytes to numbers."""
    rule, stored = getattr(gguf, name)(), quantizing(name)()
    return lambda: rule.dequantize(rule.unpack(stored))


def package(name: str) -> tuple[Call, Call]:
    """The same two by the gguf package."""
    from gguf import GGMLQuantizationType, quants

    kind, x, stored = GGMLQuantizationType[name], array(), quantizing(name)()
    return lambda: quants.quantize(x, kind), lambda: quants.dequantize(stored, kind)


def main() -> None:
    """Print the table."""
    count = SIZE[0] * SIZE[1]
    print("| format | quantize, ns an element | gguf / refgrad | dequantize, ns an element | gguf / refgrad |")
    print("|---|---|---|---|---|")
    for name in FORMATS:
        quantize, dequantize = package(name)
        mine, other = interleaved(dequantizing(name), dequantize, 1.0)
        back = f"{mine / count * 1e9:.1f} | {other / mine:.1f}"
        if name in QUANTIZED_BY_BOTH:
            mine, other = interleaved(quantizing(name), quantize, 1.0)
        else:
            mine, other = interleaved(quantizing(name), lambda: None, 1.0)[0], 0.0
        ratio = f"{other / mine:.1f}" if other else "it has none"
        print(f"| {name} | {mine / count * 1e9:.1f} | {ratio} | {back} |", flush=True)
    print(f"{os.cpu_count()} CPUs, one thread each")


if __name__ == "__main__":
    main()
