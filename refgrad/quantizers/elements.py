"""Quantizers whose codes depend on each number by itself, or on numbers of the tensor too: one body, on arrays and in kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from refgrad.arithmetic.steps import WholeCodes
from refgrad.backends import worth_compiling
from refgrad.quantizers.decoding import Decoded, Reads


class ElementQuantizer(Decoded):
    """A quantizer with a body from ``x`` to ``codes``, whole numbers in the working dtype; NaN is the code of what has none.

    A subclass writes `body`, says how codes are kept, and writes `restore`. Both are run by a kernel where an array is long
    enough to be worth one, with the bits of the body.
    """

    device_module = "refgrad.quantizers.elements_on_device"
    #: the dtype that codes are computed in; None where the array says it
    encodes_in: ClassVar[np.dtype | None] = None
    #: True if an array with NaN or an infinity is refused
    finite_alone: ClassVar[bool] = False

    @property
    def kept_codes(self) -> WholeCodes:
        """How codes are kept."""
        raise NotImplementedError

    @property
    def read_codes(self) -> Reads | None:
        """As they are kept."""
        return self.kept_codes

    @property
    def prepares(self) -> bool:
        """True if the body is handed other numbers than those of the array."""
        return False

    def body_parts(self) -> tuple[str, ...]:
        """What the body gives: codes, and numbers of the tensor or of each row, if there are such."""
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
        return self.run({"x": x})["codes"]

    def run(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """What the body gives, by a kernel where the array is long enough to be worth one.

        Args:
            given: what it takes, all of one working dtype, by name.

        Returns:
            Codes as they are kept, and numbers of the tensor or of each row, broadcasting against ``x``.
        """
        x = given["x"]
        if worth_compiling(x.size) and x.dtype.itemsize >= 4:
            from refgrad.backends import row_kernels

            found = row_kernels.run(self, {name: np.ascontiguousarray(array) for name, array in given.items()})
            if found is not None:
                return found
        results = self.body(given)
        values, kept = np.asarray(results["codes"]), self.kept_codes
        codes = values.astype(kept.kind)
        marked = kept.nan or kept.kind == "uint8"
        if marked and values.size and math.isnan(values.item(values.argmax())):  # the largest is NaN where there is one
            codes[np.isnan(values)] = kept.nan
        return {**results, "codes": codes}
