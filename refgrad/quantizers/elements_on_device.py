"""Quantizers of single elements on arrays of a device's: codes by the kernel of the body, values by a list of all codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import is_float, working
from refgrad.backends import step_source
from refgrad.backends.cuda import range_check
from refgrad.backends.cuda import run as on_cuda
from refgrad.backends.cuda.device import Device, grid
from refgrad.backends.cuda.staged_source import conversion_source, copy_source
from refgrad.backends.cuda.storage import Codes, Listed, Number
from refgrad.errors import ArgumentError, NoKernel, bad_argument
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.elements import ElementQuantizer
from refgrad.tracing import free_values, plan_for


def quantize(rule: ElementQuantizer, x: Any, device: Device) -> Quantized:
    """The codes of an array.

    Args:
        rule: the quantizer.
        x: an array of the device.
        device: the device.

    Raises:
        ArgumentError: ``x`` has no float dtype.
        NoKernel: the rule has other parts besides codes, or there are no elements.
    """
    if not is_float(x.dtype):
        raise bad_argument("x.dtype", str(x.dtype), "a float dtype, such as float32, float64 or bfloat16")
    if rule.parts != ("codes",):
        raise NoKernel("it has a scale of its own")
    if not x.size:
        raise NoKernel("there are no elements")
    wide, dtype = x if x.flags.c_contiguous else device.copy(x), working(x.dtype)
    if x.dtype != dtype:
        made = device.empty(x.shape, dtype)
        given = [x.size, device.address(wide), device.address(made)]
        device.launch(copy_source(x.dtype.name, dtype.name), *grid(x.size), given, device.stream())
        wide = made
    wide = wide.reshape(x.shape or (1,))
    free = free_values(wide.shape, {})
    plan = plan_for(rule, wide.ndim, free, ("codes",))
    if not step_source.supports(plan.graph):
        raise NoKernel("its body has no kernel")
    codes = device.empty(wide.shape, rule.kept_codes.kind)
    on_cuda.run(plan, free, {"x": wide, "codes": codes}, device, {"codes": Codes(rule.kept_codes)})
    return Quantized({"codes": codes.reshape(x.shape)}, x.shape, np.dtype(x.dtype))


def dequantize(rule: ElementQuantizer, quantized: Quantized, device: Device) -> Any:
    """The numbers that codes stand for.

    Args:
        rule: the quantizer.
        quantized: what it made, on the device.
        device: the device.

    Raises:
        ArgumentError: there are no codes, or of another shape.
        NoKernel: the rule has other parts besides codes, or a code stands for NaN or for nothing.
    """
    rule.check_parts(quantized)
    codes, kind = quantized.arrays["codes"], rule.kept_codes.kind
    if rule.parts != ("codes",):
        raise NoKernel("it has a scale of its own")
    if codes.dtype != kind or codes.dtype.itemsize != 1:
        raise NoKernel("codes are in another type than it gives")
    if codes.shape != tuple(quantized.shape):
        raise ArgumentError(f"quantized['codes'] has shape {codes.shape}; legal: {quantized.shape}")
    codes = codes if codes.flags.c_contiguous else device.copy(codes)
    _check(rule, codes, device)
    y = device.empty(codes.shape, quantized.dtype)
    if y.size:
        source = conversion_source(Listed(kind, _values(rule)), Number(y.dtype.name), "float64")
        given = [y.size, device.address(codes), device.address(y)]
        device.launch(source, *grid(y.size), given, device.stream())
    return y


def _check(rule: ElementQuantizer, codes: Any, device: Device) -> None:
    """That every code stands for something."""
    if rule.legal_codes is None:
        return
    low, high = map(float, rule.legal_codes)
    if not range_check.within(codes, low, high, device):
        raise NoKernel("a code stands for NaN, or for nothing")


def _values(rule: ElementQuantizer) -> tuple[float, ...]:
    """What each code of the type stands for, in float64, as the rule says; NaN where a code stands for nothing."""
    facts = np.iinfo(rule.kept_codes.kind)
    low, high = rule.legal_codes or (int(facts.min), int(facts.max))
    legal = [*range(low, high + 1)] + ([] if rule.poison_code is None else [rule.poison_code])
    given = np.asarray(legal, rule.kept_codes.kind)
    with np.errstate(all="ignore"):
        found = rule.decode({"codes": given}, given.shape)
    values = dict(zip(legal, np.asarray(found, np.float64).tolist(), strict=True))
    return tuple(values.get(code, float("nan")) for code in range(int(facts.min), int(facts.max) + 1))
