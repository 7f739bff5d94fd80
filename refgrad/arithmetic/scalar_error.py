"""Scalar expressions as values with an error bound: what implementations may differ by in their scalars."""

from __future__ import annotations

import functools
from types import MappingProxyType

from refgrad.arithmetic.operations import ON_NUMBERS
from refgrad.arithmetic.operations.scalar_bounds import Pair, Precision
from refgrad.arithmetic.scalar_math import Table

__all__ = ["Pair", "table"]


@functools.cache  # of two precisions
def table(precision: str) -> Table:
    """Operations on (value, bound) pairs where each operation rounds to "float64" or "float32"."""
    p = Precision(precision)
    own = {name: op.scalar.bounded(p) for name, op in ON_NUMBERS.items() if op.scalar}
    return MappingProxyType({"const": p.constant, **own})
