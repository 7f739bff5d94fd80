"""Quantizers whose codes depend on each number by itself, or on it and the largest of all: one body, on arrays and in kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic.steps import WholeCodes
from refgrad.quantizers.base import WORTH_COMPILING, Quantizer


class ElementQuantizer(Quantizer):
    """A quantizer with a body from ``x`` to ``codes``, whole numbers in the working dtype; NaN is the code of what has none.

    A subclass writes `body` and says how codes are kept. They are made by a kernel where an array is long enough to be worth
    one, with the bits of the body.
    """

    device_module = "refgrad.quantizers.elements_on_device"

    @property
    def kept_codes(self) -> WholeCodes:
        """How codes are kept."""
        raise NotImplementedError

    def body_parts(self) -> tuple[str, ...]:
        """Codes alone."""
        return ("codes",)

    def stored_outputs(self, dtype: Any) -> dict[str, WholeCodes]:
        """Codes, as they are kept."""
        return {"codes": self.kept_codes}

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """Codes alone."""
        return {"codes": self.codes_of(x)}

    def codes_of(self, x: np.ndarray) -> np.ndarray:
        """The codes of an array of the working dtype; as in `quantize`, NumPy's warnings of NaN are to be ignored.

        Args:
            x: the array.
        """
        if x.size >= WORTH_COMPILING and x.dtype.itemsize >= 4:
            from refgrad.backends import row_kernels

            found = row_kernels.run(self, {"x": np.ascontiguousarray(x)})
            if found is not None:
                return found["codes"]
        values, kept = np.asarray(self.body({"x": x})["codes"]), self.kept_codes
        codes = np.empty(x.shape, kept.kind)
        codes[...] = values
        if kept.nan or kept.kind == "uint8":
            codes[np.isnan(values)] = kept.nan
        return codes
