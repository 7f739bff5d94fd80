"""Quantizers of single elements on arrays of a device's: codes by the kernel of their body, values by that of their parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import is_float, working
from refgrad.arithmetic.steps import WholeCodes
from refgrad.axes import axes_shape
from refgrad.backends import row_kernels, step_source
from refgrad.backends.cuda import philox_source, range_check
from refgrad.backends.cuda import run as on_cuda
from refgrad.backends.cuda.device import Device
from refgrad.backends.cuda.storage import Codes
from refgrad.errors import ArgumentError, NoKernel, bad_argument
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.decoding import FLOATS, Decoded
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.tracing import free_values, plan_for

#: how uniforms are read: words of which each stands for a multiple of 2**-32
UNIFORM = Codes(WholeCodes("uint32", unit=2.0**-32))


def quantize(rule: ElementQuantizer, x: Any, uniform: Any = None, *, device: Device) -> Quantized:
    """The parts of an array.

    Args:
        rule: the quantizer.
        x: an array of the device.
        uniform: of a rule that rounds by chance, one number an element; by default those of its seed.
        device: the device.

    Raises:
        ArgumentError: ``x`` has no float dtype.
        NoKernel: a part is not of the body's, there are no elements, or one that the rule refuses.
    """
    if not is_float(x.dtype):
        raise bad_argument("x.dtype", str(x.dtype), "a float dtype, such as float32, float64 or bfloat16")
    if set(rule.body_parts()) != set(rule.parts):
        raise NoKernel("it has a scale of its own")
    if rule.prepares:
        raise NoKernel("what it is handed is changed first")
    if not x.size:
        raise NoKernel("there are no elements")
    given = {"x": (x if x.flags.c_contiguous else device.copy(x)).reshape(rule.seen(x.shape))}
    if rule.finite_alone and not range_check.within(given["x"], -math.inf, math.inf, device, True, True):
        raise NoKernel("a number is not finite, which it refuses")
    if uniform is not None:
        given["uniform"] = _uniform(x, uniform, device).reshape(given["x"].shape)
    return Quantized(_parts(rule, given, x, device), x.shape, np.dtype(x.dtype))


def _uniform(x: Any, uniform: Any, device: Device) -> Any:
    """Uniforms as kernels read them: others than those are the host's to refuse."""
    if type(uniform) is not type(x) or uniform.shape != x.shape or uniform.dtype not in FLOATS:
        raise NoKernel("its uniforms are no floats of the device's, one an element")
    uniform = uniform if uniform.flags.c_contiguous else device.copy(uniform)
    if not range_check.within(uniform, 0.0, 1.0, device, open_high=True):
        raise NoKernel("a uniform is not below one, or below zero")
    return uniform


def _parts(rule: ElementQuantizer, given: dict[str, Any], x: Any, device: Device) -> dict[str, Any]:
    """The parts by the kernels of the body."""
    shape = given["x"].shape
    codes = {part: Codes(record) for part, record in {**rule.kept_scales, "codes": rule.kept_codes}.items()}
    if "uniform" in rule.takes() and "uniform" not in given:
        given["uniform"] = philox_source.random_words(shape, rule.seed, device)  # type: ignore[attr-defined]
        codes["uniform"] = UNIFORM
    free = free_values(shape, {})
    plan = plan_for(rule, len(shape), free, rule.body_parts())
    if not step_source.supports(plan.graph):
        raise NoKernel("its body has no kernel")
    own, found = rule.encodes_in or working(x.dtype), {}
    for part in rule.parts:
        kind = codes[part].kind if part in codes else working(x.dtype)
        found[part] = device.empty(shape if part == "codes" else axes_shape(rule.gives()[part], shape), kind)
    on_cuda.run(plan, free, {**given, **found}, device, codes, own)
    return {part: array.reshape(x.shape if part == "codes" else (-1,)) for part, array in found.items()}


def dequantize(rule: Decoded, quantized: Quantized, device: Device) -> Any:
    """The numbers that parts stand for.

    Args:
        rule: the quantizer.
        quantized: what it made, on the device.
        device: the device.

    Raises:
        ArgumentError: a part is missing, or has another shape.
        NoKernel: codes are of another type, or one stands for NaN or for nothing.
    """
    rule.check_parts(quantized)
    codes, known, shape = quantized.arrays["codes"], rule.read_codes, tuple(quantized.shape)
    if known is None or str(codes.dtype) != known.kind:
        raise NoKernel("codes are in another type than it gives")
    if codes.shape != shape:
        raise ArgumentError(f"quantized['codes'] has shape {codes.shape}; legal: {shape}")
    seen = rule.seen(shape) if len(rule.seen(shape)) == 2 else (1, codes.size)
    kept = {part: _whole(rule, part, quantized.arrays[part], seen, device) for part in rule.parts}
    _check(rule, kept["codes"], device)
    floats = {part: np.dtype(a.dtype) for part, a in kept.items() if part != "codes" and part not in rule.kept_scales}
    own = next(iter(floats.values())) if floats and rule.scales_say else rule.decodes_in
    if own not in FLOATS or len(set(floats.values())) > 1:
        raise NoKernel("its scales are narrow, or of several dtypes")
    y = device.empty(seen, quantized.dtype)
    if y.size:
        records = {part: Codes(record) for part, record in {**rule.kept_scales, "codes": known}.items()}
        plan = row_kernels.decoder(rule)
        on_cuda.run(plan, free_values(seen, {}), {**kept, "x": y, "y": y}, device, records, own)
    return y.reshape(shape)


def _whole(rule: Decoded, part: str, array: Any, seen: tuple[int, ...], device: Device) -> Any:
    """A part as kernels read it; `ArgumentError` if it has another number of elements."""
    wanted = seen if part == "codes" else (math.prod(axes_shape(rule.part_axes()[part], seen)),)
    if array.size != math.prod(wanted):
        raise ArgumentError(f"quantized[{part!r}] has shape {array.shape}; legal: {wanted}")
    return (array if array.flags.c_contiguous else device.copy(array)).reshape(wanted)


def _check(rule: Decoded, codes: Any, device: Device) -> None:
    """That every code stands for something."""
    if rule.legal_codes is None:
        return
    low, high = map(float, rule.legal_codes)
    if not range_check.within(codes, low, high, device):
        raise NoKernel("a code stands for NaN, or for nothing")
