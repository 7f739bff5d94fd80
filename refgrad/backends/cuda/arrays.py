"""Arrays on a device that a body computes with as it stands: each of its operations is a kernel, and nothing comes to the host.

It is one more arithmetic: where a graph has no kernel of its own, because it multiplies matrices, moves numbers or branches on
them, the body itself is run on these values. Elementary functions, sums and products have refgrad's fixed bits
(`refgrad.arithmetic.fixed_bits`); where a body means NumPy's own functions (`Body.fixed` is False) those without are refused.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refgrad.arithmetic import picking, subgradients
from refgrad.arithmetic.shaped import mean, variance
from refgrad.backends.cuda import array_folds as folds
from refgrad.backends.cuda import array_order as order
from refgrad.backends.cuda.array_folds import fold, product
from refgrad.backends.cuda.array_order import chosen
from refgrad.backends.cuda.device_array import (
    FUNCTIONS,
    SEEN_WHOLE,
    Body,
    DeviceArray,
    attempted,
    converted,
    copied,
)

__all__ = ["Body", "DeviceArray", "attempted", "chosen", "converted", "copied", "fold", "product"]


def _where(condition: Any, *chosen: Any) -> Any:
    like = next(x for x in (condition, *chosen) if isinstance(x, DeviceArray))
    if not chosen:
        return tuple(like.body.array(each) for each in np.where(condition.on_host()))
    return like.body.elements("where", [condition, *chosen])


def _spread(x: Any, shape: Any) -> Any:
    return x.viewed(x.body.device.spread(x.data, tuple(shape)))


def _expanded(x: Any, axis: Any) -> Any:
    shape = list(np.expand_dims(np.empty(x.shape, bool), axis).shape)
    return x.viewed(x.data.reshape(shape)) if x.data.flags.c_contiguous else x.reshape(*shape)


def _known(x: Any, nan: float = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """As `numpy.nan_to_num`."""
    most = float(np.finfo(x.dtype).max)
    high, low = most if posinf is None else float(posinf), -most if neginf is None else float(neginf)
    bounded = np.where(x == math.inf, high, np.where(x == -math.inf, low, x))
    return np.where(x != x, nan, bounded)


FUNCTIONS |= {
    np.sum: folds.total,
    np.max: folds.largest,
    np.min: folds.smallest,
    np.mean: mean,
    np.var: variance,
    np.where: _where,
    np.sort: order.sort,
    np.argsort: order.argsort,
    np.median: order.median,
    np.percentile: order.percentile,
    np.argmax: lambda x, axis=None, keepdims=False: order.place_of(x, axis, keepdims, folds.largest),
    np.argmin: lambda x, axis=None, keepdims=False: order.place_of(x, axis, keepdims, folds.smallest),
    np.cumsum: order.cumsum,
    np.take: order.take,
    np.searchsorted: order.searched,
    np.take_along_axis: order.along_axis,
    subgradients.top_k: order.largest_places,
    subgradients.between: lambda a, b: 0.5 * a + 0.5 * b,
    picking.take: order.picked,
    picking.placed_at: order.placed,
    picking.one_hot: lambda labels, count: order.placed(labels.filled(1.0).astype(labels.body.working), labels, count),
    np.any: lambda x, axis=None, keepdims=False: folds.extreme("maximum", x != 0, axis, keepdims),
    np.all: lambda x, axis=None, keepdims=False: folds.extreme("minimum", x != 0, axis, keepdims),
    np.count_nonzero: lambda x: int((x != 0).astype(np.int64).sum()),
    np.flatnonzero: lambda x: x.body.array(np.flatnonzero(x.on_host())),
    np.copy: lambda x: x.copy(),
    np.transpose: lambda x, axes=None: x.T if axes is None else x.transpose(tuple(axes)),
    np.swapaxes: lambda x, a, b: x.viewed(x.data.swapaxes(a, b)),
    np.broadcast_to: _spread,
    np.expand_dims: _expanded,
    np.reshape: lambda x, shape: x.reshape(shape) if isinstance(shape, int) else x.reshape(tuple(shape)),
    np.ravel: lambda x: x.reshape(-1),
    np.matmul: folds.product,
    np.linalg.solve: folds.solved,
    np.zeros_like: lambda x, dtype=None: x.body.elements("copy", [0.0], result=dtype or x.dtype, shape=x.shape),
    np.ones_like: lambda x, dtype=None: x.body.elements("copy", [1.0], result=dtype or x.dtype, shape=x.shape),
    np.isposinf: lambda x: x == math.inf,
    np.isneginf: lambda x: x == -math.inf,
    np.nan_to_num: _known,
}

SEEN_WHOLE |= {
    "sum": lambda x, names: folds.over("sum", x, names),
    "max": lambda x, names: folds.over("max", x, names),
    "newton_schulz": folds.newton_schulz,
    "gram": folds.gram,
    "look_up": order.take,
}
