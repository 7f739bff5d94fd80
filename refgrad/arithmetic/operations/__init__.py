"""The operations: one record a row, in one table. To add an operation is to add a row.

>>> OPERATIONS["sqrt"].numpy(4.0), OPERATIONS["maximum"].scalar.name
(np.float64(2.0), 'max')
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refgrad.arithmetic.operations import (
    choices,
    elementwise,
    functions,
    look_ups,
    matrix,
    reductions,
    rewritten,
    selections,
)
from refgrad.arithmetic.operations.op import Op

_ROWS = (
    *elementwise.ROWS,
    *choices.ROWS,
    *(row for row in vars(functions).values() if isinstance(row, Op)),
    *reductions.ROWS,
    *matrix.ROWS,
    *rewritten.ROWS,
    *selections.ROWS,
    *look_ups.ROWS,
)
#: by name
OPERATIONS: Mapping[str, Op] = {row.name: row for row in _ROWS}
#: those of one element, by name
ELEMENTWISE: Mapping[str, Op] = {name: op for name, op in OPERATIONS.items() if op.kind == "element" and op.numpy}
#: those that have a meaning on numbers alone, by their names in scalar expressions
ON_NUMBERS: Mapping[str, Op] = {op.scalar.name: op for op in _ROWS if op.scalar}
#: NumPy's functions that a rule may call on arrays, with the names of what they mean
UFUNCS: Mapping[np.ufunc, str] = {ufunc: op.name for op in _ROWS for ufunc in op.ufuncs}

BOOLEAN = frozenset(op.name for op in _ROWS if op.boolean)
REDUCTIONS = frozenset(op.name for op in _ROWS if op.kind == "reduction")
#: operations on matrices, which see a whole tensor
MATRIX = frozenset(op.name for op in _ROWS if op.kind == "matrix")
#: operations that see a whole row, and give a truth value for each of its elements
SELECTIONS = frozenset(op.name for op in _ROWS if op.kind == "selection")
#: the operations that decide, and how many results they choose from: a comparison is false or true, a rounding goes to the
#: lower or to the upper of two neighbours
OUTCOMES: Mapping[str, int] = {op.name: op.outcomes for op in _ROWS if op.outcomes}
