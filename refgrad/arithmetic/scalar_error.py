"""Scalar expressions as values with an error bound: what implementations may differ by in their scalars."""

from __future__ import annotations

import functools
from types import MappingProxyType

from refgrad.arithmetic.operations import ON_NUMBERS
from refgrad.arithmetic.operations.scalar_bounds import Pair, Precision
from refgrad.arithmetic.scalar_math import Table

__all__ = ["Pair", "table"]


@functools.cache  # of two precisions, and two policies
def table(precision: str, flushes: bool = False) -> Table:
    """Operations on (value, bound) pairs.

    Args:
        precision: what each operation rounds to: "float64" or "float32".
        flushes: whether subnormal numbers of it may be flushed to zero.
    """
    p = Precision(precision, flushes)
    own = {name: op.scalar.bounded(p) for name, op in ON_NUMBERS.items() if op.scalar}
    return MappingProxyType({"const": p.constant, **own})
