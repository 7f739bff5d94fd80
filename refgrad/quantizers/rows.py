"""Quantizers whose elements share scales in groups: an array is seen as rows, one a group, padded with zeros.

A rule's body is written once on those rows; the groups are blocks of the flat array, groups along its last axis, its
channels, or all of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from refgrad.arguments import check_enlarged
from refgrad.arithmetic.minifloats import MINIFLOATS
from refgrad.arithmetic.rounding import all_within
from refgrad.arithmetic.steps import FormatCodes, NearestCode, TableCodes, WholeCodes
from refgrad.axes import ROW, Axes
from refgrad.backends import worth_compiling
from refgrad.derived import derived
from refgrad.errors import ArgumentError, bad_argument
from refgrad.quantizers.base import Quantizer
from refgrad.quantizers.parts import Part, numbers, whole
from refgrad.rule import Choice, by
from refgrad.tracing import literal


@dataclass(frozen=True)
class Layout:
    """How an array is cut into groups: ``lead`` separate stretches, each cut into rows of ``width`` (the last one padded).

    ``axis`` is moved to the front first, where it is not None.
    """

    shape: tuple[int, ...]
    lead: int
    length: int
    width: int
    axis: int | None = None

    @classmethod
    def flat(cls, shape: tuple[int, ...], width: int, size: str = "width") -> Layout:
        """Blocks of the flat array, in C order; ``size`` is what errors call the width."""
        return cls(shape, 1, math.prod(shape), width)._checked(size)

    @classmethod
    def last_axis(cls, shape: tuple[int, ...], width: int, size: str = "width") -> Layout:
        """Blocks along the last axis, none over the end of a row; ``size`` is what errors call the width."""
        length = shape[-1] if shape else 1
        return cls(shape, math.prod(shape[:-1]), length, width)._checked(size)

    def _checked(self, size: str) -> Layout:
        """The same, if the last row of a stretch is not filled up with far more than there is."""
        if self.width > self.length:
            check_enlarged({size: self.width}, self.lead * self.width, self.lead * self.length)
        return self

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> Layout:
        """One group."""
        return cls(shape, 1, math.prod(shape), max(math.prod(shape), 1))

    @classmethod
    def channels(cls, shape: tuple[int, ...], axis: int) -> Layout:
        """One group an index of an axis."""
        if not -len(shape) <= axis < len(shape):
            raise bad_argument("x.shape", shape, f"that of an array with an axis {axis}, which has a scale each")
        count = shape[axis]
        length = math.prod(shape) // count if count else 0
        return cls(shape, count, length, max(length, 1), axis)

    @classmethod
    def of(cls, granularity: str, shape: tuple[int, ...], axis: int, width: int, size: str = "width") -> Layout:
        """The groups that a member of `granularity` says; ``width`` is that of groups and blocks, which errors call ``size``."""
        if granularity == "tensor":
            return cls.whole(shape)
        if granularity == "channel":
            return cls.channels(shape, axis)
        cut = cls.last_axis if granularity == "group" else cls.flat
        return cut(shape, width, size)

    @cached_property
    def moved(self) -> int:
        """The axis that is moved to the front; 0 where none is."""
        return self.axis % len(self.shape) if self.axis else 0

    @cached_property
    def per_lead(self) -> int:
        """Rows a stretch."""
        return -(-self.length // self.width)

    @cached_property
    def rows(self) -> int:
        """All rows."""
        return self.lead * self.per_lead

    def cut(self, x: np.ndarray, fill: Any = 0) -> np.ndarray:
        """The rows of an array; a short one is filled up."""
        if self.moved:
            x = np.moveaxis(x, self.moved, 0)
        rows = self.rows
        if rows * self.width == self.lead * self.length:
            return np.ascontiguousarray(x).reshape(rows, self.width)
        stretches = np.empty((self.lead, self.per_lead * self.width), x.dtype)
        stretches[:, : self.length] = x.reshape(self.lead, self.length)
        stretches[:, self.length :] = fill
        return stretches.reshape(rows, self.width)

    def whole_rows(self, values: np.ndarray) -> np.ndarray:
        """What a body gives, as rows, where it may be one number a row."""
        shape = (self.rows, self.width)
        return values if values.shape == shape else np.broadcast_to(values, shape)

    def joined(self, rows: np.ndarray) -> np.ndarray:
        """The array that was cut."""
        if self.per_lead * self.width != self.length:
            rows = rows.reshape(self.lead, self.per_lead * self.width)[:, : self.length]
        axis = self.moved
        if not axis:
            return rows.reshape(self.shape)
        moved = (self.shape[axis], *self.shape[:axis], *self.shape[axis + 1 :])
        return np.moveaxis(rows.reshape(moved), 0, axis)


@derived
def _layouts(rule: Any) -> dict[tuple[int, ...], Layout]:
    """The layouts of the shapes that a rule has met."""
    return {}


#: how many of them are kept in mind, for each rule
SHAPES = 64


def granularity(size: str, group: tuple[str, ...] = (), block: tuple[str, ...] = ()) -> Choice:
    """What shares a scale, for `Layout.of`; ``size`` is the hyperparameter of how many, the others are sources."""
    return Choice(
        tensor="one scale",
        channel="one scale an index of `axis`",
        group=by(f"one scale for each `{size}` elements along the last axis", *group),
        block=by(f"one scale for each `{size}` elements of the flat array", *block),
    )


class RowQuantizer(Quantizer):
    """A quantizer whose body is elementwise on rows, with scales that are one a row.

    A subclass writes `layout`; `body`, from ``x`` to the values of the parts and ``y``, what they stand for; and
    `stored` and `values`, which turn a part's values into what is kept and back. Codes are kept in the shape of the
    array, scales one a row.
    """

    device_module = "refgrad.quantizers.on_device"

    @property
    def kept_codes(self) -> WholeCodes | FormatCodes | None:
        """How kernels store codes, so that `stored` finds them as integers; None where they give their values."""
        return None

    @property
    def kept_scales(self) -> dict[str, WholeCodes | FormatCodes]:
        """How parts are stored, besides codes, that are no floats; `stored` does the same."""
        return {}

    @property
    def code_of_nearest(self) -> NearestCode | None:
        """The number by which kernels keep the nearest of a table, where codes are such numbers; None where they are not."""
        return None

    @property
    def read_codes(self) -> WholeCodes | FormatCodes | TableCodes | None:
        """What codes stand for, for kernels that read them; None where none does."""
        return self.kept_codes

    @property
    def code_range(self) -> tuple[int, int] | None:
        """The least and the largest code that kernels may read; None where every one of their type is."""
        codes = self.read_codes
        if isinstance(codes, WholeCodes) or codes is None:
            return None
        return 0, (len(codes.values) if isinstance(codes, TableCodes) else 1 << MINIFLOATS[codes.format].bits) - 1

    def stored_outputs(self, dtype: Any) -> dict[str, WholeCodes | FormatCodes]:
        """Codes, where the rule says how they are stored; of float64 arrays they are given as values."""
        codes = self.kept_codes
        return {"codes": codes} if codes is not None and np.dtype(dtype) == np.float32 else {}

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """How an array of a shape is cut."""
        raise NotImplementedError

    def cut_as(self, shape: tuple[int, ...]) -> Layout:
        """`layout`, found once for each shape.

        Args:
            shape: the shape of the array.
        """
        known = _layouts(self)
        found = known.get(shape)
        if found is None:
            if len(known) >= SHAPES:
                known.clear()
            found = known[shape] = self.layout(shape)
        return found

    def stored(self, part: str, values: np.ndarray, layout: Layout) -> np.ndarray:
        """What is kept of a part's values on rows."""
        raise NotImplementedError

    def values(self, part: str, kept: np.ndarray, layout: Layout) -> np.ndarray:
        """The values on rows of what was kept."""
        raise NotImplementedError

    def kept_parts(self, shape: tuple[int, ...]) -> Mapping[str, Part]:
        """Codes shaped like the array; of the rest one number a row."""
        rows, found = (self.layout(shape).rows,), {"codes": whole(shape)}
        for part in self.parts:
            if part != "codes":
                found[part] = whole(rows) if part in self.kept_scales else numbers(part, rows)
        return found

    def restore(self, parts: Mapping[str, Any]) -> Any:
        """``y`` from the values of the parts, on rows."""
        raise NotImplementedError

    def body_parts(self) -> tuple[str, ...]:
        """What the body gives besides ``y``; parts made of them afterwards are not among them."""
        return self.parts

    def given(self, x: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
        """What the body is handed: the rows of an array, and what is known of each besides."""
        return {"x": layout.cut(x)}

    def ends(self, x: np.ndarray, layout: Layout, unit: float) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """What of `given` another program may find otherwise: name -> the least and the largest of each row, float64.

        Args:
            x: the array, in the working dtype.
            layout: how it is cut.
            unit: the relative error that one operation of another program may have.
        """
        return {}

    def gives(self) -> dict[str, Axes]:
        """Scales, which are one a row unless a rule says otherwise."""
        return {part: ROW for part in self.body_parts() if part != "codes"}

    def encode(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The body run on the rows, and what is kept of its parts."""
        layout = self.layout(x.shape)
        results = self.run(self.given(x, layout))
        kept = results["codes"].dtype.kind in "iu"
        return {
            part: layout.joined(results[part]) if kept and part == "codes" else self.stored(part, results[part], layout)
            for part in self.body_parts()
        }

    def run(self, given: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The values of the body's parts on rows: by kernels where the rows are long enough to be worth them."""
        rows = given["x"]
        if not worth_compiling(rows.size) or rows.dtype.itemsize < 4:
            return literal(self, given, {})
        from refgrad.backends import row_kernels

        return row_kernels.run(self, given) or literal(self, given, {})

    def decode(self, arrays: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
        """`restore` run on the rows."""
        layout = self.cut_as(shape)
        return self.restored({part: self.fitting(part, arrays[part], layout) for part in self.parts}, layout)

    def restored(self, kept: Mapping[str, np.ndarray], layout: Layout) -> np.ndarray:
        """The array from what was kept of the body's parts: by a kernel where it is long enough to be worth one."""
        others = {part: self.values(part, array, layout) for part, array in kept.items() if part != "codes"}
        y = self._by_kernel(others, np.asarray(kept["codes"]), layout)
        if y is None:
            y = layout.whole_rows(self.restore({**others, "codes": self.values("codes", kept["codes"], layout)}))
        return layout.joined(y)

    def _by_kernel(self, others: Mapping[str, np.ndarray], codes: np.ndarray, layout: Layout) -> np.ndarray | None:
        """``y`` on rows; None for what kernels do not read: few numbers, float64, codes of another type or none at all."""
        known, ends = self.read_codes, self.code_range
        if not worth_compiling(codes.size) or known is None or codes.dtype != known.kind or not codes.flags.aligned:
            return None
        if any(part.dtype != np.float32 for part in others.values()):
            return None
        if ends is not None and not all_within(codes, *ends):
            return None
        from refgrad.backends import row_kernels

        return row_kernels.restored(self, {**others, "codes": layout.cut(codes)}, known)

    def fitting(self, part: str, kept: np.ndarray, layout: Layout) -> np.ndarray:
        """What was kept; `ArgumentError` if there is not one an element, or one a row."""
        wanted = layout.shape if part == "codes" else (layout.rows,)
        if kept.shape != wanted:
            raise ArgumentError(f"quantized[{part!r}] has shape {kept.shape}; legal: {wanted}")
        return kept
