"""The few operations that NumPy lacks, or whose bits it does not fix.

Each takes a NumPy array, or any carrier of refgrad's arithmetics. The sum adds by one tree whose shape depends on the
number of terms alone, so that NumPy, Numba with any number of threads, and a GPU give the same bits.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from refgrad.arithmetic.carrier import Carrier
from refgrad.errors import bad_argument

#: terms that one leaf of the summation tree takes
BLOCK = 1024

Over = Literal["tensor", "row"]


def tree_sum(x: Any, over: Over = "tensor") -> Any:
    """The sum of all elements, or of each row ``x[i, ...]``, as an array that broadcasts against ``x``.

    The tree: terms are cut into blocks of `BLOCK`; in a block (and then among the block sums) ``fold`` adds the
    upper half to the lower half, the split being the largest power of two below the length, until one is left.
    """
    if isinstance(x, Carrier):
        return x._apply("sum", x, over=over)
    rows, shape = _rows(np.asarray(x), over)
    return _tree(rows, "sum").reshape(shape)


def tree_max(x: Any, over: Over = "tensor") -> Any:
    """The largest element (NaN if any is NaN), shaped as in `tree_sum`; minus infinity of nothing."""
    if isinstance(x, Carrier):
        return x._apply("max", x, over=over)
    rows, shape = _rows(np.asarray(x), over)
    return _tree(rows, "max").reshape(shape)


def length(x: Any, over: Over = "tensor") -> Any:
    """How many terms `tree_sum` adds, as a host scalar."""
    if isinstance(x, Carrier):
        return x._apply("length", x, over=over)
    rows, _ = _rows(np.asarray(x), over)
    return rows.shape[1]


def exp(x: Any) -> Any:
    """e**x in float64 by a fixed sequence of operations, rounded once to the dtype of ``x``; the same bits everywhere.

    The float64 result is within 1.25 units in the last place; the float32 result is the correctly rounded one unless
    e**x lies within 2**-28 units of a rounding boundary.
    """
    if isinstance(x, Carrier):
        return x._apply("exp", x)
    x = np.asarray(x)
    with np.errstate(over="ignore", under="ignore"):
        return exp_float64(x.astype(np.float64)).astype(x.dtype)


LN2_HIGH, LN2_LOW = float.fromhex("0x1.62e42fefa3800p-1"), float.fromhex("0x1.ef35793c76730p-45")
INVERSE_LN2 = float.fromhex("0x1.71547652b82fep+0")
#: 1/k!, from k = 13 down to 0: the Taylor polynomial; on |r| <= ln(2)/2 its truncation is below 5e-18
EXP_COEFFICIENTS = tuple(1.0 / float(np.prod(np.arange(1, k + 1, dtype=np.float64))) for k in range(13, -1, -1))
#: beyond these the result is infinity, or zero
EXP_LOW, EXP_HIGH = -746.0, 710.0


def exp_float64(x: Any) -> Any:
    """e**x on a float64 array: argument reduction by ln 2, then a Taylor polynomial by Horner's rule."""
    bounded = np.minimum(np.maximum(x, EXP_LOW), EXP_HIGH)
    k = np.rint(bounded * INVERSE_LN2)
    r = (bounded - k * LN2_HIGH) - k * LN2_LOW
    result = np.full_like(r, EXP_COEFFICIENTS[0])
    for coefficient in EXP_COEFFICIENTS[1:]:
        result = result * r + coefficient
    # NaN stays NaN in the polynomial; its exponent is set to 0 because the cast to int is undefined
    with np.errstate(over="ignore", under="ignore"):
        return np.ldexp(result, np.where(np.isnan(k), 0.0, k).astype(np.int32))


def _rows(x: np.ndarray, over: Over) -> tuple[np.ndarray, tuple[int, ...]]:
    if over == "tensor":
        return x.reshape(1, -1), (1,) * x.ndim
    if over != "row":
        raise bad_argument("over", over, "'tensor' or 'row'")
    if x.ndim == 0:
        raise bad_argument("x.ndim", 0, "at least 1 for a reduction over rows")
    return x.reshape(x.shape[0], int(np.prod(x.shape[1:]))), (x.shape[0],) + (1,) * (x.ndim - 1)


def _tree(rows: np.ndarray, op: str) -> np.ndarray:
    count = rows.shape[1]
    if count == 0:
        return np.full(rows.shape[0], FOLDS[op][1], rows.dtype)
    if count <= BLOCK:
        return fold(rows, op)
    whole = count - count % BLOCK
    blocks = rows[:, :whole].reshape(-1, BLOCK)
    folded = fold(blocks, op).reshape(rows.shape[0], -1)
    if whole < count:
        folded = np.concatenate([folded, fold(rows[:, whole:], op)[:, None]], axis=1)
    return fold(folded, op)


#: what joins two terms, and the value of no terms
FOLDS: dict[str, tuple[Any, float]] = {"sum": (np.add, 0.0), "max": (np.maximum, -np.inf)}


def fold(rows: np.ndarray, op: str) -> np.ndarray:
    """Each row of at least one term folded to one number, the upper part onto the lower."""
    join = FOLDS[op][0]
    while rows.shape[1] > 1:
        half = 1 << ((rows.shape[1] - 1).bit_length() - 1)
        upper = rows.shape[1] - half
        rows = np.concatenate([join(rows[:, :upper], rows[:, half:]), rows[:, upper:half]], axis=1)
    return rows[:, 0]
