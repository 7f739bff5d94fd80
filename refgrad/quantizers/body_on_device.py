"""Quantizers on arrays of a device's whose own code runs there as it stands, each of its operations a kernel.

What adds numbers in NumPy's order, or calls what no kernel does, runs on the host.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import is_float, working
from refgrad.backends.cuda import philox_source, range_check
from refgrad.backends.cuda.arrays import Body, DeviceArray, attempted, converted
from refgrad.backends.cuda.device import Device
from refgrad.errors import NoKernel, bad_argument
from refgrad.quantizers.base import Quantized, Quantizer
from refgrad.quantizers.parts import Part
from refgrad.quantizers.stochastic import Random


def quantize(rule: Quantizer, x: Any, uniform: Any = None, *, device: Device) -> Quantized:
    """The parts of an array.

    Args:
        rule: the quantizer.
        x: an array of the device.
        uniform: of a rule that rounds by chance, one number an element; by default those of its seed.
        device: the device.

    Raises:
        ArgumentError: ``x`` has no float dtype, or a shape that the rule does not take.
        NoKernel: the rule calls what no kernel does, or there are no elements.
    """
    given = prepared(x, device, getattr(rule, "bits_are_its_own", False))
    if isinstance(rule, Random):
        found = attempted(rule.draw, given, uniforms(rule, given, x, uniform))
    elif uniform is not None:
        raise NoKernel("it is handed more than an array")
    else:
        found = attempted(rule.encode, given)
    return Quantized({name: _kept(part, given.body) for name, part in found.items()}, x.shape, np.dtype(x.dtype))


def prepared(x: Any, device: Device, fixed: bool = False) -> DeviceArray:
    """An array in its working dtype, as a value that a body takes; NumPy's own functions are meant by it.

    Args:
        x: an array of the device.
        device: the device.
        fixed: True of a rule whose sums have no bits of NumPy's, so that they may be refgrad's.

    Raises:
        ArgumentError: it has no float dtype.
        NoKernel: there are no elements.
    """
    if not is_float(x.dtype):
        raise bad_argument("x.dtype", str(x.dtype), "a float dtype, such as float32, float64 or bfloat16")
    if not x.size:
        raise NoKernel("there are no elements")
    own = working(x.dtype)
    whole = x if x.flags.c_contiguous else device.copy(x)
    return DeviceArray(converted(whole, own, device), Body(device, own, fixed=fixed))


def uniforms(rule: Random, given: DeviceArray, x: Any, uniform: Any) -> Any:
    """Float64 numbers from 0 to below 1, one an element: those of the rule's seed, or those that are handed in.

    Args:
        rule: the quantizer.
        given: the array that is quantized, prepared.
        x: the same as it came.
        uniform: what is handed in, or None.

    Raises:
        NoKernel: they are the host's to refuse.
    """
    device = given.body.device
    if uniform is None:
        words = DeviceArray(philox_source.random_words(given.shape, rule.seed, device), given.body)
        return words.astype(np.float64) * 2.0**-32
    if type(uniform) is not type(x) or uniform.shape != x.shape or uniform.dtype not in (np.float32, np.float64):
        raise NoKernel("its uniforms are no floats of the device's, one an element")
    uniform = uniform if uniform.flags.c_contiguous else device.copy(uniform)
    if not range_check.within(uniform, 0.0, 1.0, device, open_high=True):
        raise NoKernel("a uniform is not below one, or below zero")
    return DeviceArray(uniform, given.body).astype(np.float64)


def _kept(part: Any, body: Body) -> Any:
    """A part as the device's own array, contiguous."""
    return part.flat_data if isinstance(part, DeviceArray) else body.device.put(np.asarray(part))


def dequantize(rule: Quantizer, quantized: Quantized, device: Device) -> Any:
    """The array that parts stand for, rounded once to the dtype of the array that they were made from.

    Args:
        rule: the quantizer.
        quantized: what it made, on the device.
        device: the device.

    Raises:
        ArgumentError: a part is missing.
        NoKernel: the rule calls what no kernel does, or a part is not as the rule makes it, which the host refuses.
    """
    rule.check_parts(quantized)
    shape = tuple(quantized.shape)
    kinds = rule.kept_parts(shape)
    arrays = {name: quantized.arrays[name] for name in rule.parts}
    for name, part in kinds.items():
        _check(arrays[name], part, device)
    floats = [np.dtype(a.dtype) for a in arrays.values() if is_float(a.dtype)]
    own = np.dtype(working(floats[0] if floats else quantized.dtype))
    body = Body(device, own, fixed=getattr(rule, "bits_are_its_own", False))
    given = {name: DeviceArray(a if a.flags.c_contiguous else device.copy(a), body) for name, a in arrays.items()}
    if not all(a.size for a in arrays.values()):
        raise NoKernel("there are no elements")
    found = attempted(rule.decode, given, shape)
    return converted(found.flat_data, np.dtype(quantized.dtype), device).reshape(shape)


def _check(array: Any, part: Part, device: Device) -> None:
    """`NoKernel` for a part that is not as the rule makes it: the host says what is wrong with it."""
    kind = np.dtype(array.dtype).kind
    if tuple(array.shape) != tuple(part.shape) or (part.whole and kind not in "iu") or (not part.whole and kind != "f"):
        raise NoKernel("a part has another shape or dtype")
    ends = (part.low, part.high)
    if part.whole and array.size and any(end is not None and np.isfinite(end) for end in ends):
        whole = array if array.flags.c_contiguous else device.copy(array)
        if not range_check.within(whole, float(ends[0]), float(ends[1]), device):
            raise NoKernel("a part has numbers that the rule never gives")
