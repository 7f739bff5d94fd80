"""Order and places on a device: sorting by comparing all pairs, places of largest numbers, running sums, numbers at places."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from refgrad.arithmetic.shaped import MOVES
from refgrad.backends.cuda import array_source as kernels
from refgrad.backends.cuda.array_folds import smallest
from refgrad.backends.cuda.device_array import Body, DeviceArray, refused, width_of

#: rows of up to so many numbers are put in order by comparing all pairs
LONGEST_SORTED = 1 << 13


def _last(x: DeviceArray, axis: int) -> tuple[DeviceArray, Callable[[DeviceArray], DeviceArray]]:
    """An axis as rows, and how results go back."""
    at = axis % x.ndim
    order = (*(i for i in range(x.ndim) if i != at), at)
    moved = x.transpose(order)
    back = tuple(int(i) for i in np.argsort(order))
    return moved.reshape(-1, x.shape[at]), lambda rows: rows.reshape(moved.shape).transpose(back)


def _ordered(x: DeviceArray) -> DeviceArray:
    """The places of each row's numbers in rising order."""
    x = x.astype(np.uint8) if x.dtype.kind == "b" else x
    if x.shape[1] > LONGEST_SORTED:
        raise refused(f"more than {LONGEST_SORTED} numbers are sorted")
    out = x.body.empty(x.shape, np.int64)
    x.body.launch(kernels.rank_source(x.dtype.name), x.size, [x.shape[1]], [x.flat_data, out])
    return DeviceArray(out, x.body)


def _taken_by(rows: DeviceArray, places: DeviceArray) -> DeviceArray:
    """Of each row the numbers at its places."""
    out = rows.body.empty(places.shape, rows.dtype)
    starts: Any = rows.body.array(np.arange(rows.shape[0], dtype=np.int64)[:, None] * rows.shape[1])
    where = places + starts
    rows.body.launch(kernels.gather_source(width_of(rows.dtype)), places.size, [], [where.data, rows.flat_data, out])
    return DeviceArray(out, rows.body)


def sort(x: Any, axis: Any = -1, **how: Any) -> Any:
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    rows, back = _last(x, axis)
    return back(_taken_by(rows, _ordered(rows)))


def argsort(x: Any, axis: Any = -1, **how: Any) -> Any:
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    rows, back = _last(x, axis)
    return back(_ordered(rows))


def median(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    flat = x.reshape(-1) if axis is None else x
    at = 0 if axis is None else axis % x.ndim
    ordered, n = sort(flat, at), flat.shape[at]
    one = lambda i: ordered[(slice(None),) * at + (slice(i, i + 1),)]  # noqa: E731
    found = one(n // 2) if n % 2 else (one(n // 2 - 1) + one(n // 2)) / 2.0
    found = np.where(np.isnan(one(n - 1)), math.nan, found)
    if keepdims:
        return found if axis is not None else found.reshape((1,) * x.ndim)
    return found.reshape(tuple(m for i, m in enumerate(flat.shape) if i != at))


def percentile(x: Any, q: float, axis: Any = None, method: Any = "linear", keepdims: bool = False) -> Any:
    """As `numpy.percentile` of one number: how far between two neighbours it lies is NumPy's, of arrays of the same length."""
    x, at = (x.reshape(-1), 0) if axis is None else (x, axis % x.ndim)
    n = x.shape[at]
    if method not in ("linear", "nearest") or keepdims or n >= 1 << 20:
        raise refused(f"numpy.percentile is called with {method}")
    place = int(np.floor(np.percentile(np.arange(n, dtype=x.dtype), q, method=method)))
    ordered = sort(x, at)
    one = lambda i: ordered[(slice(None),) * at + (min(i, n - 1),)]  # noqa: E731
    share = float(np.percentile((np.arange(n) == place + 1).astype(x.dtype), q, method=method))
    low, high = one(place), one(place + 1)
    found = low if method == "nearest" else low + (high - low) * share
    if method == "linear" and share >= 0.5:
        found = high - (high - low) * (1 - np.asarray(share, x.dtype)[()])
    return np.where(np.isnan(one(n - 1)), math.nan, found)


def place_of(x: Any, axis: Any, keepdims: bool, extreme: Callable[..., Any]) -> Any:
    """Where the first largest or smallest number is; NaN counts as such."""
    x, at = (x.reshape(-1), 0) if axis is None else (x, axis % x.ndim)
    found = extreme(x, at, True)
    here = (x == found) | ((x != x) & (found != found))
    shape = [1] * x.ndim
    shape[at] = x.shape[at]
    places = x.body.array(np.arange(x.shape[at], dtype=np.int64).reshape(shape))
    plain = Body(x.body.device, x.body.working, fixed=False)
    first = plain.elements("where", [here, places, x.shape[at]])
    return DeviceArray(smallest(first, at, keepdims).data, x.body)


def cumsum(x: Any, axis: Any = None, dtype: Any = None) -> Any:
    x, axis = (x.reshape(-1), 0) if axis is None else (x, axis)
    x = x if dtype is None else x.astype(dtype, copy=False)
    x = x.astype(np.int64) if x.dtype.kind in "iub" else x
    rows, back = _last(x, axis)
    out = x.body.empty(rows.shape, x.dtype)
    x.body.launch(kernels.along_source(x.dtype.name), rows.shape[0], [rows.shape[1]], [rows.flat_data, out])
    return back(DeviceArray(out, x.body))


def along_axis(x: Any, places: Any, axis: int = -1) -> Any:
    """As `numpy.take_along_axis`; places are broadcast along the other axes."""
    at = axis % x.ndim
    shape = tuple(n if i == at else x.shape[i] for i, n in enumerate(places.shape))
    if places.shape != shape:
        places = places.viewed(places.body.device.spread(places.data, shape))
    rows, _ = _last(x, axis)
    where, back = _last(places, axis)
    return back(_taken_by(rows, where.astype(np.int64, copy=False)))


def take(x: Any, places: Any, axis: Any = None, **how: Any) -> Any:
    """As `numpy.take`; where the places are on the device they stay there."""
    if not isinstance(places, DeviceArray):
        return MOVES[np.take](x, places, axis=axis, **how)
    table = x if isinstance(x, DeviceArray) else places.body.array(np.asarray(x))
    if table.ndim != 1:
        raise refused("places on the device are looked up along an axis")
    where = places.astype(np.int64, copy=False)
    return table.at(np.where(where < 0, where + table.size, where) if places.dtype.kind == "i" else where)


def largest_places(x: Any, count: int) -> Any:
    """As `refgrad.top_k`."""
    rows, back = _last(-x, -1)
    places = _ordered(rows)[:, :count]
    starts = x.body.array(np.arange(rows.shape[0], dtype=np.int64)[:, None] * rows.shape[1])
    where, found = (places + starts), x.body.elements("copy", [0], result=np.uint8, shape=rows.shape)
    ones = x.body.elements("copy", [1], result=np.uint8, shape=where.shape)
    x.body.launch(kernels.scatter_source("uint8"), where.size, [], [where.data, ones.data, found.data])
    return back(found != 0)


def picked(x: Any, labels: Any) -> Any:
    """As `refgrad.take`: of each row the number at its label."""
    rows, _ = _last(x, -1)
    return _taken_by(rows, labels.reshape(-1, 1).astype(np.int64, copy=False)).reshape(labels.shape)


def placed(numbers: Any, labels: Any, count: int) -> Any:
    """As `refgrad.arithmetic.picking.placed_at`."""
    return np.where(labels[..., None] == np.arange(count), numbers[..., None], 0.0)


def searched(table: Any, x: Any, side: str = "left") -> Any:
    """As `numpy.searchsorted`, in a table that the host has."""
    if isinstance(table, DeviceArray) or not isinstance(x, DeviceArray):
        raise refused("places are searched for in an array of the device")
    ends = x.body.array(np.asarray(table, x.dtype))
    below = ends < x[..., None] if side == "left" else ends <= x[..., None]
    unknown = x.body.elements("isnan", [x])
    return (below | unknown[..., None]).astype(np.int64).sum(axis=-1)


def chosen(mask: DeviceArray, count: int) -> DeviceArray:
    """The places where a flat array is true, in rising order.

    Args:
        mask: truth values.
        count: how many there are, which the caller knows: the host does not ask.
    """
    body, flat = mask.body, mask.astype(np.uint8).flat_data.reshape(-1)
    length = 256
    stretches, out = -(-flat.size // length), body.empty((count,), np.int64)
    counts = body.empty((stretches,), np.int64)
    source = kernels.chosen_source()
    body.launch(source, stretches, [flat.size, length, -1], [flat, counts, counts])
    before = cumsum(DeviceArray(counts, body), 0)
    body.launch(source, stretches, [flat.size, length, count], [flat, before.data, out])
    return DeviceArray(out, body)
