"""Running a plan on a device as its body stands, where its graph has no kernel: each operation of it is one.

Products of matrices, and what is made of these, have kernels of their own, which add along the tree: the bits are NumPy's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic import dtypes
from refgrad.backends.cuda.arrays import Body, DeviceArray, attempted, converted, copied
from refgrad.backends.cuda.device import Device
from refgrad.tracing import Plan, carried


def run(
    plan: Plan, free: tuple[float, ...], arrays: Mapping[str, Any], device: Device, working: np.dtype | None = None
) -> None:
    """Overwrite the plan's outputs.

    Args:
        plan: the plan.
        free: the values of its free names, in order.
        arrays: what it reads and writes, by name: contiguous arrays of the device, of float dtypes.
        device: where they lie.
        working: the dtype that is worked in; by default that of the primary array, or float32 if it is narrower.

    Raises:
        NoKernel: the body calls what no kernel does; nothing has been written then.
    """
    store(computed(plan, free, arrays, device, working), arrays, device)


def computed(
    plan: Plan, free: tuple[float, ...], arrays: Mapping[str, Any], device: Device, working: np.dtype | None = None
) -> dict[str, DeviceArray]:
    """The plan's outputs by name, in the working dtype and in memory of their own; arguments and errors are those of `run`."""
    rule = plan.rule
    own = working or dtypes.working(np.dtype(arrays[rule.primary].dtype))
    body = Body(device, own, scalars=rule.scalars)
    flat = not arrays[rule.primary].shape
    values = {}
    for name in rule.takes():
        value = body.array(converted(arrays[name], own, device))
        values[name] = value.reshape(1) if flat and not value.shape else value
    found = attempted(carried, rule, values, dict(zip(plan.free, free, strict=True)))
    results = {}
    for name in plan.graph.outputs:
        value = (
            found[name]
            if isinstance(found[name], DeviceArray)
            else body.elements("copy", [float(found[name])], shape=())
        )
        shape = tuple(arrays[name].shape)
        spread = value if flat or value.shape == shape else value.viewed(device.spread(value.data, shape))
        # before anything is overwritten: a body may return what it was given
        results[name] = spread.copy().reshape(shape)
    return results


def store(results: Mapping[str, DeviceArray], arrays: Mapping[str, Any], device: Device) -> None:
    """Outputs written to their arrays, rounded once where these are narrower.

    Args:
        results: what `computed` gives.
        arrays: contiguous arrays of the device.
        device: where they lie.
    """
    for name, value in results.items():
        copied(value.data, arrays[name], device)
