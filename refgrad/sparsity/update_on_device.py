"""Updates of masks on arrays of a device's: what drops and what grows is found there, and how many there are is read."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.arguments import FROM_ZERO
from refgrad.arithmetic.dtypes import is_float, working
from refgrad.backends.cuda.arrays import Body, DeviceArray, attempted
from refgrad.backends.cuda.device import Device, device_of
from refgrad.errors import NoKernel
from refgrad.sparsity import on_device
from refgrad.sparsity.dynamic import ACDC, MaskUpdate


def after(rule: MaskUpdate, given: Mapping[str, Any], t: int, prefer: Any = None, *, device: Device) -> Any:
    """The next mask, as booleans on the device.

    Args:
        rule: the rule.
        given: what it looks at, by name: arrays of the device.
        t: the step.
        prefer: None; entries that go ahead of equal ones are the host's to sort.
        device: the device.

    Raises:
        ArgumentError: the step is no whole number from 0 on.
        NoKernel: an array is not as the rule takes it, which the host refuses, or the rule does what no kernel does.
    """
    if prefer is not None:
        raise NoKernel("where several keys decide it sorts")
    values = _values(rule, given, device)
    t = FROM_ZERO.check("t", t)
    if isinstance(rule, ACDC):
        if not rule.is_sparse(t):
            return device.put(np.ones(given["mask"].shape, bool))
        if rule.is_mask_epoch(t):
            return on_device.mask(rule.pattern, given["w"], device)
        return device.copy(given["mask"])
    return _run(type(rule).after, rule, values, t)


def weights(rule: MaskUpdate, given: Mapping[str, Any], mask: Any, t: int, *, device: Device) -> Any:
    """The weights that training goes on with.

    Args:
        rule: the rule.
        given: as `after` takes it.
        mask: the next mask.
        t: the step.
        device: the device.

    Raises:
        ArgumentError: as `after` says.
        NoKernel: as there.
    """
    values = _values(rule, given, device)
    if np.dtype(getattr(mask, "dtype", None)) != np.bool_ or mask.shape != given["w"].shape:
        raise NoKernel("the mask has another shape or dtype")
    whole = mask if mask.flags.c_contiguous else device.copy(mask)
    return _run(type(rule).weights, rule, values, DeviceArray(whole, values["w"].body), FROM_ZERO.check("t", t))


def _values(rule: MaskUpdate, given: Mapping[str, Any], device: Device) -> dict[str, DeviceArray]:
    """What the rule takes, on the device and of one shape."""
    if not isinstance(given, Mapping) or set(rule.takes()) - set(given):
        raise NoKernel("an array is missing")
    found = {name: given[name] for name in rule.takes()}
    w = found["w"]
    body = Body(device, np.dtype(working(w.dtype)) if is_float(w.dtype) else np.dtype(np.float32), fixed=False)
    for name, array in found.items():
        wanted = array.dtype == np.bool_ if name == "mask" else array.dtype in (np.float32, np.float64)
        if device_of(array) is None or array.shape != w.shape or not wanted or not array.size:
            raise NoKernel("an array is narrow, has no elements, or is not as the rule takes it")
    return {n: DeviceArray(a if a.flags.c_contiguous else device.copy(a), body) for n, a in found.items()}


def _run(function: Any, *args: Any) -> Any:
    """A method as the rule's class has it, on values of a device."""
    return attempted(inspect.unwrap(function), *args).flat_data
