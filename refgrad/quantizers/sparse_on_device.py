"""Gradients as few elements, on arrays of a device's: the largest by counting, their places by running sums of marks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from refgrad.backends.cuda import top_k
from refgrad.backends.cuda.array_source import scatter_source
from refgrad.backends.cuda.arrays import DeviceArray, chosen, converted
from refgrad.backends.cuda.device import Device
from refgrad.errors import NoKernel
from refgrad.quantizers.base import Quantized
from refgrad.quantizers.body_on_device import prepared, uniforms
from refgrad.quantizers.sparse import RandomK, Sparse, TopK


def quantize(rule: Sparse, x: Any, uniform: Any = None, *, device: Device) -> Quantized:
    """The places that are kept, and their numbers.

    Args:
        rule: the quantizer.
        x: an array of the device.
        uniform: of `RandomK`, one number an element; by default those of its seed.
        device: the device.

    Raises:
        ArgumentError: ``x`` has no float dtype.
        NoKernel: the rule chooses in a way of its own, or there are no elements.
    """
    given = prepared(x, device)
    count = rule.count(given.size)
    flat = given.reshape(-1)
    if isinstance(rule, TopK) and type(rule).encode is TopK.encode:
        scores = abs(flat)
    elif isinstance(rule, RandomK) and type(rule).draw is RandomK.draw:
        scores = -uniforms(rule, given, x, uniform).reshape(-1)
    else:
        raise NoKernel("it chooses in a way of its own")
    mask = top_k.top_k(scores.flat_data.reshape(1, -1), count, "low", "largest", device)
    indices = chosen(DeviceArray(mask.reshape(-1), given.body), count)
    values = flat.at(indices)
    if isinstance(rule, RandomK) and rule.scaled == "unbiased" and count:
        values = values * given.dtype.type(given.size / count)
    return Quantized({"indices": indices.data, "values": values.data}, x.shape, np.dtype(x.dtype))


def dequantize(rule: Sparse, quantized: Quantized, device: Device) -> Any:
    """The elements in their places, rounded once to the dtype of the array that they were made from.

    Args:
        rule: the quantizer.
        quantized: what it made, on the device.
        device: the device.

    Raises:
        ArgumentError: a part is missing.
        NoKernel: a part is not as the rule makes it, which the host refuses.
    """
    rule.check_parts(quantized)
    indices, values = (quantized.arrays[name] for name in ("indices", "values"))
    shape, dtype = tuple(quantized.shape), np.dtype(quantized.dtype)
    size = math.prod(shape)
    count = rule.count(size)
    if indices.shape != (count,) or values.shape != (count,) or indices.dtype != np.int64 or not count:
        raise NoKernel("a part has another shape or dtype, or there are no elements")
    if type(rule).decoded is not Sparse.decoded or type(rule).decode is not Sparse.decode:
        raise NoKernel("it decodes in a way of its own")
    indices, values = (a if a.flags.c_contiguous else device.copy(a) for a in (indices, values))
    places = DeviceArray(indices, prepared(values, device).body)
    low = places[:-1] >= places[1:]
    if (count > 1 and bool(low.any())) or int(places[0]) < 0 or int(places[-1]) >= size:
        raise NoKernel("places are not in rising order within the array")
    kept = converted(values, dtype, device)
    found = places.body.elements("copy", [0.0], result=dtype, shape=(size,)).data if dtype.itemsize >= 4 else None
    if found is None:
        found = device.put(np.zeros(size, dtype))
    places.body.launch(scatter_source(f"uint{8 * dtype.itemsize}"), count, [], [indices, kept, found])
    return found.reshape(shape)
