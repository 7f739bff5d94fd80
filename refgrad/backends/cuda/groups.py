"""Arrays of a device cut into rows of one width, the short ones filled up with zeros, and joined again."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Protocol

import numpy as np

from refgrad.backends.cuda import storage
from refgrad.backends.cuda.device import Device, grid
from refgrad.backends.cuda.dialect import DIALECT
from refgrad.backends.dialect import Array
from refgrad.backends.source import KernelSource, written
from refgrad.backends.writer import Writer


class Groups(Protocol):
    """How an array is cut: into ``lead`` stretches of ``length`` elements, each into rows of ``width``."""

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the array."""

    @property
    def lead(self) -> int:
        """How many stretches."""

    @property
    def length(self) -> int:
        """Elements a stretch."""

    @property
    def width(self) -> int:
        """Elements a row."""

    @property
    def axis(self) -> int | None:
        """The axis that is moved to the front first."""

    @property
    def rows(self) -> int:
        """All rows."""

    @property
    def per_lead(self) -> int:
        """Rows a stretch."""


def cut(x: Any, groups: Groups, dtype: np.dtype, device: Device) -> Any:
    """The rows of an array, in a dtype.

    Args:
        x: an array of the device.
        groups: how it is cut.
        dtype: that of the rows: the array's own, or a float dtype that is wider.
        device: the device.

    Returns:
        An array of shape ``(rows, width)``; the array itself where nothing is to be done.
    """
    if groups.axis is not None:
        axis = groups.axis % x.ndim
        x = x.transpose((axis, *(i for i in range(x.ndim) if i != axis)))
    x = x if x.flags.c_contiguous else device.copy(x)
    shape = (groups.rows, groups.width)
    if x.dtype == dtype and groups.per_lead * groups.width == groups.length:
        return x.reshape(shape)
    rows = device.empty(shape, dtype)
    _copied(x, rows, groups, device, False)
    return rows


def joined(rows: Any, groups: Groups, device: Device) -> Any:
    """The array that was cut into rows.

    Args:
        rows: an array of the device, of shape ``(rows, width)``.
        groups: how it was cut.
        device: the device.
    """
    stretches = rows
    if groups.per_lead * groups.width != groups.length:
        stretches = device.empty((groups.lead, groups.length), rows.dtype)
        _copied(rows, stretches, groups, device, True)
    if groups.axis is None:
        return stretches.reshape(groups.shape)
    axis = groups.axis % len(groups.shape)
    others = tuple(n for i, n in enumerate(groups.shape) if i != axis)
    back = (*range(1, axis + 1), 0, *range(axis + 1, len(groups.shape)))
    return stretches.reshape((groups.shape[axis], *others)).transpose(back)


def _copied(of: Any, to: Any, groups: Groups, device: Device, joins: bool) -> None:
    if not math.prod(to.shape):
        return
    source = group_source(of.dtype.name, to.dtype.name, joins)
    sizes = [to.size, groups.length, groups.width, groups.per_lead]
    given = [*sizes, device.address(of), device.address(to)]
    device.launch(source, *grid(to.size), given, device.stream())


@cache
def group_source(of: str, to: str, joins: bool) -> KernelSource:
    """The kernel that copies an array into rows, or rows into an array.

    Args:
        of: the dtype that is read: a float that kernels store, or an integer.
        to: the dtype that is stored; the same, or a float dtype that is wider.
        joins: True if rows are joined.
    """
    whole = of == to and of not in (*storage.FORMATS, "float32", "float64")
    kind = of if whole else "float64" if "float64" in (of, to) else "float32"
    types = (of, to) if whole else (storage.kind_of(of), storage.kind_of(to))
    arrays = [Array(n, own, ("n",)) for n, own in zip(("from_", "to_"), types, strict=True)]
    w = Writer(np.dtype(kind), DIALECT)
    w.line(DIALECT.comment(f"{'rows joined' if joins else 'cut into rows'}: {of} to {to}"))
    for line in [] if whole else storage.functions(map(storage.Number, (of, to)), kind):
        w.line(line)
    with w.kernel(["n", "length", "width", "per_lead"], arrays, []):
        before, head = DIALECT.strided("i", "n")
        for line in before:
            w.line(line)
        with w.block(head):
            row_length = "length" if joins else "width"
            w.set("row", f"i / {row_length}", "int64")
            w.set("place", f"i - row * {row_length}", "int64")
            if joins:
                w.set("from_place", "row * per_lead * width + place", "int64")
            else:
                w.set("stretch", "row / per_lead", "int64")
                w.set("place", "(row - stretch * per_lead) * width + place", "int64")
                w.set("from_place", DIALECT.select("place < length", "stretch * length + place", "-1"), "int64")
            element = "from_[from_place < 0 ? 0 : from_place]"
            x = element if whole else storage.read(of, kind, element)
            w.set("x", DIALECT.select("from_place < 0", "0", x))
            w.do(f"to_[i] = {'x' if whole else storage.stored(to, kind, 'x')}")
    return KernelSource(written(w, arrays, 0, 4), ("from", "to"), 0, np.dtype(kind), 4, types)
