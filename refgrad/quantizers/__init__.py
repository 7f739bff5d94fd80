"""Every quantizer, by name."""

from refgrad.quantizers.base import Quantized, Quantizer
from refgrad.quantizers.cast import Cast

__all__ = ["Cast", "Quantized", "Quantizer"]
