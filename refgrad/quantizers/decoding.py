"""Quantizers whose values are a body on their parts: one expression, run on arrays as it stands, or by the kernel of its graph.

The body is written for codes seen in two axes, as rows, and for other parts that are one number a row, a column or the array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.arithmetic.rounding import gathered
from refgrad.arithmetic.steps import FormatCodes, TableCodes, WholeCodes
from refgrad.axes import Axes, axes_shape
from refgrad.backends import worth_compiling
from refgrad.derived import derived
from refgrad.quantizers.base import Quantizer
from refgrad.quantizers.parts import Part, numbers, whole

#: the dtypes that kernels work in
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))
#: how codes are read: whole numbers, numbers of a small format, or places in a table
Reads = WholeCodes | FormatCodes | TableCodes


@derived
def _reads(rule: Decoded) -> Reads | None:
    return rule.read_codes


class Decoded(Quantizer):
    """A quantizer whose values are `restore` of its parts, in the dtype of its scales, or in ``decodes_in`` where it has none.

    A subclass writes `restore` and `read_codes`; and `part_axes` and `opened`, where `restore` takes more than codes.
    """

    #: the dtype that values are computed in where scales do not say it
    decodes_in: ClassVar[np.dtype] = np.dtype(np.float64)
    #: True where values are computed in the dtype of scales, if there are any
    scales_say: ClassVar[bool] = True
    #: True if `restore` rounds nothing where codes are all that it takes, so that the dtype that it works in does not matter
    exact: ClassVar[bool] = False

    @property
    def read_codes(self) -> Reads | None:
        """What codes stand for, before `restore`; None where no kernel reads them."""
        return None

    @property
    def kept_scales(self) -> dict[str, WholeCodes]:
        """How parts are stored, besides codes, that are no floats."""
        return {}

    def part_axes(self) -> Mapping[str, Axes]:
        """What `restore` takes besides ``codes``, with its axes."""
        return {}

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """Codes shaped like the array; the rest as `part_axes` says, as vectors."""
        seen, found = self.seen(shape), {"codes": whole(shape)}
        for part, axes in self.part_axes().items():
            lengths = (math.prod(axes_shape(axes, seen)),)
            found[part] = whole(lengths) if part in self.kept_scales else numbers(part, lengths)
        return found

    def seen(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in which an array's rows and columns are those of the body.

        Args:
            shape: the shape of the array.
        """
        return shape or (1,)

    def opened(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """What `restore` takes, from the parts: codes as they are kept, and the rest broadcasting against them.

        Args:
            arrays: each of `parts` by name.
            shape: the shape of the array that was quantized.

        Returns:
            Codes in two axes, where something is one number a row or a column; the rest in one dtype.
        """
        return {"codes": arrays["codes"]}

    def closed(self, values: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The array whose rows and columns were seen as those of the body.

        Args:
            values: what `restore` gives.
            shape: the shape of the array.
        """
        return values if values.shape == shape else values.reshape(shape)

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """The values, from what codes stand for and the rest of `opened`, all of one working dtype; a subclass writes it."""
        raise NotImplementedError

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """`restore` run as it stands."""
        return self._decoded_in(None, arrays, shape)

    def _decoded_in(
        self, dtype: np.dtype | None, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]
    ) -> np.ndarray:
        parts = self.opened(arrays, shape)
        parts["codes"] = read(_reads(self), parts["codes"], self._works_in(parts) if dtype is None else dtype)
        return self.closed(self.restore(parts), shape)

    def decoded(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """As `Quantizer.decoded`: by a kernel where the array is long enough to be worth one."""
        codes = arrays["codes"]
        if worth_compiling(codes.size):
            values = self._by_kernel(arrays, shape, dtype)
            if values is not None:
                return values
        if self.exact and len(arrays) == 1 and dtype in FLOATS and codes.dtype.itemsize < 8:
            # the whole numbers are rounded once, to that dtype, as the values would be
            return self._decoded_in(dtype, arrays, shape)
        values = self.decode(arrays, shape)
        return values if values.dtype == dtype else values.astype(dtype)

    def _works_in(self, parts: Mapping[str, np.ndarray]) -> np.dtype:
        for name, array in parts.items():
            if name != "codes":
                return array.dtype
        return self.decodes_in

    def _by_kernel(
        self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...], dtype: np.dtype
    ) -> np.ndarray | None:
        """Values in a dtype; None for what kernels do not read: codes of another type, scales of a narrow dtype or of two."""
        known = self.read_codes
        if known is None or arrays["codes"].dtype != known.kind or self.scalars != "float64":
            return None
        parts = self.opened(arrays, shape)
        working = self._works_in(parts)
        if working not in FLOATS or any(array.dtype != working for name, array in parts.items() if name != "codes"):
            return None
        from refgrad.backends import row_kernels

        for name, array in parts.items():
            if not (array.flags.c_contiguous and array.flags.aligned):
                parts[name] = np.require(array, requirements=["C", "A"])
        if parts["codes"].ndim != 2:
            parts["codes"] = parts["codes"].reshape(1, -1)
        stored = dtype if dtype in FLOATS else working
        values = row_kernels.decoded(self, parts, known, working, stored)
        return self.closed(values, shape).astype(dtype, copy=False)


def read(record: Reads | None, codes: np.ndarray, dtype: Any) -> np.ndarray:
    """What codes stand for, as kernels read them.

    Args:
        record: how codes are read; None where they are whole numbers.
        codes: an array of an integer type.
        dtype: the working dtype, which has all those numbers.

    >>> read(TableCodes((0.0, 0.5, -1.0)), np.asarray([2, 0], np.uint8), np.float32).tolist()
    [-1.0, 0.0]
    """
    if record is None or isinstance(record, WholeCodes):
        values = codes.astype(dtype)
        return values if record is None or record.unit == 1 else values * values.dtype.type(record.unit)
    if isinstance(record, TableCodes):
        return gathered(record.array(dtype), codes if codes.dtype.kind in "iu" else codes.astype(np.int32))
    return gathered(MINIFLOATS[record.format].values, codes).astype(dtype, copy=False)
