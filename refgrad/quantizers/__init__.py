"""Every quantizer, by name."""

from refgrad.quantizers.base import Quantized, Quantizer

__all__ = ["Quantized", "Quantizer"]
