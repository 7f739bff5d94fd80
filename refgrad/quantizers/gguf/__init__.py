"""The block formats of GGUF files, to the byte of their storage."""

from refgrad.quantizers.gguf.blocks import BlockFormat
from refgrad.quantizers.gguf.simple import Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, TQ1_0, TQ2_0
from refgrad.quantizers.gguf.super_blocks import IQ4_NL, Q2_K, Q3_K, Q4_K, Q5_K, Q6_K

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
    "BlockFormat",
]
