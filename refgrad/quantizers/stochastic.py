"""Quantizers that round by chance: up where a uniform number is below a probability.

The uniforms in [0, 1), one an element, are an argument; without them they are made from a seed. Each is compared with a
probability in float64, so that the outcomes and their probabilities are a finite, exact list.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np

from refgrad.arithmetic.arrays import as_array
from refgrad.arithmetic.dtypes import working
from refgrad.axes import ELEMENT, Axes
from refgrad.errors import ArgumentError, bad_argument
from refgrad.quantizers.base import Quantized, Quantizer
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.rule import Whole


class Random(Quantizer):
    """A quantizer that rounds by chance: up where a uniform number is below the probability."""

    on_host: ClassVar[str] = "its body compares float64 uniforms in NumPy"

    seed: Annotated[int, Whole(0, 2**32 - 1)] = 0

    def draw(self, x: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """The parts, given one float64 uniform an element; a subclass writes it."""
        raise NotImplementedError

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The parts, with uniforms that are multiples of 2**-32 from Philox4x32-10 with key ``(seed, 0)``."""
        return self.draw(x, self.uniforms(x.shape))

    def uniforms(self, shape: tuple[int, ...]) -> np.ndarray:
        """The uniforms that the seed gives, in float64."""
        from refgrad.backends.philox_kernel import random_words

        return random_words(math.prod(shape), self.seed).astype(np.float64).reshape(shape) * 2.0**-32

    def besides(self, x: np.ndarray, random: np.random.Generator) -> dict[str, np.ndarray]:
        """Those uniforms."""
        return {"uniform": self.uniforms(x.shape)}

    def quantize(self, x: np.ndarray, uniform: np.ndarray | None = None) -> Quantized:
        """As `Quantizer.quantize`, with the uniforms to be used.

        Raises:
            ArgumentError: uniforms that are not in [0, 1), or not one an element.
        """
        if uniform is None:
            return super().quantize(x)
        x, uniform = as_array(x, "x"), np.asarray(uniform, np.float64)
        if uniform.shape != x.shape:
            raise bad_argument("uniform.shape", uniform.shape, f"{x.shape}, the shape of x")
        if not ((uniform >= 0) & (uniform < 1)).all():
            raise ArgumentError("uniform holds numbers outside [0, 1); legal: 0 <= uniform < 1")
        with np.errstate(all="ignore"):
            return Quantized(self.draw(x.astype(working(x.dtype)), uniform), x.shape, x.dtype)


class Drawn(Random, ElementQuantizer):
    """A quantizer that rounds by chance and whose body, in float64, takes uniforms beside the array.

    A subclass writes `body`, from ``x`` and ``uniform`` to codes and numbers of the tensor or of each row.
    """

    encodes_in = np.dtype(np.float64)

    device_module = "refgrad.quantizers.elements_on_device"

    def takes(self) -> dict[str, Axes]:
        """The array, and uniforms."""
        return {"x": ELEMENT, "uniform": ELEMENT}

    def drawn(self, x: np.ndarray, uniform: np.ndarray) -> dict[str, np.ndarray]:
        """The body's results on arrays of float64."""
        return self.run({"x": x.astype(np.float64, copy=False), "uniform": uniform})
