"""Every quantizer, by name."""

from refgrad.quantizers.base import Quantized, Quantizer
from refgrad.quantizers.gguf import (
    IQ4_NL,
    Q2_K,
    Q3_K,
    Q4_0,
    Q4_1,
    Q4_K,
    Q5_0,
    Q5_1,
    Q5_K,
    Q6_K,
    Q8_0,
    TQ1_0,
    TQ2_0,
)

__all__ = [
    "IQ4_NL",
    "Q2_K",
    "Q3_K",
    "Q4_0",
    "Q4_1",
    "Q4_K",
    "Q5_0",
    "Q5_1",
    "Q5_K",
    "Q6_K",
    "Q8_0",
    "TQ1_0",
    "TQ2_0",
    "Quantized",
    "Quantizer",
]
