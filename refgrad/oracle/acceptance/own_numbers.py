"""Large outputs that are the rule's own numbers to the bit: what they add up to is counted by their codes or exponents.

Each element is inside, of a set of one number, at no distance from it. Arrays of sets are made when they are asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np

from refgrad.arithmetic.dtypes import format_of
from refgrad.oracle.acceptance.chunks import CHUNK
from refgrad.oracle.acceptance.judgement import INSIDE, Judged
from refgrad.oracle.acceptance.ulp_errors import BINADES, ENDS, Binades, Errors

#: elements from which on an output is looked at in this way
LARGE = 4 * CHUNK
_FLOAT32 = np.dtype(np.float32)
#: bits of float32 below its exponent, the field that NaN and infinities have, and the bias
_SIGNIFICAND, _SPECIAL, _BIAS = 23, 255, 127


class OwnNumbers(Judged):
    """One output whose every element is the rule's own.

    Args:
        values: what was seen, which the rule gives too.
    """

    def __init__(self, values: np.ndarray) -> None:
        object.__setattr__(self, "values", values)

    values: np.ndarray

    @cached_property
    def status(self) -> np.ndarray:  # type: ignore[override]
        """`INSIDE`, of each element."""
        return np.full(self.values.shape, INSIDE)

    @cached_property
    def truth(self) -> np.ndarray:  # type: ignore[override]
        """Each element's number."""
        return self.values.astype(np.float64)

    @property
    def low(self) -> np.ndarray:  # type: ignore[override]
        """The least that is acceptable."""
        return self.truth

    @property
    def high(self) -> np.ndarray:  # type: ignore[override]
        """The largest that is acceptable."""
        return self.truth

    def at(self, index: tuple[int, ...]) -> tuple[float, float, float]:
        """Of one element the truth and the ends."""
        number = float(self.values[index])
        return number, number, number

    def can_count(self, unit: np.dtype) -> bool:
        """True if distances in units of a dtype are counted without arrays of sets."""
        codes = self.values.dtype.kind == "u" and self.values.dtype.itemsize <= 2
        return codes or (self.values.dtype == _FLOAT32 == unit)

    def errors(self, unit: np.dtype) -> Errors:
        """The distances, all of which are zero, by the magnitudes of numbers.

        Args:
            unit: the dtype whose units in the last place are counted, one that `can_count` admits.
        """
        if self.values.dtype == _FLOAT32:
            counts = self._counted(lambda part: (part.view(np.uint32) >> _SIGNIFICAND) & _SPECIAL, _SPECIAL + 1)
            fields = np.arange(_SPECIAL + 1)
            binades = np.clip(fields, 1, _SPECIAL - 1) - _BIAS
        else:
            counts = self._counted(lambda part: part, 1 << 8 * self.values.dtype.itemsize)
            facts = format_of(unit)
            sizes = np.clip(np.arange(counts.size, dtype=np.float64), facts.smallest_normal, facts.largest)
            binades = np.frexp(sizes)[1] - 1
        groups, magnitudes = binades // BINADES, {}
        for group in np.unique(groups).tolist():
            many = int(counts[groups == group].sum())
            if many:
                magnitudes[group * BINADES] = Binades(group * BINADES, many, 0, 0.0)
        return Errors((self.values.size, *(0,) * (len(ENDS) - 1)), magnitudes=magnitudes)

    def _counted(self, of: Callable[[np.ndarray], np.ndarray], length: int) -> np.ndarray:
        """How often each whole number is what ``of`` gives, chunk by chunk, so that nothing large is made."""
        flat, found = self.values.reshape(-1), np.zeros(length, np.int64)
        for start in range(0, flat.size, CHUNK):
            found += np.bincount(of(flat[start : start + CHUNK]).astype(np.intp), minlength=length)
        return found


def own_numbers(values: np.ndarray, truth: np.ndarray) -> OwnNumbers | None:
    """An output that was seen, if it is large and has the bits of the rule's.

    Args:
        values: what was seen.
        truth: what the rule gives.

    Returns:
        The output judged; None where it is small, or has other bits or another dtype.
    """
    if values.size < LARGE or values.dtype != truth.dtype or values.shape != truth.shape:
        return None
    if not (values.flags.c_contiguous and truth.flags.c_contiguous) or values.dtype.itemsize not in (1, 2, 4, 8):
        return None
    bits = np.dtype(f"u{values.dtype.itemsize}")
    ours, theirs = (array.reshape(-1).view(bits) for array in (values, truth))
    for start in range(0, ours.size, CHUNK):
        if not np.array_equal(ours[start : start + CHUNK], theirs[start : start + CHUNK]):
            return None
    return OwnNumbers(values)
