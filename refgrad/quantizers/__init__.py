"""Every quantizer, by name."""

from refgrad.quantizers.base import Quantized, Quantizer
from refgrad.quantizers.blockwise import AF4, FP4, NF4, Blockwise
from refgrad.quantizers.cast import Cast

__all__ = ["AF4", "FP4", "NF4", "Blockwise", "Cast", "Quantized", "Quantizer"]
