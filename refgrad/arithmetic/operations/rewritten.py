"""Operations that only rewritten graphs have: a rounding onto another grid, and a model of a rough operation."""

from __future__ import annotations

from refgrad.arithmetic import dtypes
from refgrad.arithmetic import running_error as bounds
from refgrad.arithmetic.operations.op import Op

ROWS = (
    Op(
        "cast",
        1,
        numpy=lambda x, grid: dtypes.cast(x, *grid),
        error=lambda x, grid, model: bounds.cast(x, *grid),
        attributed=True,
    ),
    Op(
        "loose",
        1,
        numpy=lambda x, bits: x,
        error=lambda x, bits, model: bounds.loosened(x, *bits),
        attributed=True,
    ),
)
