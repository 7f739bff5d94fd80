"""Scalar expressions as values with an error bound: what implementations may differ by in their scalars."""

from __future__ import annotations

from refgrad.arithmetic.operations import ON_NUMBERS
from refgrad.arithmetic.operations.scalar_bounds import Pair, Precision
from refgrad.arithmetic.scalar_math import Table

__all__ = ["Pair", "table"]


def table(precision: str) -> Table:
    """Operations on (value, bound) pairs where each operation rounds to "float64" or "float32"."""
    p = Precision(precision)
    return {"const": p.constant, **{name: op.scalar.bounded(p) for name, op in ON_NUMBERS.items() if op.scalar}}
