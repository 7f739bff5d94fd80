"""Functions of gradients on arrays of a device's: the body as it stands, each of its operations a kernel.

Sums, products of matrices and elementary functions have refgrad's fixed bits there: those that `refgrad.formula_kernels.run`
gives of NumPy's arrays, where a call of the rule adds in NumPy's order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refgrad.arithmetic.dtypes import is_float
from refgrad.backends.cuda.arrays import Body, DeviceArray, attempted, converted
from refgrad.backends.cuda.device import Device
from refgrad.backends.cuda.host_values import HostValues
from refgrad.errors import ArgumentError, NoKernel, bad_argument
from refgrad.optimizers.transform import Transform, below


def __call__(rule: Transform, *arrays: Any, device: Device) -> Any:
    """A transform of arrays of a device.

    Args:
        rule: the transform.
        arrays: as `Transform.__call__` takes them, on the device.
        device: the device.

    Raises:
        ArgumentError: what `Transform.__call__` says.
        NoKernel: the body calls a function that no kernel does.
    """
    names = rule.names()
    if len(arrays) != len(names):
        raise ArgumentError(f"{type(rule).__name__} was called with {len(arrays)} arrays; legal: {', '.join(names)}")
    if rule.variant == "opaque":
        raise NoKernel("it is a function that cannot be traced")
    whole = [bool(below(text)) for text in rule.shapes.values()] or [False] * len(names)
    given = [_placed(array, name, labels, device) for array, name, labels in zip(arrays, names, whole, strict=True)]
    dtype = np.dtype(given[whole.index(False)].dtype)
    for array, name, labels in zip(given, names, whole, strict=True):
        if array.dtype != dtype and not labels:
            raise bad_argument(f"{name}.dtype", str(array.dtype), f"{dtype}, the dtype of {names[whole.index(False)]}")
    _check(rule, given, whole, device)
    body = Body(device, rule.computed_in(dtype))
    wide = [
        body.array(array).astype(np.int64) if labels else body.array(converted(array, body.working, device))
        for array, labels in zip(given, whole, strict=True)
    ]
    try:
        return _narrowed(attempted(rule.apply, *wide), dtype, device)
    except np.linalg.LinAlgError as error:
        raise ArgumentError(f"{', '.join(names)}: {error}; legal: numbers of which its system is solved") from error
    except ArithmeticError as error:
        raise rule.without_value(error) from error


def _placed(value: Any, name: str, labels: bool, device: Device) -> Any:
    """A contiguous array on the device, of floats or of whole numbers."""
    if isinstance(value, np.ndarray | np.generic):
        value = device.put(np.asarray(value))
    if not hasattr(value, "dtype") or not hasattr(value, "flags"):
        raise ArgumentError(f"{name} is a {type(value).__name__}; legal: an array on the device")
    if labels and np.dtype(value.dtype).kind not in "iu":
        raise bad_argument(f"{name}.dtype", str(value.dtype), "a dtype of whole numbers, such as int64, on the device")
    if not labels and not is_float(value.dtype):
        raise bad_argument(f"{name}.dtype", str(value.dtype), "a float dtype, such as float32, float64 or bfloat16")
    return value if value.flags.c_contiguous else device.copy(value)


def _check(rule: Transform, given: list[Any], whole: list[bool], device: Device) -> None:
    """What the rule checks, as of arrays of NumPy's: shapes; and values, such as labels, for which the host waits."""
    seen: list[Any] = [HostValues(array, device) for array in given]
    rule.check(*seen)
    if any(whole):
        rule.check_labels(seen)


def _narrowed(result: Any, dtype: np.dtype, device: Device) -> Any:
    """Results as they are returned: of the dtype that came in, rounded once; numbers as Python's."""
    if isinstance(result, tuple):
        return tuple(_narrowed(r, dtype, device) for r in result)
    if isinstance(result, Mapping):
        return {name: _narrowed(r, dtype, device) for name, r in result.items()}
    if isinstance(result, np.ndarray | np.floating) and np.ndim(result):  # what no array of the device went into
        return device.put(np.asarray(result).astype(dtype))
    if not isinstance(result, DeviceArray):
        return float(result) if isinstance(result, np.ndarray | np.floating) else result
    if not result.shape:
        return float(result)
    whole = result if result.dtype.kind == "f" else result.astype(result.body.working)
    return converted(whole.flat_data, dtype, device)
