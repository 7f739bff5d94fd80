"""Folds and products of matrices on a device, along the tree: sums, largest and smallest numbers, and what products make."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refgrad.arithmetic import folding, matrices, systems
from refgrad.arithmetic.folding import BLOCK
from refgrad.arithmetic.operations.op import Number
from refgrad.arithmetic.shaped import axes_of, counted
from refgrad.backends.cuda import array_source as kernels
from refgrad.backends.cuda import fold_kernels
from refgrad.backends.cuda.device import MOST_BLOCKS, THREADS
from refgrad.backends.cuda.device_array import Body, DeviceArray, refused


def _rows(x: DeviceArray, axis: Any) -> tuple[DeviceArray, tuple[int, ...], list[int]]:
    """Terms as rows, with the shape of the result where folded axes are kept, and the axes that are left."""
    axes = axes_of(x, axis)
    left = [i for i in range(x.ndim) if i not in axes]
    moved = x.transpose((*left, *sorted(axes))) if x.ndim else x
    rows = moved.reshape(math.prod(x.shape[i] for i in left), math.prod(x.shape[i] for i in axes))
    return rows, tuple(1 if i in axes else n for i, n in enumerate(x.shape)), left


def fold(op: str, rows: DeviceArray, nothing: float) -> DeviceArray:
    """Each row folded to one number along the tree.

    Args:
        op: as of `fold_kernels.fold_source`.
        rows: terms, of shape ``(rows, count)``.
        nothing: what is given of no terms.
    """
    body, (number, count), kind = rows.body, rows.shape, rows.dtype.name
    if not count or not number:
        return body.elements("copy", [nothing], result=rows.dtype, shape=(number,))
    blocks = -(-count // BLOCK)
    found = body.empty((number, blocks), rows.dtype)
    _by_blocks(body, op, kind, [number * blocks, blocks, count, BLOCK], [rows.flat_data, found])
    left = blocks
    while left > BLOCK:  # by all threads of the card, until one block a row may do the rest
        half = 1 << (left - 1).bit_length() - 1
        upper = left - half
        body.launch(fold_kernels.halve_source(op, kind), number * upper, [upper, half, blocks], [found])
        left = half
    if blocks > 1:
        held = DeviceArray(found, body)[:, :left].copy() if left < blocks else DeviceArray(found, body)
        found = body.empty((number,), rows.dtype)
        _by_blocks(body, op, kind, [number, 1, left, left], [held.data, found])
    return DeviceArray(found.reshape(number), body)


def _by_blocks(body: Body, op: str, kind: str, given: list[int], arrays: list[Any]) -> None:
    """Blocks of rows folded, as `fold_kernels.fold_source` says: long ones by as many blocks of threads."""
    number, _, count, length = given
    if min(count, length) <= fold_kernels.FEW:
        body.launch(fold_kernels.fold_source(op, kind), number, given[1:], arrays)
    else:
        shape = min(number, MOST_BLOCKS), THREADS
        body.launch(fold_kernels.fold_together_source(op, kind), number, given[1:], arrays, shape=shape)


def folded(op: str, x: DeviceArray, axis: Any, keepdims: bool, nothing: float) -> DeviceArray:
    rows, kept, left = _rows(x, axis)
    found = fold(op, rows, nothing)
    return found.reshape(kept if keepdims else tuple(x.shape[i] for i in left))


def over(op: str, x: DeviceArray, names: Any) -> DeviceArray:
    """A fold over the named axes of a parameter, as `folding.tree` has it."""
    if "j" not in names and x.shape[:1] == (1,):
        return x
    how, nothing = ("add", 0.0) if op == "sum" else ("maximum", -math.inf)
    if "i" in names and "j" in names:
        return folded(how, x, None, True, nothing)
    if not x.ndim:
        folding.terms(x.shape, names)  # which refuses it
    if "j" in names:
        rows = x.reshape(x.shape[0], math.prod(x.shape[1:]))
        return fold(how, rows, nothing).reshape((x.shape[0], *(1,) * (x.ndim - 1)))
    return folded(how, x, 0, True, nothing)


def total(x: Any, axis: Any = None, keepdims: bool = False, dtype: Any = None) -> Any:
    if x.dtype.kind in "iub":  # exact in any order
        counts = x.astype(x.body.working if x.body.fixed and x.dtype.kind == "b" else np.int64)
        return folded("add", counts, axis, keepdims, 0.0)
    if not x.body.fixed or dtype is not None:
        raise refused("numbers are added in NumPy's order")
    return folded("add", x, axis, keepdims, 0.0)


def extreme(op: str, x: DeviceArray, axis: Any, keepdims: bool) -> DeviceArray:
    if not counted(x, axis):
        if x.dtype.kind == "b":
            return folded(op, x.astype(np.uint8), axis, keepdims, float(op == "minimum")).astype(np.bool_)
        np.max(np.empty(0))  # which says that there is none
    if x.dtype.kind == "b":
        return folded(op, x.astype(np.uint8), axis, keepdims, 0.0).astype(np.bool_)
    return folded(op, x, axis, keepdims, 0.0)


def largest(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    if initial is not None:
        none = not counted(x, axis)
        return _begun(x, axis, keepdims, initial) if none else np.maximum(largest(x, axis, keepdims), initial)
    return extreme("maximum", x, axis, keepdims)


def _begun(x: DeviceArray, axis: Any, keepdims: bool, initial: Any) -> DeviceArray:
    """What a fold of nothing begins with."""
    rows, kept, left = _rows(x, axis)
    found = rows.body.elements("copy", [initial], result=x.dtype, shape=(rows.shape[0],))
    return found.reshape(kept if keepdims else tuple(x.shape[i] for i in left))


def smallest(x: Any, axis: Any = None, keepdims: bool = False, initial: Any = None) -> Any:
    if initial is not None:
        none = not counted(x, axis)
        return _begun(x, axis, keepdims, initial) if none else np.minimum(smallest(x, axis, keepdims), initial)
    if x.body.fixed and x.dtype.kind == "f":
        return -largest(-x, axis, keepdims)
    return extreme("minimum", x, axis, keepdims)


def product(a: DeviceArray, b: DeviceArray) -> DeviceArray:
    """The product of two matrices, or of matrices stacked along leading axes; terms are added along the tree.

    Args:
        a: of shape ``(..., rows, inner)``, or a vector.
        b: of shape ``(..., inner, columns)``, or a vector.
    """
    body = a.body
    if not body.fixed:
        raise refused("matrices are multiplied in NumPy's order")
    if a.ndim == 1 or b.ndim == 1:
        left, right = a.reshape(1, -1) if a.ndim == 1 else a, b.reshape(-1, 1) if b.ndim == 1 else b
        found = product(left, right)
        found = found.reshape(*found.shape[:-1]) if b.ndim == 1 else found
        columns = found.shape[-1:] if b.ndim > 1 else ()
        return found.reshape(*found.shape[: -1 - len(columns)], *columns) if a.ndim == 1 else found
    kind = np.result_type(a.dtype, b.dtype)
    if kind.kind != "f":
        kind = body.working
    a, b = a.astype(kind, copy=False), b.astype(kind, copy=False)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    (rows, inner), columns = a.shape[-2:], b.shape[-1]
    if b.shape[-2] != inner:
        np.matmul(np.empty(a.shape), np.empty(b.shape))  # which says that they do not fit
    if inner > BLOCK * BLOCK:
        raise refused(f"more than {BLOCK * BLOCK} terms of a product are added")
    a, b = (_stacked(x, batch) for x in (a, b))
    out, step = body.empty((*batch, rows, columns), kind), kind.itemsize
    integers = [rows, inner, columns, *(s // step for x in (a, b) for s in x.data.strides[-3:])]
    body.launch(kernels.product_source(kind.name), math.prod(out.shape), integers, [a.data, b.data, out])
    return DeviceArray(out, body)


def _stacked(x: DeviceArray, batch: tuple[int, ...]) -> DeviceArray:
    """Matrices with one axis of batches in front; copied only where several axes do not lie together."""
    if x.shape[:-2] != batch:
        x = x.viewed(x.body.device.spread(x.data, (*batch, *x.shape[-2:])))
    if len(batch) == 1:
        return x
    return x[None] if not batch else x.copy().reshape(-1, *x.shape[-2:])


def newton_schulz(x: DeviceArray, *rest: Any) -> DeviceArray:
    *numbers, (degrees, precision) = rest
    if precision != "working":
        raise refused("an iteration is rounded to bfloat16")
    polynomials = matrices.gathered([n.value if isinstance(n, Number) else n for n in numbers], degrees)
    found = matrices.odd_polynomials(matrices.as_matrices(x), polynomials, multiply=product)  # type: ignore[arg-type]
    return found.reshape(x.shape)  # type: ignore[return-value]


def gram(x: DeviceArray, side: str) -> DeviceArray:
    m = matrices.as_matrices(x)  # type: ignore[arg-type]
    return product(m, m.T) if side == "left" else product(m.T, m)  # type: ignore[arg-type, return-value]


def solved(a: Any, b: Any) -> Any:
    """As `numpy.linalg.solve`, of few unknowns and with the bits that `refgrad.arithmetic.systems` has."""
    body = next(x.body for x in (a, b) if isinstance(x, DeviceArray))
    left, right = (x if isinstance(x, DeviceArray) else body.array(np.asarray(x, body.working)) for x in (a, b))
    fits = left.ndim > 1 and left.shape[-2] == left.shape[-1] == right.shape[max(right.ndim - 2, 0)]
    if not (body.fixed and fits and 0 < left.shape[-1] <= systems.MOST):
        raise refused("a system is solved by a library")
    found, pivots = systems.solved(left, right)
    if any(bool((pivot == 0.0).any()) for pivot in pivots):
        raise np.linalg.LinAlgError("Singular matrix")
    return found
