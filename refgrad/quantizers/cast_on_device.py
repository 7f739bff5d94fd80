"""Rounding to a small format on arrays of a device's: every format and mode, random bits drawn in the kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import is_float, working
from refgrad.arithmetic.steps import FormatCodes
from refgrad.backends.cuda import range_check, rounding_source
from refgrad.backends.cuda.device import Device, grid
from refgrad.backends.cuda.staged_source import conversion_source, copy_source
from refgrad.backends.cuda.storage import FORMATS, Codes, Number
from refgrad.errors import ArgumentError, NoKernel, bad_argument
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.cast import Cast


def quantize(rule: Cast, x: Any, device: Device) -> Quantized:
    """The codes of an array.

    Args:
        rule: the quantizer.
        x: an array of the device.
        device: the device.

    Raises:
        ArgumentError: ``x`` has no float dtype.
        NoKernel: it is float64, or holds NaN, of which the format has none.
    """
    if not is_float(x.dtype):
        raise bad_argument("x.dtype", str(x.dtype), "a float dtype, such as float32, float64 or bfloat16")
    if working(x.dtype) != np.float32:
        raise NoKernel("float64 is rounded once, and not by way of float32")
    wide = x if x.flags.c_contiguous else device.copy(x)
    if x.dtype != np.float32:
        made = device.empty(x.shape, np.float32)
        if x.size:
            at = [device.address(wide), device.address(made)]
            device.launch(copy_source(x.dtype.name, "float32"), *grid(x.size), [x.size, *at], device.stream())
        wide = made
    if rule.record.nan_code is None and not range_check.within(wide, -math.inf, math.inf, device):
        raise NoKernel("a number is NaN, of which the format has none")
    facts = (rule.record, rule.rounding, rule.overflow, rule.seed, rule.random_bits)
    return Quantized({"codes": rounding_source.encode(wide, *facts, device)}, x.shape, np.dtype(x.dtype))


def dequantize(rule: Cast, quantized: Quantized, device: Device) -> Any:
    """The numbers that codes stand for.

    Args:
        rule: the quantizer.
        quantized: what it made, on the device.
        device: the device.

    Raises:
        ArgumentError: there are no codes, or of another shape.
        NoKernel: a code stands for nothing, or codes are of another type.
    """
    rule.check_parts(quantized)
    codes, form = quantized.arrays["codes"], rule.record
    if codes.dtype != form.code_dtype:
        raise NoKernel("codes are in another type than it gives")
    if codes.shape != tuple(quantized.shape):
        raise ArgumentError(f"quantized['codes'] has shape {codes.shape}; legal: {quantized.shape}")
    whole = form.bits == 8 * form.code_dtype.itemsize
    if not whole and not range_check.within(codes, 0.0, 2.0**form.bits - 1, device):
        raise NoKernel("a code stands for nothing")
    y = device.empty(quantized.shape, quantized.dtype)
    read = Number(form.name) if form.name in FORMATS else Codes(FormatCodes(form.name, str(form.code_dtype)))
    source = conversion_source(read, Number(y.dtype.name), working(y.dtype).name)
    codes = codes if codes.flags.c_contiguous else device.copy(codes)
    if y.size:
        given = [y.size, device.address(codes), device.address(y)]
        device.launch(source, *grid(y.size), given, device.stream())
    return y
