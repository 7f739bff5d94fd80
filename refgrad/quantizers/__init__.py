"""Every quantizer, by name."""

from refgrad.quantizers.affine import Affine
from refgrad.quantizers.base import Quantized, Quantizer
from refgrad.quantizers.blockwise import AF4, FP4, NF4, Blockwise
from refgrad.quantizers.cast import Cast
from refgrad.quantizers.microscaling import MX, NVFP4

__all__ = ["AF4", "FP4", "MX", "NF4", "NVFP4", "Affine", "Blockwise", "Cast", "Quantized", "Quantizer"]
