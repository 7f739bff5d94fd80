"""Quantizers of rows on arrays of a device's: their graphs' kernels, with codes stored and read in their own types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import is_float, working
from refgrad.axes import TENSOR
from refgrad.backends import row_kernels
from refgrad.backends.cuda import groups, range_check
from refgrad.backends.cuda import run as on_cuda
from refgrad.backends.cuda.device import Device
from refgrad.backends.cuda.storage import Codes
from refgrad.errors import ArgumentError, NoKernel, bad_argument
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.blockwise import Codebook
from refgrad.quantizers.rows import Layout, RowQuantizer
from refgrad.quantizers.ternary import FewValues
from refgrad.tracing import free_values, plan_for


def quantize(rule: RowQuantizer, x: Any, device: Device) -> Quantized:
    """Codes and scales of an array.

    Args:
        rule: the quantizer.
        x: an array of the device.
        device: the device.

    Raises:
        ArgumentError: ``x`` has no float dtype, or a shape that cannot be cut.
        NoKernel: the rule's body has no kernel, or there are no elements.
    """
    if not is_float(x.dtype):
        raise bad_argument("x.dtype", str(x.dtype), "a float dtype, such as float32, float64 or bfloat16")
    if type(rule).encode not in (RowQuantizer.encode, Codebook.encode):
        raise NoKernel("it encodes in a way of its own")
    layout, parts = rule.layout(x.shape), rule.body_parts()
    if not x.size:
        raise NoKernel("there are no elements")
    if tuple(rule.takes()) != ("x",):
        raise NoKernel("the ends of its interval are searched for")
    if set(parts) != set(rule.parts) or rule.kept_codes is None:
        raise NoKernel("its scales are quantized themselves, or its codes are not numbers of a type")
    rows = groups.cut(x, layout, working(x.dtype), device)
    free = free_values(rows.shape, {})
    plan = row_kernels.numbered(plan_for(rule, 2, free, tuple(parts)))
    codes = {part: Codes(record) for part, record in {**rule.kept_scales, "codes": rule.kept_codes}.items()}
    found = {}
    for part in parts:
        size = (1,) if rule.gives().get(part) == TENSOR else (layout.rows,)
        kind = codes[part].kind if part in codes else rows.dtype
        found[part] = device.empty(rows.shape if part == "codes" else size, kind)
    on_cuda.run(plan, free, {"x": rows, **found}, device, codes)
    shaped = {part: _as_kept(rule, part, array, layout, device) for part, array in found.items()}
    return Quantized(shaped, x.shape, np.dtype(x.dtype))


def _as_kept(rule: RowQuantizer, part: str, array: Any, layout: Layout, device: Device) -> Any:
    if part == "codes":
        return groups.joined(array, layout, device)
    return array.reshape(()) if rule.gives().get(part) == TENSOR else array


def dequantize(rule: RowQuantizer, quantized: Quantized, device: Device) -> Any:
    """The array that codes and scales stand for, rounded once to the dtype of the array that they were made from.

    Args:
        rule: the quantizer.
        quantized: what it made, on the device.
        device: the device.

    Raises:
        ArgumentError: a part is missing or has another shape.
        NoKernel: the rule has no kernel that reads its codes, or one of them stands for nothing.
    """
    rule.check_parts(quantized)
    if type(rule).decode not in (RowQuantizer.decode, Codebook.decode, FewValues.decode):
        raise NoKernel("it decodes in a way of its own")
    known, layout = rule.read_codes, rule.layout(quantized.shape)
    if known is None or set(rule.body_parts()) != set(rule.parts) or not layout.rows:
        raise NoKernel("no kernel reads its parts")
    records = {**rule.kept_scales, "codes": known}
    codes = {part: Codes(record) for part, record in records.items()}
    kept = {part: _whole(rule, part, quantized.arrays[part], layout, device) for part in rule.parts}
    for part, form in codes.items():
        if str(kept[part].dtype) != form.kind:
            raise NoKernel("codes are in another type than it gives")
    ends = rule.code_range or rule.legal_codes
    if ends is not None and not _fits(kept["codes"], ends, device):
        raise NoKernel("a code stands for nothing")
    return _restored(rule, kept, codes, quantized, layout, device)


def _restored(
    rule: RowQuantizer,
    kept: Mapping[str, Any],
    codes: Mapping[str, Codes],
    quantized: Quantized,
    layout: Layout,
    device: Device,
) -> Any:
    """``y`` from the parts, in the dtype that the body on the host would work in."""
    floats = {np.dtype(a.dtype) for part, a in kept.items() if part not in codes} or {np.dtype(quantized.dtype)}
    own = np.dtype(np.float64 if np.dtype(np.float64) in floats else np.float32)
    y = device.empty((layout.rows, layout.width), quantized.dtype)
    free = free_values(y.shape, {})
    plan = row_kernels.from_parts(plan_for(rule, 2, free))
    if not set(plan.graph.inputs()) <= set(kept):
        raise NoKernel("what codes stand for depends on more than its parts")
    on_cuda.run(plan, free, {**kept, "x": y, "y": y}, device, codes, own)
    return groups.joined(y, layout, device)


def _whole(rule: RowQuantizer, part: str, array: Any, layout: Layout, device: Device) -> Any:
    """A part on rows: codes cut, one number a row, or one."""
    if part == "codes":
        wanted: tuple[int, ...] = layout.shape
    else:
        wanted = (1,) if rule.gives().get(part) == TENSOR else (layout.rows,)
    if array.shape != wanted and not (wanted == (1,) and array.size == 1):
        raise ArgumentError(f"quantized[{part!r}] has shape {array.shape}; legal: {wanted}")
    if part == "codes":
        return groups.cut(array, layout, np.dtype(array.dtype), device)
    return (array if array.flags.c_contiguous else device.copy(array)).reshape(wanted)


def _fits(codes: Any, ends: tuple[int, int], device: Device) -> bool:
    """True if all codes lie between two; their type alone may say so, and else the host waits for the device."""
    facts = np.iinfo(codes.dtype)
    return (ends[0] <= facts.min and facts.max <= ends[1]) or range_check.within(
        codes, float(ends[0]), float(ends[1]), device
    )
