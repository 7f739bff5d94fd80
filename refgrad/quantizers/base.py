"""What every quantizer can do: turn an array into codes and scales, and those back into an array."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from refgrad.arithmetic.dtypes import as_array, working
from refgrad.errors import ArgumentError, nearest
from refgrad.rule import Rule

#: below this many elements a kernel is not worth the wait for the compiler
WORTH_COMPILING = 1 << 16


@dataclass(frozen=True, eq=False)
class Quantized:
    """What a quantizer made of an array.

    ``arrays`` has a rule's `Quantizer.parts` by name (``codes``, ``scale``, ``absmax``, ``zero_point``, ...); ``shape``
    and ``dtype`` are those of the array that was quantized.
    """

    arrays: Mapping[str, np.ndarray]
    shape: tuple[int, ...]
    dtype: np.dtype

    def __getitem__(self, part: str) -> np.ndarray:
        return self.arrays[part]

    @property
    def codes(self) -> np.ndarray:
        """The codes, shaped as the rule says."""
        return self.arrays["codes"]


class Quantizer(Rule):
    """A rule that represents an array by few bits an element.

    A subclass writes `encode` and `decode` on contiguous arrays of the working dtype (float64 for float64, else float32),
    and names what `encode` returns in `parts`, in the order in which they are computed: a candidate's parts are judged
    one by one, each given those before it.
    """

    kind = "quantizer"
    primary = "x"
    parts: ClassVar[tuple[str, ...]] = ("codes",)

    @property
    def nonnegative(self) -> bool:
        """Whether it is meant for arrays without negative numbers."""
        return False

    def tied(self, random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray | None:
        """Numbers on which the rule's ties decide, under scales by which nothing is rounded; None where it has none."""
        return None

    def takes(self) -> dict[str, str]:
        """``x``, the array that is quantized."""
        return {"x": "element"}

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The parts of an array of the working dtype, by name; ``x`` is not changed."""
        raise NotImplementedError

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """The array of a shape that parts stand for, in float32 or float64."""
        raise NotImplementedError

    def quantize(self, x: np.ndarray) -> Quantized:
        """Codes and scales of an array.

        Args:
            x: an array of any float dtype and shape; read-only and non-contiguous arrays are read as they are.

        Raises:
            ArgumentError: ``x`` is not an array of a float dtype, or has a shape that the rule cannot cut into groups.
        """
        x = as_array(x, "x")
        with np.errstate(all="ignore"):
            arrays = self.encode(np.ascontiguousarray(x, dtype=working(x.dtype)).reshape(x.shape))
        return Quantized(arrays, x.shape, x.dtype)

    def dequantize(self, quantized: Quantized) -> np.ndarray:
        """The array that codes and scales stand for, rounded once to the dtype of the array that they were made from.

        Raises:
            ArgumentError: a part is missing, or has codes that the rule does not know.
        """
        for part in self.parts:
            if part not in quantized.arrays:
                legal = ", ".join(self.parts)
                hint = nearest(part, quantized.arrays)
                raise ArgumentError(
                    f"quantized has no {part!r}{hint}; legal: the parts of {type(self).__name__}: {legal}"
                )
        with np.errstate(all="ignore"):
            values = self.decode(quantized.arrays, quantized.shape)
            return values.reshape(quantized.shape).astype(quantized.dtype, copy=False)

    def round_trip(self, x: np.ndarray) -> np.ndarray:
        """`dequantize` of `quantize`: the array as the quantizer can represent it."""
        return self.dequantize(self.quantize(x))
